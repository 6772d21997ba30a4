package acmehttp

import (
	"slices"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// ofSubdomains are the challenge types that can prove control of all names below a name.
// What a host answers says nothing about other hosts (RFC 9444 §5).
var ofSubdomains = []acme.ChallengeType{acme.DNS01, acme.DNSAccount01}

// orderRequest is the payload of newOrder, with what RFC 9444 adds to it.
type orderRequest struct {
	acme.NewOrder
	Identifiers []struct {
		identifier.Identifier
		AncestorDomain string `json:"ancestorDomain"` // §4.3
	} `json:"identifiers"`
}

func (o *orderRequest) identifiers() []identifier.Identifier {
	ids := make([]identifier.Identifier, len(o.Identifiers))
	for i, id := range o.Identifiers {
		ids[i] = id.Identifier
	}
	return ids
}

// ancestors has, for identifiers of an order, a name above of which the client can prove
// control.
type ancestors map[identifier.Identifier]identifier.Identifier

// ancestors reads the ancestor domains of an order, whose identifiers must have been read
// before. Where the directory wants each name proved, and for wildcards, they are left
// aside, as the RFC lets a server do.
func (r *request) ancestors(o orderRequest) (ancestors, error) {
	above := make(ancestors)
	if !r.dir.Subdomains || len(r.dir.proversBelow()) == 0 {
		return above, nil
	}
	var wrong []*acme.Problem
	for _, raw := range o.Identifiers {
		id, err := raw.Canonical()
		if err != nil || raw.AncestorDomain == "" || id.Wildcard() {
			continue
		}
		ancestor, err := identifier.ParseDNS(raw.AncestorDomain)
		if err != nil || !slices.Contains(id.Ancestors(), ancestor) {
			wrong = append(wrong, acme.Problemf(acme.Malformed, "the ancestorDomain %q is no domain above %s", clip(raw.AncestorDomain), id).For(raw.Identifier))
			continue
		}
		above[id] = ancestor
	}
	if len(wrong) > 0 {
		return nil, acme.PerIdentifier(wrong[0].Detail, wrong)
	}
	return above, nil
}

// proversBelow lists the offered challenge types that can prove control of the names
// below a name.
func (e *Endpoint) proversBelow() (types []acme.ChallengeType) {
	for _, t := range e.provers(identifier.Identifier{Type: identifier.DNS}) {
		if slices.Contains(ofSubdomains, t) {
			types = append(types, t)
		}
	}
	return types
}

// newAuthzBelow makes a pending authorization for a name and all names below it.
func (s *Server) newAuthzBelow(r *request, id identifier.Identifier, now time.Time) *store.Authz {
	return &store.Authz{Account: r.account.ID, Identifier: id, Subdomains: true, Status: acme.Pending, Created: now, Expires: now.Add(orderLife),
		Challenges: offer(r.dir.proversBelow())}
}
