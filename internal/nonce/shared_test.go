package nonce

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that a test sets.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time             { return day.Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(step time.Duration) { c.ahead.Add(int64(step)) }

// replicas makes sources of several servers on one new database.
func replicas(t *testing.T, url string, n int) (all []*Shared, c *clock) {
	t.Helper()
	c = new(clock)
	for range n {
		s, err := store.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		source, err := NewShared(t.Context(), s, c.now)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source)
	}
	return all, c
}

func redeem(t *testing.T, s *Shared, nonce string, want bool) {
	t.Helper()
	known, err := s.Known(t.Context(), nonce)
	if err != nil || want && !known {
		t.Fatalf("known: %v, %v; want %v", known, err, want)
	}
	if got, err := s.Redeem(t.Context(), nonce); err != nil || got != want {
		t.Fatalf("redeemed: %v, %v; want %v", got, err, want)
	}
}

func TestANonceIsGoodOnceAtAllServers(t *testing.T) {
	all, _ := replicas(t, postgrestest.URL(t), 2)
	a, b := all[0], all[1]
	n := a.Next()
	redeem(t, b, n, true)
	redeem(t, b, n, false)
	redeem(t, a, n, false)
	redeem(t, a, strings.Repeat("\n", len(n)-4)+"AAAA", false) // as long, but of three bytes
	for range 20 {
		n := b.Next()
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				ok, err := all[i%2].Redeem(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				if ok {
					wins.Add(1)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d winners", wins.Load())
		}
	}
}

func TestOnlyNoncesOfTheDatabaseAreGood(t *testing.T) {
	all, _ := replicas(t, postgrestest.URL(t), 1)
	others, _ := replicas(t, postgrestest.URL(t), 1)
	s := all[0]
	n := s.Next()
	flipped := "B" + n[1:]
	for _, bad := range []string{"", "x", others[0].Next(), New().Next(), flipped, n + "=", n[:42] + "!"} {
		redeem(t, s, bad, false)
	}
	redeem(t, s, n, true)
}

func TestASharedNonceDiesAfterItsLife(t *testing.T) {
	all, c := replicas(t, postgrestest.URL(t), 1)
	s := all[0]
	old, used := s.Next(), s.Next()
	redeem(t, s, used, true)
	c.advance(Life)
	redeem(t, s, old, true)
	c.advance(time.Millisecond)
	redeem(t, s, s.Next(), true)
	redeem(t, s, old, false)
	for _, step := range []time.Duration{0, clocks} {
		c.advance(step)
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		redeem(t, s, used, false)
	}
}

// After a crash of the database nothing tells which nonces have come back, so none may.
func TestACrashOfTheDatabaseEndsAllNonces(t *testing.T) {
	server := postgrestest.Start(t)
	all, c := replicas(t, server.URL(t), 2)
	a, b := all[0], all[1]
	used, open := a.Next(), a.Next()
	redeem(t, a, used, true)
	server.Crash()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * reloadEvery)
	redeem(t, a, used, false)
	redeem(t, a, open, false)
	redeem(t, b, used, false)
	redeem(t, b, a.Next(), true) // both have found the new key
	redeem(t, a, b.Next(), true)
}

func FuzzSharedRedeem(f *testing.F) {
	url := postgrestest.URL(f)
	s, err := store.Open(f.Context(), url)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	source, err := NewShared(f.Context(), s, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add(source.Next()[:20])
	f.Fuzz(func(t *testing.T, n string) {
		if ok, err := source.Redeem(t.Context(), n); ok || err != nil {
			t.Fatalf("%q: %v, %v", n, ok, err)
		}
	})
}
