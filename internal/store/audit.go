package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vidimus/internal/audit"
)

type eventsKey struct{}

// record writes events into the audit log, by the actor of ctx, in the transaction of
// the change that they tell of.
func record(ctx context.Context, tx *sql.Tx, events ...audit.Event) error {
	at, actor := time.Now().UnixMilli(), toJSON(audit.Of(ctx))
	happened(ctx, events...)
	for chunk := range slices.Chunk(events, maxTogether) {
		args := make([]any, 0, 6*len(chunk))
		for _, e := range chunk {
			if e.Result == "" {
				e.Result = "done"
			}
			if e.Detail == nil {
				e.Detail = audit.Detail{}
			}
			args = append(args, at, actor, e.Action, e.Object, e.Result, toJSON(e.Detail))
		}
		if _, err := tx.ExecContext(unawaited(ctx), `INSERT INTO audit (at, actor, action, object, result, detail) VALUES `+
			rowsOf(len(chunk), "", "", "", "", "", ""), args...); err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
	}
	return nil
}

// happened notes events for [Store.Observe].
func happened(ctx context.Context, events ...audit.Event) {
	if all, ok := ctx.Value(eventsKey{}).(*[]audit.Event); ok {
		*all = append(*all, events...)
	}
}

// maxTogether is how many rows one statement writes at most: as its text differs with
// their number, few texts are prepared.
const maxTogether = 16

// rowsOf is "($1, $2), ($3, $4)" for n rows with one column for each of types, which
// are cast to where not empty.
func rowsOf(n int, types ...string) string {
	var b strings.Builder
	for i := range n * len(types) {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%len(types) == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		if t := types[i%len(types)]; t != "" {
			fmt.Fprintf(&b, "CAST($%d AS %s)", i+1, t)
		} else {
			fmt.Fprintf(&b, "$%d", i+1)
		}
	}
	b.WriteString(")")
	return b.String()
}

// observed is fn with the events of its last run passed on once the change is durable.
func (s *Store) observed(ctx context.Context, fn func(context.Context, *sql.Tx) error,
	do func(context.Context, func(context.Context, *sql.Tx) error) error) error {
	var events []audit.Event
	err := do(context.WithValue(ctx, eventsKey{}, &events), func(ctx context.Context, tx *sql.Tx) error {
		events = events[:0]
		return fn(ctx, tx)
	})
	if slices.ContainsFunc(events, func(e audit.Event) bool { return e.Action.AboutPermission() }) {
		s.permissions.Add(1) // also after an error: the answer to a commit may be lost
	}
	if err == nil {
		s.changes.Add(1)
	}
	if see := s.see.Load(); err == nil && see != nil {
		for _, e := range events {
			(*see)(e)
		}
	}
	return err
}

// Permissions is a number that grows with each change that this process makes to
// accounts, credentials, ACME-IDs or hosts, before the method that makes it returns:
// what was read while it was the same is still so, as far as this process knows.
func (s *Store) Permissions() uint64 { return s.permissions.Load() }

// Observe has fn called for each event that this process has put on record from now
// on, after its commit. fn must be quick and safe for concurrent use.
func (s *Store) Observe(fn func(audit.Event)) { s.see.Store(&fn) }

// Record writes an event that goes with no other change.
func (s *Store) Record(ctx context.Context, e audit.Event) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return record(ctx, tx, e) })
}

// AuditHead is the end of the audit log's chain.
type AuditHead struct {
	Position int64  `json:"position"` // 0 when nothing is sealed
	Hash     string `json:"hash"`
}

const auditHead = `SELECT position, hash FROM audit_head WHERE id = 1`

func scanHead(row scanner) (h AuditHead, err error) {
	err = row.Scan(&h.Position, &h.Hash)
	return h, err
}

// AuditHead reads the end of the chain.
func (s *Store) AuditHead(ctx context.Context) (AuditHead, error) {
	return one(ctx, s.read, scanHead, auditHead)
}

const auditColumns = `SELECT COALESCE(position, 0), COALESCE(hash, ''), id, at, actor, action, object, result, detail FROM audit`

func scanAudit(row scanner) (r audit.Row, err error) {
	var actor, detail string
	err = row.Scan(&r.Position, &r.Hash, &r.ID, timeColumn{&r.At}, &actor, &r.Action, &r.Object, &r.Result, &detail)
	r.Actor, r.Detail = []byte(actor), []byte(detail)
	return r, err
}

// AuditRows lists up to limit sealed rows behind the position after, in the order of
// the chain.
func (s *Store) AuditRows(ctx context.Context, after int64, limit int) ([]audit.Row, error) {
	return collect(ctx, s.read, scanAudit, auditColumns+` WHERE position > $1 ORDER BY position LIMIT $2`, after, limit)
}

// AuditUnsealed lists up to limit rows that have no place in the chain yet.
func (s *Store) AuditUnsealed(ctx context.Context, limit int) ([]audit.Row, error) {
	return collect(ctx, s.read, scanAudit, auditColumns+` WHERE position IS NULL ORDER BY id LIMIT $1`, limit)
}

// sealedTogether is how many rows one transaction seals at most.
const sealedTogether = 512

// SealAudit gives all rows that are committed their place in the chain. Several
// processes may do so at once: who finds that the chain has grown leaves the rest to
// the other.
func (s *Store) SealAudit(ctx context.Context) error {
	for {
		rows, err := s.AuditUnsealed(ctx, 1)
		if err != nil || len(rows) == 0 {
			return err
		}
		err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return s.seal(ctx, tx) })
		if errors.Is(err, ErrConflict) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("sealing the audit log: %w", err)
		}
	}
}

func (s *Store) seal(ctx context.Context, tx *sql.Tx) error {
	head, err := one(ctx, tx, scanHead, auditHead+s.lock())
	if err != nil {
		return err
	}
	rows, err := collect(ctx, tx, scanAudit, auditColumns+` WHERE position IS NULL ORDER BY id LIMIT $1`, sealedTogether)
	if err != nil {
		return err
	}
	next := head
	for i := range rows {
		r := &rows[i]
		r.Position = next.Position + 1
		r.Hash = r.Sum(next.Hash)
		next = AuditHead{r.Position, r.Hash}
	}
	for some := range slices.Chunk(rows, maxTogether) {
		n := powerOfTwo(len(some)) // the last row again and again, which changes nothing
		args := make([]any, 0, 3*n)
		for i := range n {
			r := some[min(i, len(some)-1)]
			args = append(args, r.ID, r.Position, r.Hash)
		}
		// The + keeps SQLite from going through all that is unsealed for each statement.
		res, err := tx.ExecContext(ctx, `UPDATE audit SET position = v.column2, hash = v.column3 FROM (VALUES `+
			rowsOf(n, "BIGINT", "BIGINT", "TEXT")+`) AS v WHERE audit.id = v.column1 AND +audit.position IS NULL`, args...)
		if err != nil {
			return err
		}
		if changed, err := res.RowsAffected(); err != nil || changed != int64(len(some)) {
			return errors.Join(err, ErrConflict)
		}
	}
	return changeOne(ctx, tx, `UPDATE audit_head SET position = $1, hash = $2 WHERE id = 1 AND position = $3`,
		next.Position, next.Hash, head.Position)
}
