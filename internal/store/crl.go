package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vidimus/internal/acme"
)

// Shard is the scope of one CRL, and that CRL but for its bytes.
type Shard struct {
	ID      int64
	Issuer  string // name in the configuration
	CA      string // subject key identifier of the CA certificate that signs, hexadecimal
	Path    string // behind /crl/, without ".crl"; of the first shard of an issuer its name
	Base    string // what Path follows in the URL, or "" when certificates name no CRL
	Taken   time.Time
	Changes int64 // grows with each revocation

	Number     int64 // of the newest CRL, 0 before the first
	Seen       int64 // the Changes that it knows
	ThisUpdate time.Time
	NextUpdate time.Time
	Due        time.Time // when to sign the next; zero for never
}

// URL is where the CRL is, as the certificates of the shard say; "" when they don't.
func (s Shard) URL() string {
	if s.Base == "" {
		return ""
	}
	return s.Base + s.Path + ".crl"
}

const shardColumns = `id, issuer, ca, path, base, taken_at, changes, number, seen, this_update, next_update, due_at FROM crl_shard`

func scanShard(row scanner) (s Shard, err error) {
	err = row.Scan(&s.ID, &s.Issuer, &s.CA, &s.Path, &s.Base, timeColumn{&s.Taken}, &s.Changes, &s.Number, &s.Seen,
		timeColumn{&s.ThisUpdate}, timeColumn{&s.NextUpdate}, timeColumn{&s.Due})
	return s, err
}

// AdoptShards gives a CA certificate what its issuer has signed before there were
// shards. The first CA that asks gets it.
func (s *Store) AdoptShards(ctx context.Context, issuer, ca, base string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE crl_shard SET ca = $1, base = $2 WHERE ca = '' AND issuer = $3`, ca, base, issuer)
		return err
	})
}

// TakePlaces takes n places in a shard of the CA whose URL begins with base, and that
// has so many left of size; there is a new one when there is none. The places are the
// caller's for ever.
func (s *Store) TakePlaces(ctx context.Context, issuer, ca, base string, n, size int, now time.Time) (shard Shard, err error) {
	const takes = `taken = taken + $1, taken_at = $2`
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// One after another for each CA, lest each makes a new shard when the last is full.
		// An UPDATE locks the row, as SELECT … FOR UPDATE does, but not against the records
		// of certificates that refer to it.
		if _, err := tx.ExecContext(ctx, `UPDATE crl_shard SET taken = taken WHERE id =
			(SELECT MIN(id) FROM crl_shard WHERE issuer = $1 AND ca = $2)`, issuer, ca); err != nil {
			return err
		}
		shard, err = one(ctx, tx, scanTaken, `UPDATE crl_shard SET `+takes+` WHERE taken + $1 <= $3
			AND id = (SELECT MIN(id) FROM crl_shard WHERE ca = $4 AND issuer = $5 AND base = $6 AND taken + $1 <= $3)
			RETURNING id, path, base`, n, millis(now), size, ca, issuer, base)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		// The issuer's name is the path of its first shard, an ID that of the others.
		const row = `INSERT INTO crl_shard (issuer, ca, path, base, taken, taken_at, due_at) VALUES ($1, $2, $3, $4, $5, $6, 0)
			ON CONFLICT (path) DO NOTHING RETURNING id, path, base`
		shard, err = one(ctx, tx, scanTaken, row, issuer, ca, issuer, base, n, millis(now))
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		last, err := one(ctx, tx, scanInt, `SELECT COALESCE(MAX(id), 0) FROM crl_shard`)
		if err != nil {
			return err
		}
		shard, err = one(ctx, tx, scanTaken, row, issuer, ca, fmt.Sprintf("%s/%d", issuer, last+1), base, n, millis(now))
		if errors.Is(err, ErrNotFound) {
			return ErrConflict // another process has made that one now; it has places
		}
		return err
	})
	shard.Issuer, shard.CA = issuer, ca
	return shard, err
}

func scanTaken(row scanner) (s Shard, err error) { return s, row.Scan(&s.ID, &s.Path, &s.Base) }

func scanInt(row scanner) (n int64, err error) { return n, row.Scan(&n) }

// Shard finds a shard by its path.
func (s *Store) Shard(ctx context.Context, path string) (Shard, error) {
	return one(ctx, s.read, scanShard, `SELECT `+shardColumns+` WHERE path = $1`, path)
}

// ShardsOf lists the shards of an issuer.
func (s *Store) ShardsOf(ctx context.Context, issuer string) ([]Shard, error) {
	return collect(ctx, s.read, scanShard, `SELECT `+shardColumns+` WHERE issuer = $1 ORDER BY id`, issuer)
}

// DueShards lists up to limit shards of a CA whose CRL is to be signed anew by now, the
// most urgent first.
func (s *Store) DueShards(ctx context.Context, ca string, now time.Time, limit int) ([]Shard, error) {
	return collect(ctx, s.read, scanShard, `SELECT `+shardColumns+` WHERE ca = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3`, ca, millis(now), limit)
}

// CRL reads the newest CRL of a shard, in DER; nil before the first.
func (s *Store) CRL(ctx context.Context, shard int64) (number int64, der []byte, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT number, der FROM crl_shard WHERE id = $1`, shard).Scan(&number, &der)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return number, der, err
}

