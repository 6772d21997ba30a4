package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/store/postgrestest"
)

func TestReplicasMakeTheTablesOnce(t *testing.T) {
	url := postgrestest.URL(t)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			s, err := Open(context.Background(), url)
			if err == nil {
				s.Close()
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesANewerPostgreSQLDatabase(t *testing.T) {
	url := postgrestest.URL(t)
	s := openAt(t, url)
	if _, err := s.read.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true)`); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(t.Context(), url); err == nil {
		again.Close()
		t.Error("opened a database of version 999")
	} else if !strings.Contains(err.Error(), "newer vidimusd") {
		t.Error(err)
	}
}

func TestOpenRefusesCommitsThatAreNotDurable(t *testing.T) {
	if s, err := Open(t.Context(), postgrestest.URL(t)+"&options=-csynchronous_commit%3Doff"); err == nil {
		s.Close()
		t.Error("opened a database with synchronous_commit = off")
	} else if !strings.Contains(err.Error(), "synchronous_commit") {
		t.Error(err)
	}
}

func TestNoErrorSaysThePassword(t *testing.T) {
	const secret = "s3cret/p@ss"
	for _, url := range []string{
		"postgres://me:s3cret%2Fp%40ss@127.0.0.1:1/db?connect_timeout=2",
		"postgres://me:s3cret/p@ss@127.0.0.1:1/db",
		"postgres://me@127.0.0.1:1/db?password=s3cret%2Fp%40ss&connect_timeout=2",
		"postgres://me:s3cret%2Fp%40ss@127.0.0.1:1/db?sslmode=maybe",
	} {
		s, err := Open(t.Context(), url)
		if err == nil {
			s.Close()
			t.Errorf("%s is open", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, secret) || strings.Contains(text, "p@ss") {
			t.Errorf("for %s it says: %s", url, text)
		}
		if len(err.Error()) < 40 || !strings.Contains(err.Error(), "opening the database") {
			t.Errorf("for %s it says: %v", url, err)
		}
	}
}

// libpq's file with passwords is taken, so that none need be in the configuration.
func TestPasswordFileIsRead(t *testing.T) {
	file := t.TempDir() + "/pgpass"
	if err := os.WriteFile(file, []byte("127.0.0.1:5432:db:me:from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSFILE", file)
	c, err := parseURL("postgres://me@127.0.0.1:5432/db")
	if err != nil || c.ConnConfig.Password != "from the file" {
		t.Errorf("the password is %q, %v", c.ConnConfig.Password, err)
	}
	if c.MaxConns != DefaultConnections {
		t.Errorf("%d connections", c.MaxConns)
	}
	if c, err = parseURL("postgres://me@127.0.0.1:5432/db?pool_max_conns=5"); err != nil || c.MaxConns != 5 {
		t.Errorf("%d connections, %v; want 5", c.MaxConns, err)
	}
}

// A restart of the database breaks every connection; nobody but who was in the middle
// of a commit notices.
func TestStoreGoesOnAfterARestartOfTheDatabase(t *testing.T) {
	server := postgrestest.Start(t)
	s := openAt(t, server.URL(t))
	a := newTestAccount(t, s, "thumbprint")
	// Each of several connections is to be found broken.
	var warm sync.WaitGroup
	for range DefaultConnections {
		warm.Go(func() {
			if _, err := s.read.ExecContext(context.Background(), `SELECT pg_sleep(0.05)`); err != nil {
				t.Error(err)
			}
		})
	}
	warm.Wait()

	server.Stop()
	_, err := s.Account(t.Context(), a.ID)
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a read without the database: %v; want %v", err, ErrUnavailable)
	}
	if err := s.SetContact(t.Context(), a.ID, nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a change without the database: %v; want %v", err, ErrUnavailable)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for range DefaultConnections {
		if _, err := s.Account(t.Context(), a.ID); err != nil {
			t.Errorf("a read after the restart: %v", err)
		}
		if err := s.SetContact(t.Context(), a.ID, []string{"mailto:a@example.org"}); err != nil {
			t.Errorf("a change after the restart: %v", err)
		}
	}
}

// Transactions that wait for one another's rows are run again until each is through.
func TestDeadlockIsResolvedByAnotherTry(t *testing.T) {
	s := openAt(t, postgrestest.URL(t))
	if _, err := s.read.ExecContext(t.Context(), `SELECT 1`); err != nil {
		t.Fatal(err)
	}
	a, b := newTestAccount(t, s, "a"), newTestAccount(t, s, "b")
	runs := 0
	var mu sync.Mutex
	var met sync.WaitGroup
	met.Add(2)
	both := func(first, second Account) func() error {
		try := 0
		return func() error {
			return s.update(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				try++
				for i, x := range []Account{first, second} {
					if err := changeOne(ctx, tx, `UPDATE account SET contact = '[]' WHERE id = $1`, x.ID); err != nil {
						return err
					}
					if i == 0 && try == 1 {
						met.Done()
						met.Wait()
					}
				}
				return nil
			})
		}
	}
	if err := errors.Join(race(both(a, b), both(b, a))...); err != nil {
		t.Error(err)
	}
	if runs < 3 {
		t.Errorf("%d runs; there was no deadlock to resolve", runs)
	}
}

func TestConflictIsNotTriedAgain(t *testing.T) {
	s := openAt(t, postgrestest.URL(t))
	runs := 0
	err := s.update(t.Context(), func(context.Context, *sql.Tx) error { runs++; return ErrConflict })
	if !errors.Is(err, ErrConflict) || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
}
