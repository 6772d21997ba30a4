// Package store keeps what vidimusd knows in a SQL database, behind one set of
// queries. Each exported method is one transaction, or one read; every change of a
// status is a compare-and-set, so of two that race one gets [ErrConflict].
//
// It keeps facts and makes no decisions: who may have what is decided in package
// directory, what follows what in package acme.
package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that another change came first, or that the thing exists.
	ErrConflict = errors.New("changed or taken by another request")
	// ErrUnavailable says that the database did not do it now, for a reason that has
	// nothing to do with what was asked: it is down, restarts, or has no room.
	ErrUnavailable = errors.New("the database is not available")
)

// Store is the database. It is safe for concurrent use.
type Store struct {
	write *sql.DB // SQLite: one connection, for writes
	read  *sql.DB // PostgreSQL: for everything

	path     string        // SQLite's file
	claim    *os.File      // see Claim; nil without
	writes   writer        // SQLite's
	postgres *postgres     // nil with SQLite
	pool     *pgxpool.Pool // see Queue; nil with SQLite

	see         atomic.Pointer[func(audit.Event)] // see Observe
	changes     atomic.Int64                      // see Stats
	permissions atomic.Uint64                     // see Permissions
	recent      recentAuthzs                      // see RecentAuthz
}

// Open opens a database and brings its tables up to date: that of a postgres:// URL,
// or the SQLite file at a path, which is made (0600) when it isn't there. A change
// that has been made is durable.
func Open(ctx context.Context, database string) (_ *Store, err error) {
	s := new(Store)
	if IsURL(database) {
		err = s.openPostgres(ctx, database)
	} else {
		err = s.openSQLite(ctx, database)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("opening the database %s: %w", Redacted(database), err)
	}
	return s, nil
}

// tablesAreNewer words that the tables have version has, and this program knows less.
func tablesAreNewer(has, newest int64) error {
	return fmt.Errorf("it was made by a newer vidimusd (its tables are version %d, this program knows %d); use that one", has, newest)
}

// bringUp runs what migrations are missing.
func bringUp(ctx context.Context, p *goose.Provider) error {
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	switch newest := p.ListSources()[len(p.ListSources())-1].Version; {
	case has > newest:
		return tablesAreNewer(has, newest)
	case has == newest:
		return nil
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the database.
func (s *Store) Close() error {
	var errs []error
	if s.pool != nil {
		s.pool.Close()
	}
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.claim != nil { // last: another server may begin then
		errs = append(errs, s.claim.Close())
		s.claim = nil
	}
	return errors.Join(errs...)
}

// querier is what reads have in common, inside a transaction and outside.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// update runs fn in a write transaction, perhaps several times (see [writer.do] and
// [postgres.do]). A request that is gone must not leave a change half decided, so the
// caller's cancellation does not reach it.
//
// With SQLite nothing else writes meanwhile. With PostgreSQL transactions run side by
// side, each statement on what is committed when it begins (READ COMMITTED): what is
// read to decide by is locked first (see [Store.lock]), or the statement that changes
// it decides by itself.
func (s *Store) update(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	do := s.writes.do
	if s.postgres != nil {
		do = s.postgres.do
	}
	return s.observed(context.WithoutCancel(ctx), fn, do)
}

// lock is what a SELECT of rows that other transactions must leave alone ends with.
// Rows of several tables are locked in the order host, acme_id, account, authz,
// acme_order, certificate; those of one table in the order of their keys.
func (s *Store) lock() string {
	if s.postgres != nil {
		return " FOR UPDATE"
	}
	return ""
}

// updateOne is update for one statement, which must change exactly one row; it spares
// PostgreSQL the rest of a transaction.
func (s *Store) updateOne(ctx context.Context, query string, args ...any) error {
	if s.postgres != nil {
		return s.postgres.alone(context.WithoutCancel(ctx), func(ctx context.Context) error { return changeOne(ctx, s.read, query, args...) })
	}
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return changeOne(ctx, tx, query, args...) })
}

// changeOne runs a statement that must change exactly one row.
func changeOne(ctx context.Context, tx execer, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrConflict
	}
	return nil
}

// column is a value to write.
type column struct {
	name  string
	value any
}

// move takes an object from one status to another, and writes further columns of it,
// when its machine has that move and nobody was faster.
func move(ctx context.Context, tx *sql.Tx, m acme.Machine, table string, id int64, from, to acme.Status, also ...column) error {
	if !m.Allows(from, to) {
		return fmt.Errorf("%s: there is no way from %s to %s (RFC 8555 §7.1.6)", table, from, to)
	}
	set, args := "", []any{to, id, from}
	for _, c := range also {
		args = append(args, c.value)
		set += fmt.Sprintf(", %s = $%d", c.name, len(args))
	}
	return changeOne(ctx, tx, `UPDATE `+table+` SET status = $1`+set+` WHERE id = $2 AND status = $3`, args...)
}

// insert runs an INSERT … ON CONFLICT DO NOTHING RETURNING id.
func insert(ctx context.Context, tx *sql.Tx, query string, args ...any) (id int64, err error) {
	err = tx.QueryRowContext(ctx, query, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrConflict
	}
	return id, err
}

// unwatched is ctx for a query that is over sooner than anybody cancels it. To watch
// for that, database/sql and the driver start two goroutines for each query; and a
// query that is interrupted costs its connection, with all statements prepared on it.
func unwatched(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// collect reads all rows by scan; the list is empty, not nil, when there is none.
func collect[T any](ctx context.Context, q querier, scan func(row scanner) (T, error), query string, args ...any) (out []T, err error) {
	err = reading(ctx, q, func(ctx context.Context) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		out = []T{}
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return rows.Err()
	})
	return out, err
}

// one reads a single row by scan.
func one[T any](ctx context.Context, q querier, scan func(row scanner) (T, error), query string, args ...any) (v T, err error) {
	err = reading(ctx, q, func(ctx context.Context) (err error) {
		v, err = scan(q.QueryRowContext(ctx, query, args...))
		if errors.Is(err, sql.ErrNoRows) || noText(err) {
			return ErrNotFound
		}
		return err
	})
	return v, err
}

// reading runs a read, outside a transaction once more when the database went away.
func reading(ctx context.Context, q querier, read func(context.Context) error) error {
	ctx = unwatched(ctx)
	db, outside := q.(*sql.DB)
	if !outside {
		return read(ctx)
	}
	return persist(ctx, db, read, lost)
}

type scanner interface{ Scan(dest ...any) error }

func scanString(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// Times are kept as Unix milliseconds; the zero time as NULL.

func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

type timeColumn struct{ t *time.Time }

func (c timeColumn) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*c.t = time.Time{}
	case int64:
		*c.t = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a time column holds %T", v)
	}
	return nil
}

// jsonColumn reads and NULL leaves the value as it is.
type jsonColumn struct{ v any }

func (c jsonColumn) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return json.Unmarshal([]byte(v), c.v)
	default:
		return fmt.Errorf("a JSON column holds %T", v)
	}
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("store: " + err.Error()) // only our own plain structs come here
	}
	return string(data)
}
