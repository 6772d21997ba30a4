package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"vidimus/internal/audit"
)

// BlockedKey is a key that is refused, for certificates and accounts.
type BlockedKey struct {
	SPKI    []byte // SHA-256 of its subject public key info
	Blocked time.Time
	Why     string // as an operator said; "" when a certificate was revoked as compromised
}

// AnyKeyBlocked is [Store.KeyBlocked] for two keys, of which it may be either.
func (s *Store) AnyKeyBlocked(ctx context.Context, a, b []byte) (bool, error) {
	return one(ctx, s.read, func(row scanner) (yes bool, err error) { return yes, row.Scan(&yes) },
		`SELECT EXISTS (SELECT 1 FROM blocked_key WHERE spki IN ($1, $2))`, a, b)
}

// BlockKeyFor is [Store.BlockKey] by an operator, who says why. [ErrConflict] means that
// the key is blocked already.
func (s *Store) BlockKeyFor(ctx context.Context, spki []byte, why string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `INSERT INTO blocked_key (spki, blocked_at, why) VALUES ($1, $2, $3) ON CONFLICT (spki) DO NOTHING`,
			spki, millis(now), why); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.KeyBlocked, Object: hex.EncodeToString(spki), Detail: audit.Detail{"why": why}})
	})
}

// UnblockKey lets a key be used again; [ErrNotFound] when it is not blocked.
func (s *Store) UnblockKey(ctx context.Context, spki []byte) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM blocked_key WHERE spki = $1`, spki); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.KeyUnblocked, Object: hex.EncodeToString(spki)})
	})
}

// BlockedKeys lists all keys that are blocked, by their hashes.
func (s *Store) BlockedKeys(ctx context.Context) ([]BlockedKey, error) {
	return collect(ctx, s.read, func(row scanner) (k BlockedKey, err error) {
		return k, row.Scan(&k.SPKI, timeColumn{&k.Blocked}, &k.Why)
	}, `SELECT spki, blocked_at, why FROM blocked_key ORDER BY spki`)
}
