package acmehttp

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// reuseMargin is how long an authorization must last at least for an order to take it
// up: enough to finalize.
const reuseMargin = 10 * time.Minute

// recordOrder completes an order with its authorizations and records both. Where control
// is proved by challenge it takes up what the account has: authorizations that are
// valid, and those made in advance; only what is missing is made.
func (s *Server) recordOrder(r *request, o *store.Order, granted bool) error {
	for try := 0; ; try++ {
		authzs, err := s.authzsFor(r, o, granted)
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
func (s *Server) authzsFor(r *request, o *store.Order, granted bool) ([]*store.Authz, error) {
	authzs := make([]*store.Authz, len(o.Identifiers))
	var have []store.Authz
	if !granted {
		var err error
		if have, err = s.reusable(r, o.Identifiers); err != nil {
			return nil, err
		}
	}
	for i, id := range o.Identifiers {
		if authzs[i] = covering(have, id); authzs[i] == nil {
			authzs[i] = s.newAuthz(r, id, granted, o.Created)
		}
	}
	return authzs, nil
}

// reusable reads the authorizations of the account that could cover the identifiers.
func (s *Server) reusable(r *request, ids []identifier.Identifier) ([]store.Authz, error) {
	var values []string
	for _, id := range ids {
		values = append(values, id.Base().Value)
	}
	have, err := s.Store.ReusableAuthzs(r.http.Context(), r.account.ID, values, s.Now().Add(reuseMargin))
	if err != nil {
		return nil, fmt.Errorf("looking for authorizations: %w", err)
	}
	return have, nil
}

// covering finds an authorization that is good for an identifier, a valid one before a
// pending one; nil if there is none.
func covering(have []store.Authz, id identifier.Identifier) (best *store.Authz) {
	for i := range have {
		a := &have[i]
		if covers(a, id) && (best == nil || best.Status != acme.Valid && a.Status == acme.Valid) {
			best = a
		}
	}
	return best
}

// covers tells whether an authorization is for an identifier. That for a name is not for
// its wildcard, nor the other way round.
func covers(a *store.Authz, id identifier.Identifier) bool {
	return a.Identifier == id.Base() && a.Wildcard == id.Wildcard()
}

// preauthorize makes an authorization in advance of any order (§7.4.1), or finds the one
// that there is.
func (s *Server) preauthorize(r *request) (reply, error) {
	if rep, err := r.checkAgreed(); err != nil {
		return rep, err
	}
	var in struct {
		Identifier identifier.Identifier `json:"identifier"`
	}
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	ids, err := r.canonical([]identifier.Identifier{in.Identifier})
	if err != nil {
		return reply{}, err
	}
	id := ids[0]
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
		if a := covering(have, id); a != nil {
			full, err := s.loadAuthz(r, a.ID)
			return s.preauthorized(r, full), err
		}
	}
	a := s.newAuthz(r, id, granted, s.Now())
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
