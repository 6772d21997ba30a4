package server

import (
	"context"
	"time"

	"vidimus/internal/nonce"
)

// With PostgreSQL several servers may run side by side on one database, and any of them
// may end at any moment.
const (
	// takeOverEvery is how often a server looks for what another has left unfinished.
	takeOverEvery = 3 * time.Second
	// validationAge is when a validation without a result is taken over: later than it
	// may take. One that has waited for its turn is then run twice, and the first result
	// counts.
	validationAge = 25 * time.Second
	// issuanceAge is the same for an issuance without a signature on record.
	issuanceAge = 5 * time.Second
	// takeOverMost bounds what is taken over at once.
	takeOverMost = 100
)

// openShared prepares for other servers on the same database.
func (s *Server) openShared(ctx context.Context) (err error) {
	s.nonces, err = nonce.NewShared(ctx, s.store, nil)
	return err
}

// shareUpkeep does what is left undone by other servers, and for all of them.
func (s *Server) shareUpkeep(ctx context.Context) {
	tick := time.NewTicker(takeOverEvery)
	defer tick.Stop()
	var forgotten time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.takeOver(ctx); err != nil {
			s.log.Error("looking for what other servers have left unfinished", "err", err)
		}
		if time.Since(forgotten) < upkeepEvery {
			continue
		}
		forgotten = time.Now()
		if err := s.nonces.Forget(ctx); err != nil {
			s.log.Error("removing old nonces from the database", "err", err)
		}
	}
}

func (s *Server) takeOver(ctx context.Context) error {
	all, err := s.store.TakeOver(ctx, validationAge, takeOverMost)
	if err != nil {
		return err
	}
	for _, c := range all {
		s.runner.Start(c)
	}
	return s.finishIssuances(ctx, issuanceAge)
}
