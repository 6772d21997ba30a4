// Package job does vidimusd's background work, on River and in the database that all
// replicas share, so that of several one does each piece of it once; with SQLite in the
// same way, for one server.
//
// Each replica looks now and then whether there is work, by a read, and puts a job on
// record when there is and none is in hand; the database lets one do so in each period.
// Whoever is free then takes the job. So nothing is written while there is nothing to do,
// and nothing waits for a replica that has ended: River would let one replica, whom it
// elects, put periodic jobs on record, and is without it for a quarter of a minute when
// that one is killed. That replica cleans up behind the jobs, no more.
//
// A job may run twice at once, when a replica was silent for long: what it does must
// stand that, as by a compare-and-set in package store.
package job

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"vidimus/internal/store"
)

const (
	// DefaultTimeout is how long a job may take.
	DefaultTimeout = 15 * time.Second
	// workers is how many jobs a replica does at once.
	workers = 4
	// poll is how often River looks for jobs that it has not been told of, which it is of
	// all that are new: by PostgreSQL, or with SQLite by the process itself.
	poll = 5 * time.Second
	// startMost is how long to wait for the database at the start.
	startMost = 30 * time.Second
	// retryMost bounds River's back-off, which grows by the fourth power of the attempts:
	// what the work needs may be back since long.
	retryMost = 5 * time.Minute
	// rescueAfter is when River takes a job for lost with who ran it, later than any may
	// take; only its record is tidied by this, as another job has long done the work.
	rescueAfter = 15 * time.Minute
	// kept and keptFailed are how long the records of jobs stay.
	kept, keptFailed = time.Hour, 7 * 24 * time.Hour
)

// Work is one kind of background work.
type Work struct {
	Name    string        // on record, in the log and in the metrics
	Every   time.Duration // how often each replica looks; of several one then puts a job on record; whole seconds
	Timeout time.Duration // of one job, after which another may be begun; default [DefaultTimeout], at most 10 minutes
	// Due tells whether there is anything to do. It only reads. nil means always.
	Due func(context.Context) (bool, error)
	// Do does it. An error has it tried again.
	Do func(context.Context) error
}

// client is River's for one of the databases.
type client interface {
	Start(context.Context) error
	Stop(context.Context) error
	StopAndCancel(context.Context) error
	Insert(context.Context, river.JobArgs, *river.InsertOpts) (*rivertype.JobInsertResult, error)
	JobList(context.Context, *river.JobListParams) (*river.JobListResult, error)
}

// Queue looks for work and does it. It is safe for concurrent use.
type Queue struct {
	river client
	end   context.CancelFunc // ends what River does at once; nil while it isn't started
	works []Work
	log   *slog.Logger
	tally map[string]*Tally // by name; not changed after New
	met   sync.Map          // by name; see newest
}

// Tally counts what a replica has done of one kind of work.
type Tally struct {
	done, failed atomic.Int64
}

// Done is how many jobs came to their end.
func (t *Tally) Done() int64 { return t.done.Load() }

// Failed is how many attempts failed.
func (t *Tally) Failed() int64 { return t.failed.Load() }

// New makes a queue for the work in a database. Nothing is done before [Queue.Start].
func New(db *store.Store, log *slog.Logger, works ...Work) (*Queue, error) {
	q := &Queue{works: works, log: log, tally: make(map[string]*Tally)}
	c := &river.Config{
		Logger:                      slog.New(quiet{log.Handler()}),
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:                     river.NewWorkers(),
		ErrorHandler:                q,
		FetchPollInterval:           poll,
		RescueStuckJobsAfter:        rescueAfter,
		CompletedJobRetentionPeriod: kept,
		CancelledJobRetentionPeriod: kept,
		DiscardedJobRetentionPeriod: keptFailed,
	}
	for i := range works {
		w := &works[i]
		w.Timeout = cmp.Or(w.Timeout, DefaultTimeout)
		q.tally[w.Name] = new(Tally)
		river.AddWorkerArgs(c.Workers, args{w.Name}, &worker{work: w, tally: q.tally[w.Name]})
	}
	var err error
	q.river, err = connect(db, c)
	return q, err
}

// connect makes a client of River, which without queues only looks.
func connect(db *store.Store, c *river.Config) (client, error) {
	sqlite, postgres := db.Queue()
	if postgres != nil {
		return river.NewClient(riverpgxv5.New(postgres), c)
	}
	return river.NewClient(riversqlite.New(sqlite), c)
}

// Tallies are those of each kind of work, by its name.
func (q *Queue) Tallies() map[string]*Tally { return q.tally }

// Start begins to do jobs that are on record. It is called once, before [Queue.Look].
func (q *Queue) Start(ctx context.Context) error {
	// River may hang here, and so might whoever waits for it, when the database does.
	started := make(chan error, 1)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() { started <- q.river.Start(life) }()
	patience := time.NewTimer(startMost)
	defer patience.Stop()
	var err error
	select {
	case err = <-started:
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
		err = fmt.Errorf("the database has not answered within %s; see whether it hangs, and start the server again", startMost)
	}
	if err != nil {
		end()
		return fmt.Errorf("starting the background work: %w", err)
	}
	q.end = end
	return nil
}

// Stop lets the jobs that run come to their end, until ctx is done; then they are given
// up, and another replica or the next start does the work.
func (q *Queue) Stop(ctx context.Context) {
	if q.end == nil {
		return
	}
	defer q.end()
	if q.river.Stop(ctx) == nil {
		return
	}
	q.log.Warn("background work is given up; it is done after the next start, or by another server")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	q.river.StopAndCancel(last)
}

// args are what is on record of a job: nothing but its kind.
type args struct{ name string }

// Kind implements [river.JobArgs].
func (a args) Kind() string { return a.name }

type worker struct {
	river.WorkerDefaults[args]
	work  *Work
	tally *Tally
}

// Work implements [river.Worker].
func (w *worker) Work(ctx context.Context, _ *river.Job[args]) error {
	if err := w.work.Do(ctx); err != nil {
		return err
	}
	w.tally.done.Add(1)
	return nil
}

// Timeout implements [river.Worker].
func (w *worker) Timeout(*river.Job[args]) time.Duration { return w.work.Timeout }

// NextRetry implements [river.Worker].
func (w *worker) NextRetry(j *river.Job[args]) time.Time {
	next, most := new(river.DefaultClientRetryPolicy).NextRetry(j.JobRow), time.Now().Add(retryMost)
	if next.After(most) {
		return most
	}
	return next
}

// HandleError implements [river.ErrorHandler].
func (q *Queue) HandleError(_ context.Context, j *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	q.failed(j.Kind)
	q.log.Error("background work failed; it is tried again", "job", j.Kind, "attempt", j.Attempt, "err", err)
	return nil
}

// HandlePanic implements [river.ErrorHandler].
func (q *Queue) HandlePanic(_ context.Context, j *rivertype.JobRow, p any, trace string) *river.ErrorHandlerResult {
	q.failed(j.Kind)
	q.log.Error("a fault in the program, in background work; please report it", "job", j.Kind, "panic", p, "stack", trace)
	return nil
}

func (q *Queue) failed(kind string) {
	if t := q.tally[kind]; t != nil {
		t.failed.Add(1)
	}
}
