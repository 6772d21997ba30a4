package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// queueConnections is how many connections to PostgreSQL the queue of jobs has at most,
// one of which listens, besides those for everything else.
const queueConnections = 4

// Queue is where River keeps the jobs; one of them is nil. With SQLite it is the one
// connection that writes, so that the jobs wait for their turn with all other changes
// and don't contend with them for SQLite's lock.
func (s *Store) Queue() (*sql.DB, *pgxpool.Pool) { return s.write, s.pool }

// openQueue makes the pool of connections to PostgreSQL that River uses.
func (s *Store) openQueue(ctx context.Context, c *pgxpool.Config) (err error) {
	c = c.Copy()
	c.MaxConns, c.MinConns, c.MinIdleConns = queueConnections, 0, 0
	s.pool, err = pgxpool.NewWithConfig(ctx, c)
	return err
}

// queueIsOld tells whether River's tables in PostgreSQL are to be brought up to date.
func (s *Store) queueIsOld(ctx context.Context) (bool, error) {
	m, err := queueMigrator(riverpgxv5.New(s.pool))
	if err != nil {
		return false, err
	}
	return m.missing(ctx)
}

// migrateQueueSQLite brings River's tables in SQLite up to date. The caller has a lock.
func (s *Store) migrateQueueSQLite(ctx context.Context) error {
	m, err := queueMigrator(riversqlite.New(s.write))
	if err != nil {
		return err
	}
	if missing, err := m.missing(ctx); err != nil || !missing {
		return err
	}
	return m.up(ctx)
}

type migrator[TTx any] struct{ *rivermigrate.Migrator[TTx] }

func queueMigrator[TTx any](d riverdriver.Driver[TTx]) (migrator[TTx], error) {
	m, err := rivermigrate.New(d, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	return migrator[TTx]{m}, err
}

// missing tells whether River's tables are older than this program wants them.
func (m migrator[TTx]) missing(ctx context.Context) (bool, error) {
	has, err := m.ExistingVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for the tables of the queue of jobs: %w", err)
	}
	return len(has) < len(m.AllVersions()), nil
}

func (m migrator[TTx]) up(ctx context.Context) error {
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("making the tables of the queue of jobs: %w", err)
	}
	return nil
}

// mayNotCreate words that a role may not make the tables that are missing.
func mayNotCreate(err error) error {
	if code(err, "42501") {
		return fmt.Errorf("%w: %w", errMayNotCreate, err)
	}
	return err
}

var errMayNotCreate = errors.New("its role may not make or change the tables that this version needs; run as the database's owner: GRANT CREATE ON SCHEMA public TO the role, and have the role own the tables that are there")
