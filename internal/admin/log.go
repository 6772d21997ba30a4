package admin

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"vidimus/internal/config"
	"vidimus/internal/requestid"
)

// logFlags say how the log is written, before what the configuration says.
type logFlags struct{ format, level string }

// add adds the flags; format and level are the defaults, for the help.
func (l *logFlags) add(c *cobra.Command, format, level string) {
	c.Flags().StringVar(&l.format, "log-format", "", "`FORMAT` of the log: text or json (default: "+format+")")
	c.Flags().StringVar(&l.level, "log-level", "", "`LEVEL` from which on events are logged: debug, info, warn or error (default: "+level+")")
}

func (l *logFlags) logger(w io.Writer, usual config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cmp.Or(l.level, usual.Level))); err != nil {
		return nil, usageError{fmt.Errorf("--log-level is debug, info, warn or error, not %q", l.level)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch format := cmp.Or(l.format, usual.Format); format {
	case "text":
		return slog.New(requestid.Log(slog.NewTextHandler(w, o))), nil
	case "json":
		return slog.New(requestid.Log(slog.NewJSONHandler(w, o))), nil
	default:
		return nil, usageError{fmt.Errorf("--log-format is text or json, not %q", format)}
	}
}
