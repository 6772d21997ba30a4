package store

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"vidimus/internal/store/postgrestest"
)

// postgresOf is a connection of a test's own.
func postgresOf(t *testing.T, database string) *sql.DB {
	t.Helper()
	c, err := parseURL(database)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(stdlib.GetConnector(*c.ConnConfig))
	t.Cleanup(func() { db.Close() })
	return db
}

func (m migrations) upTo(t *testing.T, db *sql.DB, version int64) {
	t.Helper()
	p, err := goose.NewProvider(goose.DialectPostgres, db, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

// A migration of much takes longer than any statement of a server may.
func TestAMigrationMayTakeLongerThanAStatement(t *testing.T) {
	database := postgrestest.URL(t)
	db := postgresOf(t, database)
	migrations{toPostgres}.upTo(t, db, 9)
	for _, q := range []string{
		`CREATE FUNCTION slowly() RETURNS event_trigger LANGUAGE plpgsql AS $$
			BEGIN IF current_query() LIKE '%acme_id_all%' THEN PERFORM pg_sleep(2.5); END IF; END $$`,
		`CREATE EVENT TRIGGER slowly ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION slowly()`,
	} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	s := openAt(t, database+"&statement_timeout=2000")
	var timeout string
	if err := s.read.QueryRowContext(t.Context(), `SHOW statement_timeout`).Scan(&timeout); err != nil || timeout != "2s" {
		t.Errorf("a statement may take %s afterwards, %v", timeout, err)
	}
	if has, err := s.version(t.Context()); err != nil || has < 10 {
		t.Errorf("version %d, %v", has, err)
	}
}

// One that would wait behind somebody's lock says so, and keeps nobody waiting behind it.
func TestAMigrationThatIsLockedOutSaysSo(t *testing.T) {
	database := postgrestest.URL(t)
	db := postgresOf(t, database)
	migrations{toPostgres}.upTo(t, db, 9)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), `LOCK TABLE acme_id IN ROW EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), database+"&lock_timeout=200"); err == nil {
		s.Close()
		t.Fatal("the tables were changed under a lock")
	} else if !strings.Contains(err.Error(), "somebody else has locked one of them") {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	openAt(t, database)
}

// What is up to date needs no lock: a command of an operator waits for nobody.
func TestTablesThatAreUpToDateAreNotLocked(t *testing.T) {
	database := postgrestest.URL(t)
	openAt(t, database).Close()
	db := postgresOf(t, database)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), `SELECT pg_advisory_lock(4097083626)`); err != nil { // goose's
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // less than it would wait for the lock
	defer cancel()
	s, err := Open(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestTheNewestVersionIsThatOfTheLastFile(t *testing.T) {
	knows, err := newest()
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{t.TempDir() + "/test.db", postgrestest.URL(t)} {
		s := openAt(t, database)
		if has, err := s.version(t.Context()); err != nil || has != knows {
			t.Errorf("%s has version %d, %v; want %d", database, has, err, knows)
		}
	}
}
