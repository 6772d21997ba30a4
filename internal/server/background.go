package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vidimus/internal/job"
	"vidimus/internal/store"
)

const (
	// crlEvery is at most how late, but for a moment, a revocation is in a CRL that
	// nobody has asked for.
	crlEvery = 2 * time.Second
	// takeOverEvery is how often one looks, where several servers are on a database, for
	// what another has left unfinished.
	takeOverEvery = 3 * time.Second
	// validationAge is when a validation without a result is taken over: later than it
	// may take. One that has waited for its turn is then run twice, and the first result
	// counts.
	validationAge = 25 * time.Second
	// issuanceAge is the same for an issuance without a signature on record, and
	// aloneAge where there is but this server: later than any request may still be at it.
	issuanceAge, aloneAge = 5 * time.Second, 2 * time.Minute
	// takeOverMost bounds what is taken over at once.
	takeOverMost = 100
	// cleanEvery is how often one looks for stale records, of which cleanBatch are looked
	// at in a transaction, for cleanFor in one job.
	cleanEvery, cleanFor = 10 * time.Minute, time.Minute
	cleanBatch           = 200
	// statisticsEvery is how often one looks whether the dashboard's numbers are too old.
	statisticsEvery = 20 * time.Second
	// depthEvery is how often the jobs on record are counted, where somebody looks.
	depthEvery = 15 * time.Second
)

// openJobs prepares the background work that is done once for all servers.
func (s *Server) openJobs() (err error) {
	alone := !s.store.Shared()
	every, age := takeOverEvery, issuanceAge
	if alone {
		every, age = upkeepEvery, aloneAge
	}
	works := []job.Work{
		{Name: "crl", Every: crlEvery, Due: s.crls.Due, Do: s.crls.SignDue},
		{Name: "unfinished_issuances", Every: every,
			Due: func(ctx context.Context) (bool, error) {
				all, err := s.unfinished(ctx, age)
				return len(all) > 0, err
			},
			Do: func(ctx context.Context) error { return s.finishIssuances(ctx, age) }},
		{Name: "stale_records", Every: cleanEvery, Timeout: cleanFor,
			Due: func(ctx context.Context) (bool, error) { return s.store.Stale(ctx, s.staleBefore()) },
			Do:  s.cleanUp},
		{Name: "statistics", Every: statisticsEvery, Timeout: cleanFor,
			Due: func(ctx context.Context) (bool, error) { return s.store.StatisticsDue(ctx, time.Now()) },
			Do:  func(ctx context.Context) error { return s.store.CountStatistics(ctx, time.Now()) }},
		s.staleLogins(),
	}
	if !alone {
		works = append(works,
			job.Work{Name: "abandoned_validations", Every: takeOverEvery,
				Due: func(ctx context.Context) (bool, error) { return s.store.Abandoned(ctx, validationAge) },
				Do:  s.takeOver},
			job.Work{Name: "used_nonces", Every: upkeepEvery, Do: s.nonces.Forget})
	}
	works = append(works, s.sourceWorks()...)
	s.jobs, err = job.New(s.store, s.log, works...)
	return err
}

// unfinished lists what was recorded as to be signed at least age ago and has no
// signature on record.
func (s *Server) unfinished(ctx context.Context, age time.Duration) (old []store.Certificate, err error) {
	all, err := s.store.UnfinishedCertificates(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for unfinished issuances: %w", err)
	}
	for _, c := range all {
		// What seems to come, by far, is of a clock that has been set back since.
		since := time.Since(c.Created)
		if (since >= age || since <= -time.Minute || age == 0) && s.issuer(c.Issuer) != nil {
			old = append(old, c)
		}
	}
	return old, nil
}

// finishIssuances signs what is unfinished.
func (s *Server) finishIssuances(ctx context.Context, age time.Duration) error {
	all, err := s.unfinished(ctx, age)
	errs := []error{err}
	for _, c := range all {
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		switch err := s.issuer(c.Issuer).Finish(ctx, &c); {
		case err == nil:
			s.log.Warn("finished an issuance that had been cut short", "serial", c.Serial, "order", c.Order)
		case !errors.Is(err, store.ErrConflict): // a conflict: its own request has finished it
			errs = append(errs, fmt.Errorf("the certificate %s of issuer %s, whose issuance was cut short, can't be finished: %w", c.Serial, c.Issuer, err))
		}
	}
	return errors.Join(errs...)
}

// takeOver validates what another server was to.
func (s *Server) takeOver(ctx context.Context) error {
	all, err := s.store.TakeOver(ctx, validationAge, takeOverMost)
	if err != nil {
		return err
	}
	for _, c := range all {
		s.runner.Start(c)
	}
	return nil
}

// staleBefore is when what is stale now had ended.
func (s *Server) staleBefore() time.Time { return time.Now().Add(-time.Duration(s.config.KeepStale)) }

// cleanUp removes stale records, for most of the time that it may take; what is left then
// is for the next job.
func (s *Server) cleanUp(ctx context.Context) error {
	begin, all := time.Now(), store.Removed{}
	for more := true; more && ctx.Err() == nil && time.Since(begin) < cleanFor*3/4; {
		var r store.Removed
		var err error
		if r, more, err = s.store.RemoveStale(ctx, s.staleBefore(), cleanBatch); err != nil {
			return err
		}
		all.Orders, all.Authzs, all.Windows = all.Orders+r.Orders, all.Authzs+r.Authzs, all.Windows+r.Windows
	}
	s.log.Info("removed stale records", "orders", all.Orders, "authorizations", all.Authzs, "renewal_windows", all.Windows,
		"ms", time.Since(begin).Milliseconds())
	return nil
}

// gaugeJobs shows how the background work goes.
func (s *Server) gaugeJobs() {
	for name, t := range s.jobs.Tallies() {
		const help = "Background jobs that this process has done, and attempts that failed."
		s.metrics.Counter("vidimusd_jobs_total", help, func() float64 { return float64(t.Done()) }, "job", name, "result", "done")
		s.metrics.Counter("vidimusd_jobs_total", help, func() float64 { return float64(t.Failed()) }, "job", name, "result", "failed")
	}
}

// countJobs counts the jobs on record that are not done, now and then.
func (s *Server) countJobs(ctx context.Context) {
	var last atomic.Pointer[map[string]int]
	tick := time.NewTicker(depthEvery)
	defer tick.Stop()
	for {
		// One that fails is seen in other ways: the database is away.
		if n, err := s.jobs.Depth(ctx); err == nil && last.Swap(&n) == nil {
			for _, state := range job.OpenStates() {
				s.metrics.Gauge("vidimusd_jobs", "Background jobs on record, of all servers, that are not done.",
					func() float64 { return float64((*last.Load())[state]) }, "state", state)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
