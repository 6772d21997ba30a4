package validation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

const (
	// caaTimeout bounds the look at the records of all names of a certificate.
	caaTimeout = 30 * time.Second
	// maxCAALookups is how many names of a certificate are looked up at once.
	maxCAALookups = 16
)

// CheckAllCAA is [Runner.CheckCAA] for all names of a certificate at once. method gives
// that of the name with this index; "" means that it need not be looked at.
func (r *Runner) CheckAllCAA(ctx context.Context, account store.Account, ids []identifier.Identifier, method func(i int) string) error {
	ctx, cancel := context.WithTimeout(ctx, caaTimeout)
	defer cancel()
	problems := make([]*acme.Problem, len(ids))
	slots := make(chan struct{}, maxCAALookups)
	var all sync.WaitGroup
	for i, id := range ids {
		m := method(i)
		if m == "" {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			problems[i] = r.CheckCAA(ctx, account, id, m)
		})
	}
	all.Wait()
	var subs []*acme.Problem
	for i, p := range problems {
		if p != nil {
			subs = append(subs, p.For(ids[i]))
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
