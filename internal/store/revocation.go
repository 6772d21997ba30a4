package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// Batch is how many certificates [Store.RevokeAll] and [Store.AddRenewalWindows] take
// at once.
const Batch = 256

// Revoke records a revocation, and blocks the certificate's key when that is why, also
// when the certificate is revoked already: then it returns [ErrConflict].
func (s *Store) Revoke(ctx context.Context, serial string, reason acme.RevocationReason, now time.Time) error {
	n, err := s.RevokeAll(ctx, []string{serial}, reason, now)
	if err == nil && n == 0 {
		return ErrConflict
	}
	return err
}

// RevokeAll is [Store.Revoke] for up to [Batch] certificates, in one transaction. It
// returns how many were not revoked before; the others stay as they are.
func (s *Store) RevokeAll(ctx context.Context, serials []string, reason acme.RevocationReason, now time.Time) (n int, err error) {
	if len(serials) == 0 {
		return 0, nil
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		list, args := inBatch([]any{reason, millis(now)}, serials)
		type one struct {
			serial, issuer string
			shard          sql.NullInt64
		}
		revoked, err := collect(ctx, tx, func(row scanner) (c one, err error) { return c, row.Scan(&c.serial, &c.issuer, &c.shard) },
			`INSERT INTO revocation (issuer, serial, shard_id, reason, revoked_at)
			SELECT issuer, serial, shard_id, CAST($1 AS BIGINT), CAST($2 AS BIGINT) FROM certificate WHERE serial IN (`+list+`)
			ORDER BY serial ON CONFLICT (serial) DO NOTHING RETURNING serial, issuer, shard_id`, args...)
		if err != nil {
			return err
		}
		n = len(revoked)
		shards, events := make([]sql.NullInt64, n), make([]audit.Event, n)
		for i, c := range revoked {
			shards[i] = c.shard
			events[i] = audit.Event{Action: audit.CertificateRevoked, Object: c.serial, Detail: audit.Detail{
				"issuer": c.issuer, "reason": acme.Reasons[reason]}}
		}
		if err := record(ctx, tx, events...); err != nil {
			return err
		}
		if err := shardsChanged(ctx, tx, shards, now); err != nil || reason != acme.KeyCompromise {
			return err
		}
		list, args = inBatch([]any{millis(now)}, serials)
		return blocked(ctx, tx, "a certificate was revoked as compromised", `INSERT INTO blocked_key (spki, blocked_at)
			SELECT DISTINCT spki, CAST($1 AS BIGINT) FROM certificate WHERE serial IN (`+list+`) ORDER BY spki
			ON CONFLICT (spki) DO NOTHING RETURNING spki`, args...)
	})
	return n, err
}

// blocked runs an INSERT of blocked keys and records those that are new.
func blocked(ctx context.Context, tx *sql.Tx, why, query string, args ...any) error {
	keys, err := collect(ctx, tx, func(row scanner) (spki []byte, err error) { return spki, row.Scan(&spki) }, query, args...)
	if err != nil {
		return err
	}
	events := make([]audit.Event, len(keys))
	for i, spki := range keys {
		events[i] = audit.Event{Action: audit.KeyBlocked, Object: hex.EncodeToString(spki), Detail: audit.Detail{"why": why}}
	}
	return record(ctx, tx, events...)
}

// shardsChanged makes the CRLs of shards due, in the order of their numbers, so that
// two transactions can't wait for each other.
func shardsChanged(ctx context.Context, tx *sql.Tx, shards []sql.NullInt64, now time.Time) error {
	ids := make([]int64, 0, len(shards))
	for _, id := range shards {
		if id.Valid {
			ids = append(ids, id.Int64)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if err := changeOne(ctx, tx, `UPDATE crl_shard SET changes = changes + 1, due_at = $1 WHERE id = $2`, millis(now), id); err != nil {
			return err
		}
	}
	return nil
}

// inBatch is the list of parameters for "serial IN (…)" behind those in args. It has
// one or [Batch] elements, so that there are few statements to prepare.
func inBatch(args []any, serials []string) (string, []any) {
	size := 1
	if len(serials) > 1 {
		size = Batch
	}
	list := make([]string, size)
	for i := range list {
		args = append(args, serials[min(i, len(serials)-1)])
		list[i] = "$" + strconv.Itoa(len(args))
	}
	return strings.Join(list, ","), args
}

// BlockKey refuses, from now on, the key with this SHA-256 of its subject public key
// info.
func (s *Store) BlockKey(ctx context.Context, spki []byte, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return blocked(ctx, tx, "", `INSERT INTO blocked_key (spki, blocked_at) VALUES ($1, $2) ON CONFLICT (spki) DO NOTHING RETURNING spki`, spki, millis(now))
	})
}
