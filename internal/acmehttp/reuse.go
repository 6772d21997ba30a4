package acmehttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// reuseMargin is how long an authorization must last at least for an order to take it
// up: enough to finalize.
const reuseMargin = 10 * time.Minute

// maxValues is how many names are looked for by one query.
const maxValues = 256

// recordOrder completes an order with its authorizations and records both. Where control
// is proved by challenge it takes up what the account has: authorizations that are
// valid, and those made in advance; only what is missing is made, for a name above where
// the client says that it can prove that.
func (s *Server) recordOrder(r *request, o *store.Order, above ancestors, granted bool) error {
	for try := 0; ; try++ {
		authzs, err := s.authzsFor(r, o, above, granted)
		if err != nil {
			return err
		}
		o.Status = acme.Ready
		for _, a := range authzs {
			if a.Status != acme.Valid {
				o.Status = acme.Pending
			}
			if a.Recorded && a.Expires.Before(o.Expires) {
				o.Expires = a.Expires
			}
		}
		err = s.Store.NewOrder(r.http.Context(), o, authzs)
		if errors.Is(err, store.ErrConflict) && try < 3 {
			continue // one of them has just been proved, or given up
		}
		if err != nil {
			return fmt.Errorf("recording an order: %w", err)
		}
		return nil
	}
}

// authzsFor finds or makes the authorization for each identifier of an order.
func (s *Server) authzsFor(r *request, o *store.Order, above ancestors, granted bool) ([]*store.Authz, error) {
	authzs := make([]*store.Authz, len(o.Identifiers))
	var have []store.Authz
	if !granted {
		var err error
		if have, err = s.reusable(r, o.Identifiers); err != nil {
			return nil, err
		}
	}
	below := make(map[identifier.Identifier]*store.Authz) // by the name that they are for
	for i, id := range o.Identifiers {
		ancestor, ok := above[id]
		switch authzs[i] = covering(have, func(a *store.Authz) bool { return r.dir.covers(a, id) }); {
		case authzs[i] != nil:
		case !ok || granted:
			authzs[i] = s.newAuthz(r, id, granted, o.Created)
		default:
			if below[ancestor] == nil {
				below[ancestor] = s.newAuthzBelow(r, ancestor, o.Created)
			}
			authzs[i] = below[ancestor]
		}
	}
	return authzs, nil
}

// reusable reads the authorizations of the account that could cover the identifiers.
func (s *Server) reusable(r *request, ids []identifier.Identifier) ([]store.Authz, error) {
	var values []string
	for _, id := range ids {
		values = append(values, id.Base().Value)
		if r.dir.Subdomains {
			values = append(values, identifier.Values(id.Ancestors())...)
		}
	}
	slices.Sort(values)
	var have []store.Authz
	for some := range slices.Chunk(slices.Compact(values), maxValues) {
		more, err := s.Store.ReusableAuthzs(r.http.Context(), r.account.ID, some, s.Now().Add(reuseMargin))
		if err != nil {
			return nil, fmt.Errorf("looking for authorizations: %w", err)
		}
		have = append(have, more...)
	}
	return have, nil
}

// covering finds an authorization that is good, a valid one before a pending one; nil if
// there is none.
func covering(have []store.Authz, good func(*store.Authz) bool) (best *store.Authz) {
	for i := range have {
		a := &have[i]
		if good(a) && (best == nil || best.Status != acme.Valid && a.Status == acme.Valid) {
			best = a
		}
	}
	return best
}

// covers tells whether an authorization is for an identifier. That for a name is not for
// its wildcard, nor the other way round; nor is one for the names below a name for their
// wildcards.
func (e *Endpoint) covers(a *store.Authz, id identifier.Identifier) bool {
	if a.Identifier == id.Base() {
		return a.Wildcard == id.Wildcard()
	}
	return e.Subdomains && a.Subdomains && !id.Wildcard() && slices.Contains(id.Ancestors(), a.Identifier)
}

// preauthorize makes an authorization in advance of any order (§7.4.1), or finds the one
// that there is.
func (s *Server) preauthorize(r *request) (reply, error) {
	if rep, err := r.checkAgreed(); err != nil {
		return rep, err
	}
	var in struct {
		Identifier struct {
			identifier.Identifier
			Subdomains bool `json:"subdomainAuthAllowed"` // RFC 9444 §4.2
		} `json:"identifier"`
	}
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	ids, err := r.canonical([]identifier.Identifier{in.Identifier.Identifier})
	if err != nil {
		return reply{}, err
	}
	id := ids[0]
	below := in.Identifier.Subdomains && r.dir.Subdomains && id.Type == identifier.DNS && len(r.dir.proversBelow()) > 0
	if id.Wildcard() {
		return reply{}, acme.Problemf(acme.Malformed, "a wildcard can't be authorized in advance (RFC 8555 §7.4.1); order a certificate for %s", id)
	}
	granted, err := s.decide(r, ids)
	if err != nil {
		return reply{}, err
	}
	if !granted {
		if err := r.dir.provable(ids); err != nil {
			return reply{}, err
		}
		have, err := s.reusable(r, ids)
		if err != nil {
			return reply{}, err
		}
		if a := covering(have, func(a *store.Authz) bool { return a.Identifier == id && !a.Wildcard && a.Subdomains == below }); a != nil {
			full, err := s.loadAuthz(r, a.ID)
			return s.preauthorized(r, full), err
		}
	}
	a := s.newAuthz(r, id, granted, s.Now())
	if below && !granted {
		a = s.newAuthzBelow(r, id, s.Now())
	}
	a.Reusable = !granted
	if err := s.Store.NewAuthz(r.http.Context(), a); err != nil {
		return reply{}, fmt.Errorf("recording an authorization: %w", err)
	}
	return s.preauthorized(r, *a), nil
}

func (s *Server) preauthorized(r *request, a store.Authz) reply {
	rep := s.authzReply(r, a)
	rep.status, rep.location = http.StatusCreated, r.authzURL(a.ID)
	return rep
}
