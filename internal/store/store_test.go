package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store/postgrestest"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openAt(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newTables is the file of an empty database, to copy: to make the tables takes longer
// than most tests. It is what package storetest has for others.
var newTables = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "new.db")
	s, err := Open(context.Background(), path)
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openNew(t *testing.T) *Store {
	t.Helper()
	data, err := newTables()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return openAt(t, path)
}

// onBoth runs a test on an empty database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Run("SQLite", func(t *testing.T) { test(t, openNew(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, openAt(t, postgrestest.URL(t))) })
}

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func newTestAccount(t *testing.T, s *Store, thumbprint string) Account {
	t.Helper()
	a := Account{Directory: "main", Thumbprint: thumbprint, JWK: []byte("{}"), Status: acme.Valid, Created: day}
	if err := s.NewAccount(t.Context(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// newTestOrder makes an order for one name, with one pending challenge.
func newTestOrder(t *testing.T, s *Store, status acme.Status) (Order, *Authz) {
	t.Helper()
	account := newTestAccount(t, s, t.Name())
	id := identifier.Identifier{Type: identifier.DNS, Value: "www.example.org"}
	o := Order{Account: account.ID, Status: status, Identifiers: []identifier.Identifier{id}, Created: day, Expires: day.Add(time.Hour)}
	z := &Authz{Account: account.ID, Identifier: id, Status: acme.Pending, Created: day, Expires: day.Add(time.Hour),
		Challenges: []Challenge{{Type: acme.HTTP01, Token: "token", Status: acme.Pending}}}
	if err := s.NewOrder(t.Context(), &o, []*Authz{z}); err != nil {
		t.Fatal(err)
	}
	return o, z
}

func testCertificate(serial string, o Order) Certificate {
	return Certificate{Serial: serial, Issuer: "main", Order: o.ID, Account: o.Account, Names: o.Identifiers,
		TBS: []byte("tbs"), SPKI: []byte("spki"), NotBefore: day, NotAfter: day.Add(90 * 24 * time.Hour), Created: day}
}

func TestOpenAgainFindsWhatWasRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder with ?odd% name", "test.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path)
	want := newTestAccount(t, s, "thumbprint")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := openAt(t, path).AccountByKey(t.Context(), "main", "thumbprint")
	if err != nil || got.ID != want.ID || !got.Created.Equal(day) {
		t.Errorf("after opening again: %+v, %v", got, err)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	newTestAccount(t, openAt(t, path), "thumbprint")
	files, _ := filepath.Glob(path + "*")
	if len(files) < 2 {
		t.Fatalf("files %q; want the database and its log", files)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o; want 0600", f, info.Mode().Perm())
		}
	}
}

func TestOpenRefusesTablesOfANewerProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	openAt(t, path).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path)
	if err == nil {
		s.Close()
		t.Fatal("opened a database of version 999")
	}
	for _, part := range []string{path, "newer vidimusd", "999"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error %q doesn't say %q", err, part)
		}
	}
}

func TestOpenNamesAFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), path); err == nil {
		s.Close()
		t.Error("opened a text file")
	} else if !strings.Contains(err.Error(), path) {
		t.Errorf("the error %q doesn't name the file", err)
	}
}

func TestAKeyHasOneAccountInADirectory(t *testing.T) { onBoth(t, testAKeyHasOneAccountInADirectory) }

func testAKeyHasOneAccountInADirectory(t *testing.T, s *Store) {
	a := newTestAccount(t, s, "thumbprint")
	if err := s.NewAccount(t.Context(), &a); !errors.Is(err, ErrConflict) {
		t.Errorf("a second account of the key: %v; want a conflict", err)
	}
	a.Directory = "main-open"
	if err := s.NewAccount(t.Context(), &a); err != nil {
		t.Errorf("an account in another directory: %v", err)
	}
	if _, err := s.AccountByKey(t.Context(), "main", "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown key: %v; want not found", err)
	}
}

func TestOfManyIssuancesOfAnOrderOneBegins(t *testing.T) {
	onBoth(t, testOfManyIssuancesOfAnOrderOneBegins)
}

func testOfManyIssuancesOfAnOrderOneBegins(t *testing.T, s *Store) {
	o, _ := newTestOrder(t, s, acme.Ready)
	const racers = 8
	errs := make([]error, racers)
	var all sync.WaitGroup
	for n := range racers {
		all.Go(func() {
			errs[n] = s.BeginIssuance(context.Background(), testCertificate(fmt.Sprintf("%032x", n), o), "")
		})
	}
	all.Wait()
	begun := 0
	for n, err := range errs {
		switch {
		case err == nil:
			begun++
		case !errors.Is(err, ErrConflict):
			t.Errorf("issuance %d: %v; want a conflict", n, err)
		}
	}
	unfinished, err := s.UnfinishedCertificates(t.Context())
	if err != nil || begun != 1 || len(unfinished) != 1 {
		t.Errorf("%d of %d began, %d on record, %v; want one", begun, racers, len(unfinished), err)
	}
	if o, err = s.Order(t.Context(), o.ID); err != nil || o.Status != acme.Processing {
		t.Errorf("the order is %s, %v; want processing", o.Status, err)
	}
}

