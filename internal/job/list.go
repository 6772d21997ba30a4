package job

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"vidimus/internal/store"
)

// Job is a job on record.
type Job struct {
	ID       int64     `json:"id"`
	Name     string    `json:"job"`
	State    string    `json:"state"` // available, running, retryable, completed, discarded …
	Attempt  int       `json:"attempt"`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"` // the last attempt
	Ended    time.Time `json:"ended,omitzero"`   // for ever
	Next     time.Time `json:"next,omitzero"`    // when it is tried again
	Server   string    `json:"server,omitempty"` // that made the last attempt
	LastFail string    `json:"error,omitempty"`  // of the last attempt that failed
}

// List lists up to limit jobs on record, the newest first; those that are done stay for
// an hour. With open, only those that are not.
func List(ctx context.Context, db *store.Store, open bool, limit int) ([]Job, error) {
	c, err := connect(db, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	p := river.NewJobListParams().OrderBy(river.JobListOrderByID, river.SortOrderDesc).First(limit)
	if open {
		p = p.States(append(slices.Clone(openStates), rivertype.JobStateDiscarded)...)
	}
	rows, err := c.JobList(ctx, p)
	if err != nil {
		return nil, err
	}
	all := make([]Job, len(rows.Jobs))
	for i, r := range rows.Jobs {
		all[i] = Job{ID: r.ID, Name: r.Kind, State: string(r.State), Attempt: r.Attempt, Created: r.CreatedAt}
		j := &all[i]
		if r.AttemptedAt != nil {
			j.Started = *r.AttemptedAt
		}
		if r.FinalizedAt != nil {
			j.Ended = *r.FinalizedAt
		}
		if r.State == rivertype.JobStateRetryable {
			j.Next = r.ScheduledAt
		}
		if n := len(r.AttemptedBy); n > 0 {
			j.Server = r.AttemptedBy[n-1]
		}
		if n := len(r.Errors); n > 0 {
			j.LastFail = r.Errors[n-1].Error
		}
	}
	return all, nil
}

// OpenStates are the names of the states that [Queue.Depth] counts.
func OpenStates() (names []string) {
	for _, s := range openStates {
		names = append(names, string(s))
	}
	return names
}

// Depth counts, by state, the jobs of this queue's database that are not done, up to
// 1000.
func (q *Queue) Depth(ctx context.Context) (map[string]int, error) {
	rows, err := q.river.JobList(ctx, river.NewJobListParams().States(openStates...).First(1000))
	if err != nil {
		return nil, err
	}
	n := make(map[string]int)
	for _, r := range rows.Jobs {
		n[string(r.State)]++
	}
	return n, nil
}
