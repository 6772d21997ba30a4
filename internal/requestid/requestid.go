// Package requestid gives each HTTP request an ID that its response, its problem
// document and its log lines share. A client can't choose it.
package requestid

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
)

// Header is the field of the response that names the request.
const Header = "X-Request-ID"

type key struct{}

// Handler gives each request an ID before next sees it: 26 characters of base32, 130
// random bits. What the client sent in the header field is dropped.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := rand.Text()
		w.Header().Set(Header, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, id)))
	})
}

// From is the ID of the request that ctx belongs to, or "".
func From(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// Log adds the ID, as "request", to each line that is logged with a request's
// context.
func Log(h slog.Handler) slog.Handler { return logHandler{Handler: h} }

// logHandler adds the attribute at the top, whatever groups are open: so it keeps
// those, and opens them for each line behind the ID.
type logHandler struct {
	slog.Handler
	opened []func(slog.Handler) slog.Handler // after the first WithGroup
}

func (l logHandler) Handle(ctx context.Context, r slog.Record) error {
	h := l.Handler
	if id := From(ctx); id != "" {
		if len(l.opened) == 0 {
			r = r.Clone()
			r.AddAttrs(slog.String("request", id))
			return h.Handle(ctx, r)
		}
		h = h.WithAttrs([]slog.Attr{slog.String("request", id)})
	}
	for _, open := range l.opened {
		h = open(h)
	}
	return h.Handle(ctx, r)
}

func (l logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(l.opened) == 0 {
		return logHandler{Handler: l.Handler.WithAttrs(attrs)}
	}
	return l.open(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (l logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	return l.open(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l logHandler) open(f func(slog.Handler) slog.Handler) slog.Handler {
	return logHandler{l.Handler, append(slices.Clip(l.opened), f)}
}
