package store

import (
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"vidimus/internal/store/postgrestest"
)

// inspected wants an inspection to find tables of a version, or to fail and say something.
func inspected(t *testing.T, database string, tables int64, says string) Inspection {
	t.Helper()
	i, err := Inspect(t.Context(), database)
	switch {
	case says == "" && (err != nil || i.Tables != tables):
		t.Errorf("%s: version %d, %v; want %d", database, i.Tables, err, tables)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("%s: %v; want an error that says %q", database, err, says)
	}
	return i
}

func TestInspectLooksAtSQLite(t *testing.T) {
	dir := t.TempDir()
	knows, err := newest()
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.db")
	inspected(t, missing, 0, "")
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there now: %v", err)
	}
	inspected(t, filepath.Join(dir, "nowhere", "test.db"), 0, "no such file")

	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	inspected(t, text, 0, "not a database")

	old := filepath.Join(dir, "old.db")
	db, err := sql.Open("sqlite", old)
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, migrations{toSQLite})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	db.Close()
	inspected(t, old, 4, "")
	inspected(t, old, 4, "") // nothing has been changed

	path := filepath.Join(dir, "test.db")
	s := openAt(t, path)
	selectable(t, s)
	if i := inspected(t, path, knows, ""); i.Newest != knows || !strings.HasPrefix(i.Program, "SQLite 3.") || i.Orphaned["main"] == 0 || i.Orphaned["staging"] != 1 {
		t.Errorf("%+v", i)
	}
	if _, err := s.write.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	inspected(t, path, 0, "newer vidimusd")
}

func TestInspectLooksAtPostgreSQL(t *testing.T) {
	database := postgrestest.URL(t)
	knows, err := newest()
	if err != nil {
		t.Fatal(err)
	}
	db := postgresOf(t, database)
	inspected(t, database, 0, "")
	migrations{toPostgres}.upTo(t, db, 9)
	inspected(t, database, 9, "")
	reader := role(t, db, database)
	inspected(t, reader, 0, "its role may not change its tables")
	if _, err := db.ExecContext(t.Context(), `GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO `+roleOf(reader)); err != nil {
		t.Fatal(err)
	}
	inspected(t, reader, 0, "GRANT CREATE ON SCHEMA")

	s := openAt(t, database)
	selectable(t, s)
	i := inspected(t, database, knows, "")
	if !strings.HasPrefix(i.Program, "PostgreSQL 1") || i.Ahead.Abs() > time.Second || i.Orphaned["staging"] != 1 {
		t.Errorf("%+v", i)
	}
	inspected(t, database+"&options=-cdefault_transaction_read_only%3Don", 0, "only for reading")
	inspected(t, database+"&options=-csynchronous_commit%3Doff", 0, "not durable")
	inspected(t, "postgres://me:s3cret@127.0.0.1:1/db", 0, "connection refused")
	if _, err := Inspect(t.Context(), "postgres://me:s3cret@127.0.0.1:1/db"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	inspected(t, database, 0, "newer vidimusd")
}

// role makes a role that may only look, and the URL of a database for it.
func role(t *testing.T, db *sql.DB, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("reader_" + strings.TrimPrefix(u.Path, "/"))
	reader := u.String()
	for _, q := range []string{`CREATE ROLE ` + roleOf(reader) + ` LOGIN`, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO ` + roleOf(reader)} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return reader
}

func roleOf(database string) string {
	u, _ := url.Parse(database)
	return u.User.Username()
}

func TestIssuersThatLiveAreThoseOfCertificatesThatHaveNotEnded(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		selectable(t, s)
		for at, want := range map[time.Time]string{day: "main", day.AddDate(1, 0, 0): ""} {
			got, err := s.LivingIssuers(t.Context(), at)
			if err != nil || strings.Join(got, " ") != want {
				t.Errorf("at %s: %v, %v; want %q", at, got, err, want)
			}
		}
		if got, err := s.IssuersOnRecord(t.Context()); err != nil || strings.Join(got, " ") != "main" {
			t.Errorf("%v, %v", got, err)
		}
	})
}
