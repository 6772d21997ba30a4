package server

import (
	"context"
	"errors"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/hostsource"
	"vidimus/internal/job"
	"vidimus/internal/store"
)

const (
	// sourcesEvery is how often one looks whether a source is to be read.
	sourcesEvery = 5 * time.Second
	// sourcesFor is how long sources are begun to be read in one job, and sourcesMost how
	// long the job may take: less than that together with the longest reading.
	sourcesFor, sourcesMost = time.Minute, 10 * time.Minute
)

// Syncer brings a database up to date with sources of hosts.
func Syncer(db *store.Store) *hostsource.Syncer {
	return &hostsource.Syncer{Store: db, Now: time.Now, Open: hostsource.Open}
}

// sourceWorks is the reading of sources, if there are any.
func (s *Server) sourceWorks() []job.Work {
	if len(s.config.Sources) == 0 {
		return nil
	}
	y := Syncer(s.store)
	return []job.Work{{Name: "host_sources", Every: sourcesEvery, Timeout: sourcesMost,
		Due: func(ctx context.Context) (bool, error) {
			due, err := y.Due(ctx, s.config.Sources)
			return len(due) > 0, err
		},
		Do: func(ctx context.Context) error { return s.readSources(ctx, y) }}}
}

// readSources reads the sources that are due, one after another. That one can't be read
// is on record with it, and no reason to try all again.
func (s *Server) readSources(ctx context.Context, y *hostsource.Syncer) error {
	begin := time.Now()
	due, err := y.Due(ctx, s.config.Sources)
	if err != nil {
		return err
	}
	for _, c := range due {
		if ctx.Err() != nil || time.Since(begin) > sourcesFor {
			return ctx.Err()
		}
		s.readSource(ctx, y, c)
	}
	return nil
}

func (s *Server) readSource(ctx context.Context, y *hostsource.Syncer, c *config.Source) {
	r, err := y.Sync(ctx, c, false)
	switch {
	case errors.Is(err, store.ErrBusy):
	case err != nil:
		s.log.Error("a source of hosts could not be read; what it said before stands", "source", c.Name, "err", err)
	case r.Held:
		s.log.Error("a source of hosts would lose too much, and waits for an operator", "source", c.Name, "id", r.ID,
			"see", "vidimusd admin source show "+c.Name)
	case !r.Changes.Nothing():
		log := s.log.With("source", c.Name, "full", r.Full, "skipped", r.Skips, "ms", r.Took.Milliseconds())
		for kind, n := range r.Changes {
			if n.Added+n.Changed+n.Removed > 0 {
				log = log.With(kind+"_added", n.Added, kind+"_changed", n.Changed, kind+"_removed", n.Removed)
			}
		}
		log.Info("read a source of hosts")
	}
}
