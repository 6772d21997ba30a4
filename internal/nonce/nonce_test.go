package nonce

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestANonceIsGoodOnce(t *testing.T) {
	s := New()
	n := s.Next()
	if !s.redeem(n) {
		t.Fatal("a fresh nonce is refused")
	}
	if s.redeem(n) {
		t.Fatal("a replayed nonce is accepted")
	}
}

func TestOnlyOwnNoncesAreGood(t *testing.T) {
	s := New()
	mine := s.Next()
	flipped := "A" + mine[1:]
	if flipped == mine {
		flipped = "B" + mine[1:]
	}
	for _, n := range []string{"", "x", New().Next(), flipped, mine + "=", mine[:31] + "!", strings.Repeat("A", 32)} {
		if s.redeem(n) {
			t.Errorf("%q is accepted", n)
		}
	}
	if !s.redeem(mine) {
		t.Error("the true nonce is refused after the false ones")
	}
}

func TestANonceDiesAfterAWindow(t *testing.T) {
	s := New()
	first, second := s.Next(), s.Next()
	for range Window - 1 {
		s.Next()
	}
	if s.redeem(first) {
		t.Error("a nonce older than the window is accepted")
	}
	if !s.redeem(second) {
		t.Error("the oldest nonce of the window is refused")
	}
}

func TestConcurrentRedeemsHaveOneWinner(t *testing.T) {
	s := New()
	for range 100 {
		n := s.Next()
		var wins atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if s.redeem(n) {
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

func BenchmarkNextRedeem(b *testing.B) {
	s := New()
	for b.Loop() {
		s.redeem(s.Next())
	}
}

func FuzzRedeem(f *testing.F) {
	s := New()
	f.Add(strings.Repeat("A", 32))
	f.Add(strings.Repeat("\n", 28) + "AAAA")
	f.Fuzz(func(t *testing.T, n string) {
		if s.redeem(n) {
			t.Fatalf("%q is accepted", n)
		}
	})
}
