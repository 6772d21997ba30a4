package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// NewAuthz records an authorization that belongs to no order yet (RFC 8555 §7.4.1), and
// sets its ID and those of its challenges.
func (s *Store) NewAuthz(ctx context.Context, a *Authz) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return newAuthzs(ctx, tx, []*Authz{a}) })
}

// ReusableAuthzs lists the authorizations of an account that orders placed now may take
// up, of identifiers with one of the values, that last beyond a time: valid ones by
// proof, and pending ones that were made before any order. However many orders the account has, this is one look-up for each value.
func (s *Store) ReusableAuthzs(ctx context.Context, account int64, values []string, beyond time.Time) ([]Authz, error) {
	query, args := reusableQuery(account, values, beyond)
	all, err := collect(ctx, s.read, scanAuthz, query, args...)
	slices.SortFunc(all, func(a, b Authz) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// With ORDER BY id SQLite would plan it anew each time that it runs with other values.
func reusableQuery(account int64, values []string, beyond time.Time) (query string, args []any) {
	list, args := listed([]any{account, millis(beyond)}, values)
	return `SELECT ` + authzColumns + ` WHERE reusable AND account_id = $1 AND expires_at > $2 AND status IN ('valid', 'pending')
		AND value IN (` + list + `)`, args
}

const authzColumns = `id, account_id, type, value, wildcard, subdomains, reusable, status, created_at, expires_at, challenges FROM authz`

func scanAuthz(row scanner) (a Authz, err error) {
	err = row.Scan(&a.ID, &a.Account, &a.Identifier.Type, &a.Identifier.Value, &a.Wildcard, &a.Subdomains, &a.Reusable, &a.Status,
		timeColumn{&a.Created}, timeColumn{&a.Expires}, challengesColumn{&a.Challenges})
	a.Recorded = true
	a.number()
	return a, err
}

// takeUp makes sure that an authorization is still as it was read. A pending one stays
// so until the order that takes it up is recorded too: its validation would otherwise
// not find the order.
func takeUp(ctx context.Context, tx *sql.Tx, a *Authz) error {
	if a.Status == acme.Pending {
		return changeOne(ctx, tx, `UPDATE authz SET status = status WHERE id = $1 AND status = 'pending'`, a.ID)
	}
	var id int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM authz WHERE id = $1 AND status = $2`, a.ID, a.Status).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrConflict
	}
	return err
}

// supersede keeps one proof of control for further orders: the newest.
func supersede(ctx context.Context, tx *sql.Tx, newest int64) error {
	_, err := tx.ExecContext(unawaited(ctx), supersedeQuery, newest)
	return err
}

const supersedeQuery = `UPDATE authz SET reusable = FALSE WHERE reusable AND status = 'valid' AND id <> $1
	AND account_id = (SELECT account_id FROM authz WHERE id = $1) AND value = (SELECT value FROM authz WHERE id = $1)
	AND type = (SELECT type FROM authz WHERE id = $1) AND wildcard = (SELECT wildcard FROM authz WHERE id = $1)
	AND subdomains = (SELECT subdomains FROM authz WHERE id = $1)`

// DeactivateAccount ends an account, and what it has begun: authorizations are
// deactivated, orders that have no certificate yet are invalid, for the reason given
// (RFC 8555 §7.3.6). Certificates stay.
func (s *Store) DeactivateAccount(ctx context.Context, id int64, problem *acme.Problem) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := move(ctx, tx, acme.Accounts, "account", id, acme.Valid, acme.Deactivated); err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.AccountDeactivated, Object: object(id)}); err != nil {
			return err
		}
		return s.endBegun(ctx, tx, id, problem)
	})
}

// endBegun ends what an account has begun.
func (s *Store) endBegun(ctx context.Context, tx *sql.Tx, id int64, problem *acme.Problem) error {
	orders, err := collect(ctx, tx, func(row scanner) (ids []int64, err error) { return ids, row.Scan(jsonColumn{&ids}) },
		`SELECT authzs FROM acme_order WHERE account_id = $1 AND status = 'pending' ORDER BY id`, id)
	if err != nil {
		return err
	}
	pending := slices.Concat(orders...)
	slices.Sort(pending) // locked in this order
	for some := range slices.Chunk(slices.Compact(pending), Batch) {
		list, args := listed(nil, some)
		if _, err := tx.ExecContext(ctx, `UPDATE authz SET status = 'deactivated' WHERE status = 'pending' AND id IN (`+list+`)`, args...); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE authz SET status = 'deactivated', reusable = FALSE
		WHERE reusable AND account_id = $1 AND status IN ('pending', 'valid')`, id); err != nil {
		return err
	}
	s.recent.forget()
	_, err = tx.ExecContext(ctx, `UPDATE acme_order SET status = 'invalid', error = $1 WHERE account_id = $2 AND status IN ('pending', 'ready')`,
		toJSON(problem), id)
	return err
}
