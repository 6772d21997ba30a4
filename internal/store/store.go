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
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"vidimus/internal/acme"
)

var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that another change came first, or that the thing exists.
	ErrConflict = errors.New("changed or taken by another request")
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the database. It is safe for concurrent use.
type Store struct {
	write  *sql.DB // one connection, for writes
	writes writer
	read   *sql.DB
}

// Open opens the SQLite database at path, makes it (0600) when it isn't there, and
// brings its tables up to date. Each commit is durable (synchronous=FULL).
func Open(ctx context.Context, path string) (*Store, error) {
	s, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string) (_ *Store, err error) {
	// SQLite would make the file with the umask's mode; it gives the -wal and -shm
	// files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()

	s := new(Store)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	dsn := func(txlock string) string {
		q := url.Values{"_txlock": {txlock}, "_pragma": {
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
		return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
	}
	if s.write, err = openPool(dsn("immediate")); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	s.writes.db = s.write
	if err := s.migrate(ctx, path); err != nil {
		return nil, err
	}
	if s.read, err = openPool(dsn("deferred")); err != nil {
		return nil, err
	}
	s.read.SetMaxOpenConns(2 * runtime.NumCPU())
	s.read.SetMaxIdleConns(2 * runtime.NumCPU())
	return s, nil
}

func openPool(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(prepared{c}), nil
}

// migrate runs what migrations are missing. A lock on the database's directory
// keeps two processes from doing so at once.
func (s *Store) migrate(ctx context.Context, path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close() // which also unlocks
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir.Name(), err)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, sub)
	if err != nil {
		return err
	}
	if has, err := p.GetDBVersion(ctx); err != nil {
		return err
	} else if newest := p.ListSources()[len(p.ListSources())-1].Version; has > newest {
		return fmt.Errorf("it was made by a newer vidimusd (its tables are version %d, this program knows %d); use that one", has, newest)
	}
	_, err = p.Up(ctx)
	return err
}

// Close closes the database.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// querier is what reads have in common, inside a transaction and outside.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// update runs fn in a write transaction, perhaps twice (see [writer.do]). A request
// that is gone must not leave a change half decided, so the caller's cancellation does
// not reach it.
func (s *Store) update(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return s.writes.do(context.WithoutCancel(ctx), fn)
}

// changeOne runs a statement that must change exactly one row.
func changeOne(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
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

// move takes an object from one status to another, when its machine has that move
// and nobody was faster.
func move(ctx context.Context, tx *sql.Tx, m acme.Machine, table string, id int64, from, to acme.Status) error {
	if !m.Allows(from, to) {
		return fmt.Errorf("%s: there is no way from %s to %s (RFC 8555 §7.1.6)", table, from, to)
	}
	return changeOne(ctx, tx, `UPDATE `+table+` SET status = $1 WHERE id = $2 AND status = $3`, to, id, from)
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
func collect[T any](ctx context.Context, q querier, scan func(row scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(unwatched(ctx), query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// one reads a single row by scan.
func one[T any](ctx context.Context, q querier, scan func(row scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(q.QueryRowContext(unwatched(ctx), query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return v, err
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
