package store

import (
	"context"
	"slices"
	"sync"
	"time"

	"vidimus/internal/acme"
)

const (
	// recentFor is how long an authorization that this process wrote is given out from
	// memory: a client looks at it four times within a moment. What another process
	// changes, such as vidimusd admin, is seen after this time.
	recentFor = time.Second
	// maxRecent bounds the memory for them: some 1 KiB each.
	maxRecent = 512
)

// recentAuthzs are authorizations as this process has just recorded them. Who changes one
// takes a ticket inside the transaction, where the row is its own, and hands it in with the
// new state after the commit: so nobody sees what is not durable, and of two that change
// the same one the later has its way. The zero value has none.
type recentAuthzs struct {
	mu      sync.Mutex
	tickets uint64
	all     map[int64]recentAuthz
}

type recentAuthz struct {
	ticket uint64
	authz  *Authz // nil until the ticket is handed in; not changed then
	at     time.Time
}

// change forgets an authorization, which the caller changes.
func (r *recentAuthzs) change(id int64) (ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || len(r.all) >= maxRecent {
		r.all = make(map[int64]recentAuthz)
	}
	r.tickets++
	r.all[id] = recentAuthz{ticket: r.tickets}
	return r.tickets
}

// forget forgets all, also those whose tickets have not been handed in.
func (r *recentAuthzs) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

// changed remembers what the change with the ticket made, unless another came since.
func (r *recentAuthzs) changed(ticket uint64, a Authz) {
	a.Recorded, a.Challenges = true, slices.Clone(a.Challenges)
	a.Created, a.Expires = kept(a.Created), kept(a.Expires)
	for i := range a.Challenges {
		a.Challenges[i].Validated = kept(a.Challenges[i].Validated)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.all[a.ID]; ok && e.ticket == ticket {
		r.all[a.ID] = recentAuthz{ticket, &a, time.Now()}
	}
}

// kept is a time as it is on record.
func kept(t time.Time) (read time.Time) {
	(timeColumn{&read}).Scan(millis(t)) // which takes what millis makes
	return read
}

func (r *recentAuthzs) find(id int64) *Authz {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.all[id]; e.authz != nil && time.Since(e.at) < recentFor {
		return e.authz
	}
	return nil
}

// RecentAuthz is [Store.Authz] that may answer from memory. Where the database is
// [Store.Shared] that is one that has come to its end, unless lag says that another
// server's change may be missed for a second.
func (s *Store) RecentAuthz(ctx context.Context, id int64, lag bool) (Authz, error) {
	if a := s.recent.find(id); a != nil && (lag || !s.Shared() || a.Status != acme.Pending) {
		got := *a
		got.Challenges = slices.Clone(a.Challenges)
		return got, nil
	}
	return s.Authz(ctx, id)
}
