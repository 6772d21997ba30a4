package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/server"
	"vidimus/internal/store"
	"vidimus/internal/validation"
)

// onlineTimeout bounds the questions to the database, and to one resolver.
const onlineTimeout = 15 * time.Second

// clockOff is how far the clock of a database may be from ours, and nothing is said.
const clockOff = 2 * time.Second

// online is what came of asking: what is right, in a line each, what had better be
// otherwise, and what is wrong.
type online struct {
	right           []string
	warnings, wrong config.Mistakes
}

// checkOnline asks the database of a configuration and each resolver something.
func checkOnline(ctx context.Context, c *config.Config) (o online) {
	o.askDatabase(ctx, c)
	right, wrong := askResolvers(ctx, c)
	o.right, o.wrong = append(o.right, right...), append(o.wrong, wrong...)
	return o
}

func (o *online) askDatabase(ctx context.Context, c *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, onlineTimeout)
	defer cancel()
	i, err := store.Inspect(ctx, c.Database)
	if err != nil {
		o.wrong = append(o.wrong, config.Mistake{Text: err.Error()})
		return
	}
	line := fmt.Sprintf("database %s answers (%s)", store.Redacted(c.Database), i.Program)
	switch {
	case i.Tables == 0 && store.IsURL(c.Database):
		line += "; the first server that starts will make its tables"
	case i.Tables == 0:
		line = fmt.Sprintf("database %s: the server will make it", c.Database)
	case i.Tables < i.Newest:
		line += fmt.Sprintf("; the next server that starts will bring its tables from version %d to %d, and then an older vidimusd starts no more: make a backup first", i.Tables, i.Newest)
	default:
		line += fmt.Sprintf(", may be written to, and has tables of version %d", i.Tables)
	}
	o.right = append(o.right, line)
	warn := func(format string, args ...any) {
		o.warnings = append(o.warnings, config.Mistake{Severity: "warning", Text: fmt.Sprintf(format, args...)})
	}
	if off := i.Ahead.Round(time.Second); off.Abs() >= clockOff {
		warn("the clock of the database is %s %s this machine's; set them by NTP", off.Abs(), map[bool]string{true: "ahead of", false: "behind"}[off > 0])
	}
	for name, n := range i.Orphaned {
		if !configured(c, name) {
			warn("%s of issuer %s, which is not configured any more, were cut short: each may have been signed; configure it again, and the next start finishes them", counted(int64(n)), name)
		}
	}
	for _, name := range i.Living {
		if !configured(c, name) {
			warn("there are certificates of issuer %s that have not ended, and it is not configured any more: nobody hears by CRL or OCSP that one is revoked", name)
		}
	}
}

func configured(c *config.Config, issuer string) bool {
	return slices.ContainsFunc(c.Issuers, func(i config.Issuer) bool { return i.Name == issuer })
}

// askResolvers asks each resolver about a zone.
func askResolvers(ctx context.Context, c *config.Config) (right []string, wrong config.Mistakes) {
	r, err := server.Resolver(&c.Validation)
	if err != nil {
		return nil, config.Mistakes{{Text: err.Error()}}
	}
	for _, address := range r.Servers {
		ctx, cancel := context.WithTimeout(ctx, onlineTimeout)
		status, err := r.Check(ctx, address)
		cancel()
		line := fmt.Sprintf("resolver %s answers", address)
		switch {
		case err != nil:
			wrong = append(wrong, config.Mistake{Text: err.Error()})
			continue
		case status == validation.Secure:
			line += " and validates DNSSEC"
		case status == validation.Insecure:
			line += ", but does not validate DNSSEC: it does not vouch for the root zone"
		}
		right = append(right, line)
	}
	return right, wrong
}
