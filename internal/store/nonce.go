package store

import (
	"context"
	"database/sql"
	"errors"
)

// Shared tells whether other servers may use the same database at the same time.
func (s *Store) Shared() bool { return s.postgres != nil }

func scanBytes(row scanner) (b []byte, err error) {
	err = row.Scan(&b)
	return b, err
}

// NonceKey is the key of the nonces that all servers on a database give out: the
// proposed one, unless there is one already. A crash of the database loses it.
func (s *Store) NonceKey(ctx context.Context, proposed []byte) (key []byte, err error) {
	key, err = one(ctx, s.read, scanBytes, `SELECT key FROM nonce_key WHERE id = 1`)
	if !errors.Is(err, ErrNotFound) {
		return key, err
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO nonce_key (id, key) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, proposed); err != nil {
			return err
		}
		key, err = one(ctx, tx, scanBytes, `SELECT key FROM nonce_key WHERE id = 1`)
		return err
	})
	return key, err
}

// UseNonce notes, where the database is [Store.Shared], that a nonce has come back; it
// is false when it had before, or when the key is no longer the one on record.
func (s *Store) UseNonce(ctx context.Context, key, nonce []byte) (fresh bool, err error) {
	// One statement, so no transaction around it; and what it writes is not logged, so
	// nothing waits for the disk. When its answer is lost it runs again and is false.
	_, err = one(ctx, s.read, scanBytes, `INSERT INTO nonce_used (nonce) SELECT CAST($1 AS BYTEA) FROM nonce_key WHERE id = 1 AND key = $2
		ON CONFLICT (nonce) DO NOTHING RETURNING nonce`, nonce, key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ForgetNonces drops what is known of nonces that sort before the given one.
func (s *Store) ForgetNonces(ctx context.Context, before []byte) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM nonce_used WHERE nonce < $1`, before)
		return err
	})
}
