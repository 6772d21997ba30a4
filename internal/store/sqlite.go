package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

func (s *Store) openSQLite(ctx context.Context, path string) error {
	// SQLite would make the file with the umask's mode; it gives the -wal and -shm
	// files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	s.path = path

	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}}
	dsn := (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String()
	if s.write, err = openPool(dsn, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	s.writes.db = s.write
	if err := s.migrateSQLite(ctx, path); err != nil {
		return err
	}
	if s.read, err = openPool(dsn, "BEGIN"); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(2 * runtime.NumCPU())
	s.read.SetMaxIdleConns(2 * runtime.NumCPU())
	return nil
}

// openPool opens a database whose transactions begin by the statement begin.
func openPool(dsn, begin string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(prepared{c, begin}), nil
}

// migrateSQLite brings the tables up to date. A lock on the database's directory keeps
// two processes from doing so at once.
func (s *Store) migrateSQLite(ctx context.Context, path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close() // which also unlocks
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir.Name(), err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, migrations{toSQLite})
	if err != nil {
		return err
	}
	if err := bringUp(ctx, p); err != nil {
		return err
	}
	return s.migrateQueueSQLite(ctx)
}

// short tells whether SQLite is short of disk, memory, files or time: the disk is full or
// fails, or another process has written for ten seconds.
func short(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY:
		return true
	}
	return false
}
