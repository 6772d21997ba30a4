package acmehttp

import (
	"context"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

// The first and the longest time between two looks at a validation at another server.
const (
	lookFirst = 20 * time.Millisecond
	lookMost  = 500 * time.Millisecond
)

// awaitElsewhere holds an authorization back while another server on the same database
// validates it, as [validation.Runner.Hold] does for what runs here.
func (s *Server) awaitElsewhere(ctx context.Context, r *request, a store.Authz, until time.Time) (store.Authz, error) {
	for wait := lookFirst; s.Store.Shared() && validating(a) && time.Now().Add(wait).Before(until); wait = min(wait*3/2, lookMost) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return a, nil
		}
		var err error
		if a, err = s.loadAuthz(r, a.ID); err != nil {
			return a, err
		}
	}
	return a, nil
}

func validating(a store.Authz) bool {
	if a.Status != acme.Pending {
		return false
	}
	for _, c := range a.Challenges {
		if c.Status == acme.Processing {
			return true
		}
	}
	return false
}
