package config

import "log/slog"

// Log says how the log is written; options of the command line go before it.
type Log struct {
	Format string `yaml:"format"` // "text", the default, or "json"
	Level  string `yaml:"level"`  // "debug", "info" (the default), "warn" or "error"
}

func (l *Log) complete(r *reader) {
	switch l.Format {
	case "":
		l.Format = "text"
	case "text", "json":
	default:
		r.add("log.format", "%q is neither text nor json", l.Format)
	}
	if l.Level == "" {
		l.Level = "info"
	}
	if err := new(slog.Level).UnmarshalText([]byte(l.Level)); err != nil {
		r.add("log.level", "%q is none of debug, info, warn, error", l.Level)
	}
}
