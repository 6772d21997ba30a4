package acmehttp

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// Challenge types that can prove control of a wildcard, and of an address: the zone
// stands for its names (RFC 8555 §8.3), the host for its address (RFC 8738 §4).
var (
	ofWildcards = []acme.ChallengeType{acme.DNS01, acme.DNSAccount01, acme.DNSPersist01}
	ofAddresses = []acme.ChallengeType{acme.HTTP01, acme.TLSALPN01}
)

// provers lists the offered challenge types that can prove control of an identifier.
func (e *Endpoint) provers(id identifier.Identifier) (types []acme.ChallengeType) {
	all := e.Challenges
	if all == nil {
		all = []acme.ChallengeType{acme.HTTP01, acme.DNS01, acme.TLSALPN01}
	}
	for _, t := range all {
		switch {
		case id.Wildcard() && !slices.Contains(ofWildcards, t), id.Type == identifier.IP && !slices.Contains(ofAddresses, t):
		default:
			types = append(types, t)
		}
	}
	return types
}

// provable refuses identifiers of which control can't be proved here.
func (e *Endpoint) provable(ids []identifier.Identifier) error {
	var subs []*acme.Problem
	for _, id := range ids {
		if len(e.provers(id)) == 0 {
			subs = append(subs, acme.Problemf(acme.RejectedIdentifier, "%s can't be proved by any challenge that this directory offers", id).For(id))
		}
	}
	if len(subs) == 0 {
		return nil
	}
	return acme.PerIdentifier(subs[0].Detail, subs)
}

// offer makes the challenges by any of which control of an identifier can be proved.
func offer(types []acme.ChallengeType) (all []store.Challenge) {
	for _, t := range types {
		c := store.Challenge{Type: t, Status: acme.Pending}
		if t != acme.DNSPersist01 { // whose record outlives the challenge
			token := make([]byte, 32)
			rand.Read(token)
			c.Token = base64.RawURLEncoding.EncodeToString(token)
		}
		all = append(all, c)
	}
	return all
}

func (r *request) challengeObject(c store.Challenge) acme.Challenge {
	out := acme.Challenge{Type: c.Type, URL: fmt.Sprintf("%s/chall/%d", r.dir.base, c.ID), Status: c.Status,
		Validated: timePtr(c.Validated), Error: c.Error, Token: c.Token}
	if c.Type == acme.DNSPersist01 {
		out.Issuers = r.dir.Identities
	}
	return out
}
