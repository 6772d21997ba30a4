package admin

import (
	"context"
	"fmt"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/server"
	"vidimus/internal/validation"
)

// onlineTimeout bounds the questions to one resolver.
const onlineTimeout = 15 * time.Second

// checkOnline asks each resolver of a configuration something. It returns what is right,
// in a line each, and what is wrong.
func checkOnline(ctx context.Context, c *config.Config) (right []string, wrong config.Mistakes) {
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
