package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

var errNotDurable = errors.New("its commits are not durable; run: ALTER DATABASE … SET synchronous_commit = on")

// newest is the version of the tables that this program knows.
func newest() (last int64, err error) {
	files, err := migrations{}.ReadDir(".")
	for _, f := range files {
		number, _, _ := strings.Cut(path.Base(f.Name()), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s has no number", f.Name())
		}
		last = max(last, n)
	}
	return last, err
}

// version is that of the tables which are there, 0 for none, and changes nothing.
func (s *Store) version(ctx context.Context) (int64, error) {
	exists := `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'goose_db_version')`
	if s.postgres != nil {
		exists = `SELECT to_regclass('goose_db_version') IS NOT NULL`
	}
	if is, err := one(ctx, s.read, scanBool, exists); err != nil || !is {
		return 0, err
	}
	return one(ctx, s.read, scanInt, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`)
}

// migratePostgres brings the tables up to date, which is one server's work: the others
// wait for it. What is up to date is only looked at, under no lock.
func (s *Store) migratePostgres(ctx context.Context, c *pgxpool.Config) error {
	var durable string
	if err := s.read.QueryRowContext(ctx, `SHOW synchronous_commit`).Scan(&durable); err != nil {
		return err
	}
	if durable == "off" {
		return errNotDurable
	}
	has, err := s.version(ctx)
	if err != nil {
		return err
	}
	knows, err := newest()
	if err != nil {
		return err
	}
	if has > knows {
		return tablesAreNewer(has, knows)
	}
	queue, err := s.queueIsOld(ctx)
	if err != nil || has == knows && !queue {
		return err
	}
	return migrateBy(ctx, c, queue)
}

// migrateBy does it on connections of its own, on which a statement may take as long as it
// takes, but may not wait for long behind another's lock: who comes later would wait
// behind it.
func migrateBy(ctx context.Context, c *pgxpool.Config, queue bool) error {
	c = c.Copy()
	c.MaxConns, c.MinConns, c.MinIdleConns = 4, 0, 0
	c.ConnConfig.DialFunc = dialer.DialContext
	c.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	setDefault(c.ConnConfig.RuntimeParams, "lock_timeout", "10s")
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	l, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60), lock.WithUnlockTimeout(1, 10))
	if err != nil {
		return err
	}
	l = inTurn{l}
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations{toPostgres}, goose.WithSessionLocker(l))
	if err != nil {
		return err
	}
	if err := bringUp(ctx, p); err != nil {
		return inTheWay(err)
	}
	if !queue {
		return nil
	}
	return inTheWay(migrateQueuePostgres(ctx, pool, db, l))
}

// migrateQueuePostgres brings River's tables up to date, under the lock that the other
// migrations take.
func migrateQueuePostgres(ctx context.Context, pool *pgxpool.Pool, db *sql.DB, l lock.SessionLocker) (err error) {
	m, err := queueMigrator(riverpgxv5.New(pool))
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := l.SessionLock(ctx, conn); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.SessionUnlock(context.WithoutCancel(ctx), conn)) }()
	return m.up(ctx)
}

// inTurn is goose's advisory lock, with words for who waited in vain.
type inTurn struct{ lock.SessionLocker }

func (l inTurn) SessionLock(ctx context.Context, conn *sql.Conn) error {
	err := l.SessionLocker.SessionLock(ctx, conn)
	if err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "failed to acquire lock") {
		return errors.New("another vidimusd has been bringing its tables up to date for a minute, which may take long when there is much on record; start again when that is done")
	}
	return err
}

// inTheWay words that somebody else has a table locked.
func inTheWay(err error) error {
	if code(err, "55P03") {
		return fmt.Errorf("its tables have to be changed for this version, and somebody else has locked one of them; end what runs there (see pg_stat_activity: a backup, a long query, a transaction that was left open), and start again: %w", err)
	}
	return err
}
