package acmehttp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
	"vidimus/internal/validation"
)

const (
	// caaFresh is how long the look at CAA records that ended a validation is good for:
	// eight hours (CA/Browser Forum Baseline Requirements §4.2.2.1), less the time that
	// the look and the issuing may take.
	caaFresh = 8*time.Hour - 5*time.Minute
	// caaTimeout bounds the look at the records of all names of an order.
	caaTimeout = 30 * time.Second
	// maxCAALookups is how many names of an order are looked up at once.
	maxCAALookups = 16
)

// checkCAA looks at the CAA records of an order's names once more, unless they were
// looked at not long ago. authzs are the order's, or nil when the host database
// grants the names, which have never been looked at then. The order stays ready, so
// that a client may finalize it when the records are right.
func (s *Server) checkCAA(r *request, o store.Order, authzs []store.Authz) error {
	if !s.Runner.ChecksCAA(r.dir.Name) {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.http.Context(), caaTimeout)
	defer cancel()
	problems := make([]*acme.Problem, len(o.Identifiers))
	slots := make(chan struct{}, maxCAALookups)
	var all sync.WaitGroup
	for i, id := range o.Identifiers {
		method := validation.MethodHostDatabase
		if authzs != nil {
			fresh := false
			if method, fresh = s.validated(authzs[i], id); fresh {
				continue
			}
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			problems[i] = s.Runner.CheckCAA(ctx, r.account, id, method)
		})
	}
	all.Wait()
	var subs []*acme.Problem
	for i, p := range problems {
		if p != nil {
			subs = append(subs, p.For(o.Identifiers[i]))
		}
	}
	if len(subs) == 0 {
		return nil
	}
	detail, status := subs[0].Detail, subs[0].Status
	if len(subs) > 1 {
		detail = fmt.Sprintf("%s (and %d more of the order's names)", detail, len(subs)-1)
	}
	return acme.PerIdentifier(detail, subs).WithStatus(status)
}

// validated tells how control of a name was proved, and whether that was for this very
// name and not long ago, with a look at its CAA records: the configuration may not have
// asked for one then.
func (s *Server) validated(a store.Authz, id identifier.Identifier) (method string, fresh bool) {
	for _, c := range a.Challenges {
		if c.Status == acme.Valid {
			same := a.Identifier == id.Base() && a.Wildcard == id.Wildcard()
			return string(c.Type), same && s.Now().Sub(c.Validated) < caaFresh && validation.LookedAtCAA(c.Record)
		}
	}
	return validation.MethodHostDatabase, false
}
