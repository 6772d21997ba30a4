package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"vidimus/internal/audit"
)

// Snapshot writes a copy of a SQLite database, as it is at one instant, to path (0600),
// where there must be nothing. The server may go on writing meanwhile.
func (s *Store) Snapshot(ctx context.Context, path string) error {
	if s.postgres != nil {
		return errors.New("PostgreSQL makes its backups itself, by pg_dump")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite fills an empty file
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := s.read.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	return f.Sync()
}

const (
	// crlJump is how far the number of each CRL leaps when a backup is restored, besides
	// the seconds since it was made, in each of which one may have been signed.
	crlJump = 1000
	// shardJump is how many numbers of CRL shards are left out then.
	shardJump = 100_000
)

// Restored makes good what a copy of the database from the time made does not know: the
// number of no CRL is given twice (RFC 5280 §5.2.3), each is signed anew, and no new
// shard has the name of one that is lost.
func (s *Store) Restored(ctx context.Context, made, now time.Time) error {
	jump := int64(max(now.Sub(made), 0)/time.Second) + crlJump
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE crl_shard SET number = number + $1, changes = changes + 1,
			due_at = CASE WHEN base = '' AND der IS NULL THEN due_at ELSE $2 END`, jump, millis(now)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO crl_shard (id, issuer, ca, path, base, taken, taken_at)
			SELECT COALESCE(MAX(id), 0) + $1, '', 'none', $2, '', 0, $3 FROM crl_shard`,
			shardJump, fmt.Sprintf("restored/%d", now.UnixMilli()), millis(now)); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.Restored, Object: made.UTC().Format(time.RFC3339), Detail: audit.Detail{"crl_numbers_leap": jump}})
	})
}
