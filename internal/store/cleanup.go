package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Orders and authorizations are removed in the order of their numbers, each looked at
// once, when it has long expired: what is kept then is kept for ever. The newest of each
// table stays, as SQLite would give its number again.

const (
	oldOrdersQuery = `SELECT id, serial IS NULL, authzs, expires_at FROM acme_order
		WHERE id > (SELECT through FROM cleaned WHERE what = 'order') ORDER BY id LIMIT $1`
	oldAuthzsQuery = `SELECT id, TRUE, '[]', expires_at FROM authz
		WHERE id > (SELECT through FROM cleaned WHERE what = 'authz') ORDER BY id LIMIT $1`
	removeOrdersQuery = `DELETE FROM acme_order WHERE id > $1 AND id <= $2 AND serial IS NULL AND expires_at < $3`
	unlinkQuery       = `DELETE FROM order_authz WHERE authz_id = $1 AND order_id = $2`
	removeAuthzQuery  = `DELETE FROM authz WHERE id = $1 AND expires_at < $2 AND id < (SELECT MAX(id) FROM authz)
		AND NOT EXISTS (SELECT 1 FROM order_authz o WHERE o.authz_id = authz.id)`
	removeAuthzsQuery = `DELETE FROM authz WHERE id > $1 AND id <= $2 AND expires_at < $3
		AND NOT EXISTS (SELECT 1 FROM order_authz o WHERE o.authz_id = authz.id)`
	endedCallQuery = `SELECT c.id FROM renewal_call c WHERE (c.undone_at < $1 OR c.until < $1)
		AND EXISTS (SELECT 1 FROM renewal_window w WHERE w.call_id = c.id) ORDER BY c.id LIMIT 1`
	endedWindowsQuery = `SELECT w.serial, c.replaced_by IS NOT NULL FROM renewal_window w JOIN certificate c ON c.serial = w.serial
		WHERE w.call_id = $1 LIMIT $2`
)

// expired is what is to be known of an order or authorization that may be removed.
type expired struct {
	id        int64
	removable bool
	authzs    []int64
	at        time.Time
}

func scanExpired(row scanner) (e expired, err error) {
	return e, row.Scan(&e.id, &e.removable, jsonColumn{&e.authzs}, timeColumn{&e.at})
}

// Stale tells whether there is anything for [Store.RemoveStale].
func (s *Store) Stale(ctx context.Context, before time.Time) (bool, error) {
	for _, query := range []string{oldOrdersQuery, oldAuthzsQuery} {
		all, err := collect(ctx, s.read, scanExpired, query, 2)
		if err != nil || len(all) == 2 && all[0].at.Before(before) {
			return err == nil, err
		}
	}
	_, err := one(ctx, s.read, scanID, endedCallQuery, millis(before))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Removed counts what [Store.RemoveStale] has removed.
type Removed struct {
	Orders, Authzs, Windows int64
}

// RemoveStale removes what has expired before a time and is of no use any more: orders
// without a certificate; authorizations, with their challenges, that no order which is
// kept refers to; windows of calls for renewal that have ended. It looks at up to limit
// of each, in a transaction for each, and tells whether that was not all.
func (s *Store) RemoveStale(ctx context.Context, before time.Time, limit int) (r Removed, more bool, err error) {
	for _, remove := range []func(context.Context, time.Time, int) (Removed, bool, error){s.removeOrders, s.removeAuthzs, s.removeWindows} {
		n, rest, err := remove(ctx, before, limit)
		if err != nil {
			return r, more, err
		}
		more = more || rest
		r.Orders, r.Authzs, r.Windows = r.Orders+n.Orders, r.Authzs+n.Authzs, r.Windows+n.Windows
	}
	return r, more, nil
}

// removeInTurn lets remove look at what has expired before a time and is numbered above
// from, up to to, and notes that it is done.
func (s *Store) removeInTurn(ctx context.Context, what, query string, before time.Time, limit int,
	remove func(ctx context.Context, tx *sql.Tx, from, to int64, all []expired) error) (more bool, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		from, err := one(ctx, tx, scanID, `SELECT through FROM cleaned WHERE what = $1`+s.lock(), what)
		if err != nil {
			return err
		}
		all, err := collect(ctx, tx, scanExpired, query, limit+1)
		if err != nil || len(all) == 0 {
			return err
		}
		more = len(all) > limit
		all = all[:len(all)-1] // it is the newest, or begins what comes next
		for i, e := range all {
			if !e.at.Before(before) {
				all, more = all[:i], false
				break
			}
		}
		if len(all) == 0 {
			more = false
			return nil
		}
		to := all[len(all)-1].id
		if err := remove(ctx, tx, from, to, all); err != nil {
			return err
		}
		return changeOne(ctx, tx, `UPDATE cleaned SET through = $1 WHERE what = $2`, to, what)
	})
	return more, err
}

func (s *Store) removeOrders(ctx context.Context, before time.Time, limit int) (n Removed, more bool, err error) {
	more, err = s.removeInTurn(ctx, "order", oldOrdersQuery, before, limit, func(ctx context.Context, tx *sql.Tx, from, to int64, all []expired) (err error) {
		n = Removed{}
		if n.Orders, err = affected(ctx, tx, removeOrdersQuery, from, to, millis(before)); err != nil {
			return err
		}
		for _, e := range all {
			if !e.removable {
				continue
			}
			for _, authz := range e.authzs {
				if _, err := affected(ctx, tx, unlinkQuery, authz, e.id); err != nil {
					return err
				}
				gone, err := affected(ctx, tx, removeAuthzQuery, authz, millis(before))
				if err != nil {
					return err
				}
				n.Authzs += gone
			}
		}
		return nil
	})
	return n, more, err
}

func (s *Store) removeAuthzs(ctx context.Context, before time.Time, limit int) (n Removed, more bool, err error) {
	more, err = s.removeInTurn(ctx, "authz", oldAuthzsQuery, before, limit, func(ctx context.Context, tx *sql.Tx, from, to int64, _ []expired) (err error) {
		n = Removed{}
		n.Authzs, err = affected(ctx, tx, removeAuthzsQuery, from, to, millis(before))
		return err
	})
	return n, more, err
}

// removeWindows is for one call at a time, which keeps count of them.
func (s *Store) removeWindows(ctx context.Context, before time.Time, limit int) (n Removed, more bool, err error) {
	type window struct {
		serial   string
		replaced bool
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, more = Removed{}, false
		call, err := one(ctx, tx, scanID, endedCallQuery+s.lock(), millis(before))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		all, err := collect(ctx, tx, func(row scanner) (w window, err error) { return w, row.Scan(&w.serial, &w.replaced) }, endedWindowsQuery, call, limit)
		if err != nil {
			return err
		}
		replaced := 0
		for _, w := range all {
			gone, err := affected(ctx, tx, `DELETE FROM renewal_window WHERE serial = $1 AND call_id = $2`, w.serial, call)
			if err != nil {
				return err
			}
			n.Windows += gone
			if w.replaced && gone > 0 {
				replaced++
			}
		}
		more = true // windows of this call, or another call, unless the next look finds none
		return changeOne(ctx, tx, `UPDATE renewal_call SET removed = removed + $1, removed_replaced = removed_replaced + $2 WHERE id = $3`, n.Windows, replaced, call)
	})
	return n, more, err
}

// affected runs a statement and tells how many rows it changed.
func affected(ctx context.Context, tx execer, query string, args ...any) (int64, error) {
	r, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