func TestFinishIssuanceHappensOnce(t *testing.T) { onBoth(t, testFinishIssuanceHappensOnce) }

func testFinishIssuanceHappensOnce(t *testing.T, s *Store) {
	o, _ := newTestOrder(t, s, acme.Ready)
	c := testCertificate("4a", o)
	if err := s.BeginIssuance(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishIssuance(t.Context(), c.Serial, []byte("first"), day); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishIssuance(t.Context(), c.Serial, []byte("second"), day); !errors.Is(err, ErrConflict) {
		t.Errorf("finishing again: %v; want a conflict", err)
	}
	got, err := s.Certificate(t.Context(), c.Serial)
	if err != nil || string(got.DER) != "first" || len(got.TBS) != 0 {
		t.Errorf("on record: %q, still to be signed %q, %v; want the first, and nothing", got.DER, got.TBS, err)
	}
	if o, err = s.Order(t.Context(), o.ID); err != nil || o.Status != acme.Valid || o.Serial != c.Serial {
		t.Errorf("the order is %s with serial %s, %v", o.Status, o.Serial, err)
	}
}

func TestARefusedPredecessorLeavesTheOrderReady(t *testing.T) {
	onBoth(t, testARefusedPredecessorLeavesTheOrderReady)
}

func testARefusedPredecessorLeavesTheOrderReady(t *testing.T, s *Store) {
	o, _ := newTestOrder(t, s, acme.Ready)
	if err := s.BeginIssuance(t.Context(), testCertificate("4a", o), "4b"); !errors.Is(err, ErrConflict) {
		t.Errorf("replacing an unknown certificate: %v; want a conflict", err)
	}
	if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != acme.Ready || got.Serial != "" {
		t.Errorf("the order is %s with serial %q, %v; want ready without", got.Status, got.Serial, err)
	}
}

func TestAChallengesResultDecidesAuthorizationAndOrder(t *testing.T) {
	tests := []struct {
		name         string
		problem      *acme.Problem
		authz, order acme.Status
	}{
		{"success", nil, acme.Valid, acme.Ready},
		{"failure", acme.Problemf(acme.Unauthorized, "no"), acme.Invalid, acme.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *Store) {
				o, z := newTestOrder(t, s, acme.Pending)
				c := z.Challenges[0]
				if err := s.StartChallenge(t.Context(), c.ID); err != nil {
					t.Fatal(err)
				}
				if err := s.StartChallenge(t.Context(), c.ID); !errors.Is(err, ErrConflict) {
					t.Errorf("starting again: %v; want a conflict", err)
				}
				if err := s.FinishChallenge(t.Context(), c, tt.problem, day, day.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if err := s.FinishChallenge(t.Context(), c, tt.problem, day, day.Add(time.Hour)); !errors.Is(err, ErrConflict) {
					t.Errorf("a second result: %v; want a conflict", err)
				}
				gotAuthz, err := s.Authz(t.Context(), z.ID)
				if err != nil || gotAuthz.Status != tt.authz || (gotAuthz.Challenges[0].Error != nil) != (tt.problem != nil) {
					t.Errorf("authorization %+v, %v; want %s", gotAuthz, err, tt.authz)
				}
				if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != tt.order {
					t.Errorf("order %s, %v; want %s", got.Status, err, tt.order)
				}
			})
		})
	}
}

func TestTwoProcessesWriteOneFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	const each = 20
	var all sync.WaitGroup
	for p := range 2 {
		all.Go(func() {
			s, err := Open(context.Background(), path) // at once too: one makes the tables
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for n := range each {
				a := Account{Directory: "main", Thumbprint: fmt.Sprintf("%d-%d", p, n), JWK: []byte("{}"), Status: acme.Valid, Created: day}
				if err := s.NewAccount(context.Background(), &a); err != nil {
					t.Errorf("writer %d: %v", p, err)
					return
				}
			}
		})
	}
	all.Wait()
	s := openAt(t, path)
	for p := range 2 {
		for n := range each {
			if _, err := s.AccountByKey(t.Context(), "main", fmt.Sprintf("%d-%d", p, n)); err != nil {
				t.Errorf("account %d-%d: %v", p, n, err)
			}
		}
	}
}

func TestReadOfARequestThatIsGone(t *testing.T) { onBoth(t, testReadOfARequestThatIsGone) }

func testReadOfARequestThatIsGone(t *testing.T, s *Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Account(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("one row: %v; want %v", err, context.Canceled)
	}
	if _, err := s.Hosts(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("several: %v; want %v", err, context.Canceled)
	}
}

// What each request begins with.
func BenchmarkAccount(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	a := Account{Directory: "main", Thumbprint: "thumbprint", JWK: []byte("{}"), Status: acme.Valid, Created: day}
	if err := s.NewAccount(b.Context(), &a); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Account(b.Context(), a.ID); err != nil {
			b.Fatal(err)
		}
	}
}
