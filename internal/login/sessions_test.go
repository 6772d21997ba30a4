package login_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vidimus/internal/directory"
	"vidimus/internal/login"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
	"vidimus/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// clock is a time that a test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

// onBoth runs a test on an empty database of each kind, in which ada is.
func onBoth(t *testing.T, test func(t *testing.T, db *store.Store)) {
	for name, at := range map[string]func() string{
		"SQLite":     func() string { return storetest.Path(t) },
		"PostgreSQL": func() string { return postgrestest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t, at())) })
	}
}

func open(t *testing.T, at string) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.AddPerson(t.Context(), store.Person{Login: "ada", Role: "auditor", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return db
}

func begin(t *testing.T, s *login.Sessions, id login.Identity) string {
	t.Helper()
	token, err := s.New(t.Context(), id, login.Browser{Address: "192.0.2.1", UserAgent: "browser"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func wantNobody(t *testing.T, s *login.Sessions, token string) {
	t.Helper()
	if x, err := s.Find(t.Context(), token); !errors.Is(err, login.ErrNoSession) {
		t.Errorf("the token is of %q, %v; want ErrNoSession", x.Person.Login, err)
	}
}

func find(t *testing.T, s *login.Sessions, token string) login.Session {
	t.Helper()
	x, err := s.Find(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestASessionEndsWhenNobodyUsesItAndInAnyCase(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		s := &login.Sessions{Store: db, Now: c.now}
		token := begin(t, s, login.Identity{Login: "ada", Method: "password"})
		for range 20 {
			c.advance(29 * time.Minute)
			find(t, s, token)
		}
		c.advance(20*time.Minute + time.Second) // ten hours and a second
		wantNobody(t, s, token)

		idle := begin(t, s, login.Identity{Login: "ada", Method: "password"})
		c.advance(30 * time.Second) // too soon to be written
		find(t, s, idle)
		c.advance(30 * time.Minute)
		wantNobody(t, s, idle)
		if err := db.RemoveStaleLogins(t.Context(), c.t, c.t, 10); err != nil {
			t.Fatal(err)
		}
		if stale, err := db.StaleLogins(t.Context(), c.t, c.t); err != nil || stale {
			t.Errorf("stale after all was removed: %v, %v", stale, err)
		}
	})
}

func TestASessionHasTheHigherOfBothRoles(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		s := &login.Sessions{Store: db}
		token := begin(t, s, login.Identity{Login: "ada", Role: directory.Operator})
		x := find(t, s, token)
		if x.Editor.Role != directory.Operator || x.Editor.Person != x.Person.ID || x.Person.ID == 0 {
			t.Errorf("got %+v", x.Editor)
		}
		if err := db.SetRole(t.Context(), "ada", "administrator"); err != nil {
			t.Fatal(err)
		}
		if x := find(t, s, token); x.Editor.Role != directory.Administrator {
			t.Errorf("after another role was given the session has %q", x.Editor.Role)
		}
	})
}

func TestSessionsAreEndedOneAndAll(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		s := &login.Sessions{Store: db}
		ctx := context.Background()
		var tokens []string
		for range 4 {
			tokens = append(tokens, begin(t, s, login.Identity{Login: "ada"}))
		}
		if err := s.End(ctx, find(t, s, tokens[0])); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, s, tokens[0])
		mine := find(t, s, tokens[1])
		if n, err := db.EndSessions(ctx, mine.Person, mine.ID); err != nil || n != 2 {
			t.Errorf("ended %d, %v; want 2", n, err)
		}
		wantNobody(t, s, tokens[2])
		find(t, s, tokens[1])
		if all, err := db.Sessions(ctx, mine.Person.ID, time.Now()); err != nil || len(all) != 1 {
			t.Errorf("%d are left, %v; want 1", len(all), err)
		}
		if err := db.AddPerson(ctx, store.Person{Login: "bela", Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		bela, err := db.PersonAlone(ctx, "bela")
		if err != nil {
			t.Fatal(err)
		}
		if err := db.EndSession(ctx, bela, mine.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("bela ended ada's session: %v", err)
		}
		if err := db.RemovePerson(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, s, tokens[1])
	})
}

func TestWhoIsUnknownIsRefusedOrEntered(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		s := &login.Sessions{Store: db}
		if _, err := s.New(t.Context(), login.Identity{Login: "eve"}, login.Browser{}); !errors.Is(err, login.ErrUnknownPerson) {
			t.Errorf("got %v, want ErrUnknownPerson", err)
		}
		if _, err := s.New(t.Context(), login.Identity{Create: true}, login.Browser{}); !errors.Is(err, login.ErrUnknownPerson) {
			t.Errorf("without a login: %v, want ErrUnknownPerson", err)
		}
		token := begin(t, s, login.Identity{Login: "eve", Name: "Eve", Email: "eve@example.org", Create: true})
		if x := find(t, s, token); x.Person.Name != "Eve" || x.Editor.Role != "" {
			t.Errorf("got %+v", x)
		}
	})
}

func TestTheTokenIsInTheCookieOnlyAndTheCookieForThisHostOnly(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "v.db"))
	s := &login.Sessions{Store: db}
	token := begin(t, s, login.Identity{Login: "ada"})
	if again := begin(t, s, login.Identity{Login: "ada"}); again == token || len(token) != 43 {
		t.Errorf("the tokens %q and %q are not 256 random bits each", token, again)
	}
	for _, wrong := range []string{"", "x", token[:42], token + "A"} {
		wantNobody(t, s, wrong)
	}
	c := login.Cookie(token)
	if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("the cookie is %s", c)
	}
	if login.Cookie("").MaxAge >= 0 {
		t.Error("the cookie is not taken away")
	}
}
