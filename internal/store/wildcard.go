package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// AllowWildcards lets wildcards be had for fqdn and all below it; [ErrConflict] when they
// may be had already.
func (s *Store) AllowWildcards(ctx context.Context, fqdn string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `INSERT INTO wildcard_subtree (fqdn, created_at) VALUES ($1, $2)
			ON CONFLICT (fqdn) DO NOTHING`, fqdn, millis(now)); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.WildcardsAllowed, Object: fqdn})
	})
}

// WithholdWildcards takes that back; [ErrNotFound] when they were not allowed.
func (s *Store) WithholdWildcards(ctx context.Context, fqdn string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM wildcard_subtree WHERE fqdn = $1`, fqdn); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.WildcardsWithheld, Object: fqdn})
	})
}

// WildcardSubtrees lists where wildcards may be had.
func (s *Store) WildcardSubtrees(ctx context.Context) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT fqdn FROM wildcard_subtree ORDER BY fqdn`)
}

// WildcardsAmong tells which of these DNS names are such subtrees.
func (s *Store) WildcardsAmong(ctx context.Context, fqdns []string) (all []string, err error) {
	for chunk := range slices.Chunk(fqdns, 128) {
		list, args := listed(nil, chunk)
		some, err := collect(ctx, s.read, scanString, `SELECT fqdn FROM wildcard_subtree WHERE fqdn IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
