package job

import (
	"context"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

const (
	// overdue is when a job that should have been tried again counts no longer: those who
	// would have seen to it are gone.
	overdue = 30 * time.Second
	// ahead is by how much the clocks of replicas and database may differ. A time on
	// record that is later is of a clock that has been set back since, and the job may
	// not be done before it comes again.
	ahead = time.Minute
)

// Look looks for work, until ctx is done.
func (q *Queue) Look(ctx context.Context) {
	var all sync.WaitGroup
	for _, w := range q.works {
		all.Go(func() { q.lookFor(ctx, w) })
	}
	all.Wait()
}

func (q *Queue) lookFor(ctx context.Context, w Work) {
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	failing := false
	for {
		err := q.look(ctx, w)
		if err != nil && !failing && ctx.Err() == nil { // once is enough, until it goes well again
			q.log.Error("looking for background work", "job", w.Name, "err", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look puts a job on record if there is work and none is in hand.
func (q *Queue) look(ctx context.Context, w Work) error {
	before, err := q.newest(ctx, w)
	if err != nil {
		return err
	}
	if w.Due != nil {
		if due, err := w.Due(ctx); err != nil || !due {
			return err
		}
	}
	open, err := q.river.JobList(ctx, river.NewJobListParams().Kinds(w.Name).States(openStates...).First(100))
	if err != nil {
		return err
	}
	for _, j := range open.Jobs {
		if w.inHand(j, time.Now()) {
			return nil
		}
	}
	put, err := q.river.Insert(ctx, args{w.Name}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: w.Every}})
	if err == nil && put.UniqueSkippedAsDuplicate && put.Job.ID <= before {
		// It is not one that another replica has just seen to: there was work after it,
		// or its period comes once more, as the clock was set back.
		put, err = q.river.Insert(ctx, args{w.Name}, nil)
	}
	if err == nil {
		q.met.Store(w.Name, max(before, put.Job.ID))
	}
	return err
}

// newest is the number of the newest job of a kind that was met here, and so was there
// before this look; at first, of the newest on record.
func (q *Queue) newest(ctx context.Context, w Work) (int64, error) {
	if id, met := q.met.Load(w.Name); met {
		return id.(int64), nil
	}
	last, err := q.river.JobList(ctx, river.NewJobListParams().Kinds(w.Name).OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(1))
	if err != nil {
		return 0, err
	}
	var id int64
	for _, j := range last.Jobs {
		id = j.ID
	}
	q.met.Store(w.Name, id)
	return id, nil
}

// openStates are those of jobs that may still be done.
var openStates = []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStateRunning, rivertype.JobStateRetryable}

// inHand tells whether somebody sees to a job, as far as is known.
func (w Work) inHand(j *rivertype.JobRow, now time.Time) bool {
	switch j.State {
	case rivertype.JobStateRunning:
		return j.AttemptedAt != nil && now.Before(j.AttemptedAt.Add(w.Timeout)) && now.After(j.AttemptedAt.Add(-ahead))
	case rivertype.JobStateRetryable:
		return now.Before(j.ScheduledAt.Add(overdue)) && now.After(j.ScheduledAt.Add(-retryMost-ahead))
	}
	return now.After(j.ScheduledAt.Add(-ahead))
}
