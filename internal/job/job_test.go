package job

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func open(t *testing.T, database string) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onBoth runs a test on an empty database of each kind, which it gets the name of.
func onBoth(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, postgrestest.URL(t)) })
}

// run lets a queue work until the test ends, or the function returned is called.
func run(t *testing.T, db *store.Store, log *slog.Logger, works ...Work) (*Queue, func()) {
	t.Helper()
	q, err := New(db, log, works...)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() { q.Look(ctx) })
	stop := sync.OnceFunc(func() {
		cancel()
		looking.Wait()
		last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		q.Stop(last)
	})
	t.Cleanup(stop)
	return q, stop
}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s: nothing in 30 s", what)
		panic("not reached")
	}
}

func jobs(t *testing.T, db *store.Store) []Job {
	t.Helper()
	all, err := List(t.Context(), db, false, 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Several replicas see the same work, and one does it.
func TestEachJobIsDoneOnce(t *testing.T) {
	t.Parallel()
	database := postgrestest.URL(t)
	var todo, done atomic.Int64
	finished := make(chan bool, 10)
	work := Work{Name: "count", Every: time.Second,
		Due: func(context.Context) (bool, error) { return todo.Load() > done.Load(), nil },
		Do: func(context.Context) error {
			done.Add(1)
			finished <- true
			return nil
		}}
	for range 3 {
		run(t, open(t, database), slog.New(slog.DiscardHandler), work)
	}
	for n := range int64(3) {
		todo.Add(1)
		receive(t, finished, "the job")
		if done.Load() != n+1 {
			t.Errorf("after %d pieces of work %d jobs were done", n+1, done.Load())
		}
	}
	if all := jobs(t, open(t, database)); len(all) != 3 {
		t.Errorf("on record: %+v; want 3 jobs", all)
	}
}

func TestNothingIsOnRecordWhileNothingIsDue(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		db := open(t, database)
		looked := make(chan bool, 100)
		run(t, db, slog.New(slog.DiscardHandler), Work{Name: "never", Every: time.Second,
			Due: func(context.Context) (bool, error) { looked <- true; return false, nil },
			Do:  func(context.Context) error { t.Error("it was done"); return nil }})
		receive(t, looked, "the first look")
		receive(t, looked, "the second look")
		if all := jobs(t, db); len(all) != 0 {
			t.Errorf("on record: %+v", all)
		}
	})
}

// A replica that has taken a job and is not heard of again doesn't hold it up for longer
// than it may take.
func TestAnotherDoesTheJobOfAReplicaThatDied(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		dead := open(t, database)
		begun, never := make(chan bool, 10), make(chan bool)
		work := Work{Name: "work", Every: time.Second, Timeout: 2 * time.Second}
		work.Do = func(context.Context) error { begun <- true; <-never; return nil }
		q, err := New(dead, slog.New(slog.DiscardHandler), work)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.look(t.Context(), q.works[0]); err != nil {
			t.Fatal(err)
		}
		receive(t, begun, "the first replica")
		// It looks no more and never ends the job. Its database is gone before its
		// goroutines are, as with a process that ends.
		dead.Close()
		t.Cleanup(func() {
			close(never)
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			q.Stop(gone)
		})

		db := open(t, database)
		took := make(chan time.Time, 10)
		work.Do = func(context.Context) error { took <- time.Now(); return nil }
		run(t, db, slog.New(slog.DiscardHandler), work)
		receive(t, took, "the second replica")
		states := make(map[string]int)
		for _, j := range jobs(t, db) {
			states[j.State]++
		}
		if states["running"] == 0 {
			t.Errorf("jobs by state: %v; want one of the dead replica", states)
		}
	})
}

func TestAFailedJobIsLoggedCountedAndTriedAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		db := open(t, database)
		var log locked
		results := make(chan error, 3)
		results <- errors.New("the first failure")
		results <- nil
		done := make(chan bool, 1)
		pending := true
		q, _ := run(t, db, slog.New(slog.NewTextHandler(&log, nil)), Work{Name: "shaky", Every: time.Hour,
			Due: func(context.Context) (bool, error) { was := pending; pending = false; return was, nil },
			Do: func(context.Context) error {
				err := <-results
				if err == nil {
					done <- true
				}
				return err
			}})
		receive(t, done, "the second attempt")
		if n := q.Tallies()["shaky"].Failed(); n != 1 {
			t.Errorf("%d failures are counted", n)
		}
		if s := log.String(); !strings.Contains(s, "the first failure") || !strings.Contains(s, "job=shaky") {
			t.Errorf("the log is:\n%s", s)
		}
		if all := jobs(t, db); len(all) != 1 || all[0].LastFail != "the first failure" || all[0].Attempt != 2 {
			t.Errorf("on record: %+v", all)
		}
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	var log locked
	var once sync.Once
	done := make(chan bool, 1)
	q, _ := run(t, db, slog.New(slog.NewTextHandler(&log, nil)), Work{Name: "faulty", Every: time.Hour, Do: func(context.Context) error {
		once.Do(func() { panic("a fault") })
		done <- true
		return nil
	}})
	receive(t, done, "the second attempt")
	if n := q.Tallies()["faulty"].Failed(); n != 1 || !strings.Contains(log.String(), "a fault") {
		t.Errorf("%d failures, the log is:\n%s", n, log.String())
	}
}

// While a job waits to be tried again there is no other of its kind, however often
// someone looks.
func TestFailuresDontPileUp(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	q, err := New(db, slog.New(slog.DiscardHandler), Work{Name: "broken", Every: time.Second, Do: func(context.Context) error { return errors.New("no") }})
	if err != nil {
		t.Fatal(err)
	}
	for i, now := 0, time.Now(); i < 3; i++ {
		if err := q.look(t.Context(), q.works[0]); err != nil {
			t.Fatal(err)
		}
		for start := time.Now(); time.Since(start) < time.Second && time.Now().Truncate(time.Second).Equal(now.Truncate(time.Second)); { // into the next period
			time.Sleep(10 * time.Millisecond) // between two looks at the clock
		}
		now = time.Now()
	}
	if all := jobs(t, db); len(all) != 1 {
		t.Errorf("on record: %+v; want one", all)
	}
}

func TestStopWaitsForTheJobThatRuns(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		begun, end := make(chan bool, 1), make(chan bool)
		_, stop := run(t, open(t, database), slog.New(slog.DiscardHandler), Work{Name: "slow", Every: time.Hour,
			Do: func(ctx context.Context) error { begun <- true; <-end; return ctx.Err() }})
		receive(t, begun, "the job")
		stopped := make(chan bool)
		go func() { stop(); close(stopped) }()
		select {
		case <-stopped:
			t.Error("stopped before the job ended")
		case <-time.After(300 * time.Millisecond):
		}
		close(end)
		receive(t, stopped, "the end")
		if all := jobs(t, open(t, database)); len(all) != 1 || all[0].State != "completed" {
			t.Errorf("on record: %+v", all)
		}
	})
}

func TestStopGivesUpWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	begun := make(chan bool, 1)
	q, _ := run(t, db, slog.New(slog.DiscardHandler), Work{Name: "endless", Every: time.Hour, Timeout: time.Minute,
		Do: func(ctx context.Context) error { begun <- true; <-ctx.Done(); return ctx.Err() }})
	receive(t, begun, "the job")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q.Stop(ctx)
	if all := jobs(t, db); len(all) != 1 || all[0].State == "completed" {
		t.Errorf("on record: %+v", all)
	}
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *locked) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
