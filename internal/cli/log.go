package cli

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// logHandler writes all to the log file, and, with -v, some to the terminal.
type logHandler struct {
	file    slog.Handler
	console io.Writer
	level   slog.Level // what the console gets
	attrs   []slog.Attr
}

func newLogHandler(file, console io.Writer, verbose int) slog.Handler {
	level := slog.Level(100) // nothing: what a person must know is printed, not logged
	switch {
	case verbose > 1:
		level = slog.LevelDebug
	case verbose == 1:
		level = slog.LevelInfo
	}
	return &logHandler{file: slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}), console: console, level: level}
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= h.level {
		var b strings.Builder
		b.WriteString(r.Message)
		show := func(a slog.Attr) bool {
			if v := a.Value.String(); v != "" && v != "<nil>" {
				b.WriteString(" " + a.Key + "=" + v)
			}
			return true
		}
		for _, a := range h.attrs {
			show(a)
		}
		r.Attrs(show)
		b.WriteByte('\n')
		_, _ = io.WriteString(h.console, b.String())
	}
	return h.file.Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.file, c.attrs = h.file.WithAttrs(attrs), append(slices.Clone(h.attrs), attrs...)
	return &c
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.file = h.file.WithGroup(name)
	return &c
}
