package acmehttp

import (
	"maps"
	"slices"
	"strings"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
)

// orderProfile finds the profile that a new order names, or the default one, and
// checks that it is for the identifiers (draft-ietf-acme-profiles §4).
func orderProfile(r *request, name string, ids []identifier.Identifier) (*issuer.Profile, error) {
	p := r.dir.Issuer.Profile(name)
	if p == nil {
		names := slices.Sorted(maps.Keys(r.dir.Issuer.Descriptions()))
		if len(names) == 0 {
			return nil, acme.Problemf(acme.InvalidProfile, "there are no profiles here; order without \"profile\"")
		}
		return nil, acme.Problemf(acme.InvalidProfile, "there is no profile %q here; use one of %s", clip(name), strings.Join(names, ", "))
	}
	if refused := r.dir.Issuer.Refused(p, ids); len(refused) > 0 {
		return nil, acme.PerIdentifier(refused[0].Detail, refused)
	}
	return p, nil
}

// profileOf finds the profile of an order that is finalized. One that the server no
// longer has ends the order.
func (s *Server) profileOf(r *request, o store.Order) (*issuer.Profile, error) {
	if p := r.dir.Issuer.Profile(o.Profile); p != nil {
		return p, nil
	}
	return nil, s.endOrder(r, o, acme.Problemf(acme.InvalidProfile, "there is no profile %q any more; place a new order", o.Profile))
}
