package store

import (
	"context"

	"vidimus/internal/acme"
)

// ProcessingAfter lists the challenges whose validation was asked for and has no result
// yet, of up to limit authorizations with numbers above after, by number.
func (s *Store) ProcessingAfter(ctx context.Context, after int64, limit int) ([]Challenge, error) {
	authzs, err := collect(ctx, s.read, scanAuthz,
		`SELECT `+authzColumns+` WHERE started_at > 0 AND id > $1 ORDER BY id LIMIT $2`, after, limit)
	return processing(authzs), err
}

func processing(authzs []Authz) (all []Challenge) {
	for _, a := range authzs {
		for _, c := range a.Challenges {
			if c.Status == acme.Processing {
				all = append(all, c)
			}
		}
	}
	return all
}