// SetCRL records a new CRL of a shard, with what the fields of s say of it, if the
// newest is still number before. When there has been another revocation since
// s.Changes was read, the shard stays due.
func (s *Store) SetCRL(ctx context.Context, sh Shard, before int64, der []byte) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return changeOne(ctx, tx, `UPDATE crl_shard SET number = $1, der = $2, seen = $3, this_update = $4, next_update = $5,
			due_at = CASE WHEN changes = $3 THEN $6 ELSE due_at END WHERE id = $7 AND number = $8`,
			sh.Number, der, sh.Seen, millis(sh.ThisUpdate), millis(sh.NextUpdate), millis(sh.Due), sh.ID, before)
	})
}

// Revocations lists the revoked certificates of a shard that end after the given time;
// only serial, revocation time and reason are filled.
func (s *Store) Revocations(ctx context.Context, shard int64, after time.Time) ([]Certificate, error) {
	return collect(ctx, s.read, func(row scanner) (c Certificate, err error) {
		return c, row.Scan(&c.Serial, timeColumn{&c.Revoked}, &c.Reason)
	}, `SELECT c.serial, r.revoked_at, r.reason FROM revocation r JOIN certificate c ON c.serial = r.serial
		WHERE r.shard_id = $1 AND c.not_after > $2 ORDER BY r.id`, shard, millis(after))
}

// ShardLives tells whether a certificate of the shard ends after the given time.
func (s *Store) ShardLives(ctx context.Context, shard int64, after time.Time) (bool, error) {
	return one(ctx, s.read, func(row scanner) (yes bool, err error) { return yes, row.Scan(&yes) },
		`SELECT EXISTS (SELECT 1 FROM certificate WHERE shard_id = $1 AND not_after > $2)`, shard, millis(after))
}

// CertificateStatus is what OCSP says of a certificate.
type CertificateStatus struct {
	CA      string // subject key identifier of what signed it, hexadecimal; "" when in no CRL
	Signed  bool   // false: intended, and not known to be signed
	Revoked time.Time
	Reason  acme.RevocationReason
}

// CertificateStatus finds the status of a certificate by its serial number.
func (s *Store) CertificateStatus(ctx context.Context, serial string) (CertificateStatus, error) {
	return one(ctx, s.read, func(row scanner) (c CertificateStatus, err error) {
		var reason sql.NullInt64
		var ca sql.NullString
		err = row.Scan(&ca, &c.Signed, timeColumn{&c.Revoked}, &reason)
		c.CA, c.Reason = ca.String, acme.RevocationReason(reason.Int64)
		return c, err
	}, `SELECT s.ca, c.der IS NOT NULL, r.revoked_at, r.reason FROM certificate c LEFT JOIN crl_shard s ON s.id = c.shard_id
		LEFT JOIN revocation r ON r.serial = c.serial WHERE c.serial = $1`, serial)
}
