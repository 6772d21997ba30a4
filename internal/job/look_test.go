package job

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/internal/store"
)

// A job that was put on record while the clock was ahead by an hour is not done before
// that hour has passed, and holds up no other.
func TestAJobOfAClockThatWasAheadHoldsUpNone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		db := open(t, database)
		q, err := New(db, slog.New(slog.DiscardHandler), Work{Name: "work", Every: time.Hour, Do: func(context.Context) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		for _, inAnHour := range []string{
			"state = 'available', scheduled_at = %",
			"state = 'running', attempted_at = %, scheduled_at = %",
			"state = 'retryable', scheduled_at = %",
		} {
			before := len(jobs(t, db))
			for range 2 { // the second look finds one in hand
				if err := q.look(t.Context(), q.works[0]); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(jobs(t, db)); n != before+1 {
				t.Errorf("%d jobs on record; want one more than the %d of a clock that was ahead", n, before)
			}
			step(t, db, inAnHour)
		}
	})
}

// Work that there is again in the period of a job that has been done is done too: the
// period comes once more when the clock is set back.
func TestWorkThatIsDueAgainInAPeriodIsDone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		db := open(t, database)
		var todo, did atomic.Int64
		done := make(chan bool, 10)
		begin := func() *Queue {
			q, err := New(db, slog.New(slog.DiscardHandler), Work{Name: "work", Every: 24 * time.Hour,
				Due: func(context.Context) (bool, error) { return todo.Load() > did.Load(), nil },
				Do:  func(context.Context) error { did.Add(1); done <- true; return nil }})
			if err != nil {
				t.Fatal(err)
			}
			if err := q.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			return q
		}
		open := func() []Job {
			all, err := List(t.Context(), db, true, 100)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		for range 2 { // the second has only the record to know of the first by
			q := begin()
			for range 2 {
				todo.Add(1)
				if err := q.look(t.Context(), q.works[0]); err != nil {
					t.Fatal(err)
				}
				receive(t, done, "the job")
				for end := time.Now().Add(30 * time.Second); len(open()) > 0; { // that it is done comes on record a moment later
					if time.Now().After(end) {
						t.Fatal("the job that is done is not on record as done")
					}
					time.Sleep(10 * time.Millisecond) // between two looks at the condition
				}
			}
			last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			q.Stop(last)
			cancel()
		}
	})
}

// step sets columns of all jobs, as they would be if they had been set by a clock that was
// ahead by an hour.
func step(t *testing.T, db *store.Store, set string) {
	t.Helper()
	sqlite, postgres := db.Queue()
	var err error
	if postgres != nil {
		_, err = postgres.Exec(t.Context(), "UPDATE river_job SET "+strings.ReplaceAll(set, "%", "now() + interval '1 hour'"))
	} else {
		_, err = sqlite.ExecContext(t.Context(), "UPDATE river_job SET "+strings.ReplaceAll(set, "%", "strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 hour')"))
	}
	if err != nil {
		t.Fatal(err)
	}
}
