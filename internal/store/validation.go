package store

import "context"

// ProcessingAfter lists up to limit challenges whose validation was asked for and has no
// result yet, by number, from those above after.
func (s *Store) ProcessingAfter(ctx context.Context, after int64, limit int) ([]Challenge, error) {
	return collect(ctx, s.read, scanChallenge,
		`SELECT `+challengeColumns+` WHERE status = 'processing' AND id > $1 ORDER BY id LIMIT $2`, after, limit)
}
