package config

import (
	"fmt"

	"vidimus/internal/lint"
)

// Lint says what certificates are checked for by zlint before they are signed.
type Lint struct {
	Rules   string   `yaml:"lint"`          // "private", the default, or "public": all that a public CA must keep
	Ignored []string `yaml:"lints_ignored"` // names of lints
}

func (l *Lint) complete(r *reader, path string) {
	switch l.Rules {
	case "":
		l.Rules = string(lint.Private)
	case string(lint.Private), string(lint.Public):
	default:
		r.add(path+".lint", "%q is neither private nor public", l.Rules)
	}
	for n, name := range l.Ignored {
		if !lint.Known(name) {
			r.add(fmt.Sprintf("%s.lints_ignored.%d", path, n), "zlint has no lint %q; the log has the name of a lint that refused a certificate", name)
		}
	}
}
