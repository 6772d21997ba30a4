package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

type changeFunc = func(ctx context.Context, tx *sql.Tx) error

func addBlocked(key string) changeFunc {
	return func(ctx context.Context, tx *sql.Tx) error {
		return changeOne(ctx, tx, `INSERT INTO blocked_key (spki, blocked_at) VALUES ($1, 0)`, []byte(key))
	}
}

// group makes the changes wait, in this order, behind one that ends when all are
// there, and returns their errors. A panic becomes an error too.
func group(t *testing.T, s *Store, changes ...changeFunc) []error {
	t.Helper()
	running, end := make(chan bool), make(chan bool)
	before := make(chan error, 1)
	go func() {
		before <- s.update(t.Context(), func(context.Context, *sql.Tx) error {
			close(running)
			<-end
			return nil
		})
	}()
	<-running
	errs := make([]chan error, len(changes))
	for i, fn := range changes {
		errs[i] = make(chan error, 1)
		go func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] <- fmt.Errorf("it panicked: %v", p)
				}
			}()
			errs[i] <- s.update(t.Context(), fn)
		}()
		for s.waiting() <= i {
			runtime.Gosched()
		}
	}
	close(end)
	if err := <-before; err != nil {
		t.Error(err)
	}
	out := make([]error, len(changes))
	for i := range out {
		out[i] = <-errs[i]
	}
	return out
}

func (s *Store) waiting() int {
	s.writes.mu.Lock()
	defer s.writes.mu.Unlock()
	return len(s.writes.waiting)
}

func wantBlocked(t *testing.T, s *Store, key string, want bool) {
	t.Helper()
	if got, err := s.KeyBlocked(t.Context(), []byte(key)); err != nil || got != want {
		t.Errorf("%s is recorded: %v, %v; want %v", key, got, err, want)
	}
}

func TestChangesThatComeTogetherShareOneTransaction(t *testing.T) {
	s := openNew(t)
	var order []string
	shared := make(map[*sql.Tx]int)
	var changes []changeFunc
	var want []string
	for i := range maxGroup + 3 {
		key := fmt.Sprint("key ", i)
		want = append(want, key)
		changes = append(changes, func(ctx context.Context, tx *sql.Tx) error {
			order = append(order, key) // no lock: they run one after another
			shared[tx]++
			return addBlocked(key)(ctx, tx)
		})
	}
	for i, err := range group(t, s, changes...) {
		if err != nil {
			t.Errorf("change %d: %v", i, err)
		}
		wantBlocked(t, s, want[i], true)
	}
	if !slices.Equal(order, want) {
		t.Errorf("they ran in the order %q", order)
	}
	if len(shared) != 2 {
		t.Errorf("%d transactions; want one of %d changes and one of the other 3", len(shared), maxGroup)
	}
}

func TestChangeThatFailsLeavesItsGroupAlone(t *testing.T) {
	s := openNew(t)
	fails := func(key string, fail func() error) changeFunc {
		return func(ctx context.Context, tx *sql.Tx) error {
			if err := addBlocked(key)(ctx, tx); err != nil {
				return err
			}
			return fail()
		}
	}
	errs := group(t, s,
		addBlocked("first"),
		fails("conflict", func() error { return ErrConflict }),
		addBlocked("second"),
		addBlocked("second"), // breaks a constraint of the table
		fails("panic", func() error { panic("oh") }),
		addBlocked("third"))
	for i, want := range []string{"", ErrConflict.Error(), "", "UNIQUE", "it panicked: oh", ""} {
		if (errs[i] == nil) != (want == "") || errs[i] != nil && !strings.Contains(errs[i].Error(), want) {
			t.Errorf("change %d: %v; want %q", i, errs[i], want)
		}
	}
	if !errors.Is(errs[1], ErrConflict) {
		t.Errorf("%v; want %v itself", errs[1], ErrConflict)
	}
	for key, want := range map[string]bool{"first": true, "conflict": false, "second": true, "panic": false, "third": true} {
		wantBlocked(t, s, key, want)
	}
	if err := s.update(t.Context(), addBlocked("later")); err != nil {
		t.Error(err)
	}
}

// When SQLite gives up the whole transaction, as it may when the disk is full, the
// changes that had their turn before are not lost.
func TestTransactionThatIsGivenUpHarmsOnlyItsCause(t *testing.T) {
	s := openNew(t)
	errs := group(t, s,
		addBlocked("first"),
		func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT OR ROLLBACK INTO blocked_key (spki, blocked_at) VALUES ('x', NULL)`)
			return err
		},
		addBlocked("second"))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("%q; want an error of the second only", errs)
	}
	wantBlocked(t, s, "first", true)
	wantBlocked(t, s, "second", true)
}

func TestChangeTooLargeForTheDiskFailsAlone(t *testing.T) {
	s := openNew(t)
	if _, err := s.write.ExecContext(t.Context(), `PRAGMA max_page_count = 100`); err != nil {
		t.Fatal(err)
	}
	errs := group(t, s, addBlocked("first"), addBlocked(strings.Repeat("much", 1<<18)), addBlocked("second"))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("%q; want an error of the second only", errs)
	}
	wantBlocked(t, s, "first", true)
	wantBlocked(t, s, "second", true)
}

func TestGroupWaitsForAnotherProcessOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s, other := openAt(t, path), openAt(t, path)
	if _, err := s.write.ExecContext(t.Context(), `PRAGMA busy_timeout = 20`); err != nil {
		t.Fatal(err)
	}
	tx, err := other.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	run := func(context.Context, *sql.Tx) error { ran = true; return nil }
	if err := s.update(t.Context(), run); err == nil || ran {
		t.Errorf("a change beside another's transaction: %v", err)
	}
	group := []*change{{ctx: t.Context(), fn: run}, {ctx: t.Context(), fn: run}}
	if err := s.writes.together(group, false); err != nil || group[0].err == nil || group[1].err == nil || ran {
		t.Errorf("%v, %v, %v; want an error of each, and none that asks for another try", err, group[0].err, group[1].err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.update(t.Context(), addBlocked("after")); err != nil {
		t.Error(err)
	}
}
