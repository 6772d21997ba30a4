package portal

import (
	"context"
	"slices"
	"strings"
	"time"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// need is what a host needs somebody to attend to, the worst last. Its text is need.WORD.
type need int

const (
	fine      need = iota
	bare           // no ACME-ID may manage it, and no certificate is good
	waiting        // nobody has registered with the ACME-ID's credentials, and no certificate is good
	ended          // the account of its ACME-ID has ended, and no certificate is good
	expiring       // its certificate should have been renewed
	expired        // its certificate ended
	revoked        // its certificate is revoked
	suspended      // the CA team has stopped it
	nobodys        // nobody is responsible for it
)

func (n need) String() string {
	return [...]string{"fine", "bare", "waiting", "ended", "expiring", "expired", "revoked", "suspended", "nobodys"}[n]
}

// Class is that of its badge.
func (n need) Class() string {
	switch {
	case n == fine:
		return "ok"
	case n <= expiring:
		return "warn"
	}
	return "bad"
}

// standing is a host with what covers it.
type standing struct {
	store.ListedHost
	ACMEIDs     []store.CoveringACMEID
	Certificate *store.BriefCertificate // the one that was issued last; nil for none
	Need        need
	Why         string // it is suspended
}

// standings looks up what covers hosts. Queries: 5, whatever their number up to 128.
func (p *Portal) standings(ctx context.Context, hosts []store.ListedHost) ([]standing, error) {
	if len(hosts) == 0 {
		return nil, nil
	}
	bases, values, ids := make([]string, 0, 2*len(hosts)), make([]string, 0, 2*len(hosts)), make([]identifier.Identifier, len(hosts))
	for i, h := range hosts {
		ids[i] = identifier.Identifier{Type: identifier.DNS, Value: h.FQDN}
		_, parent, _ := strings.Cut(h.FQDN, ".")
		bases, values = append(bases, h.FQDN, parent), append(values, h.FQDN, "*."+parent)
	}
	acmeIDs, err := p.Store.ACMEIDsCovering(ctx, distinct(bases))
	if err != nil {
		return nil, err
	}
	newest, err := p.Store.Newest(ctx, distinct(values), p.stagingIssuers())
	if err != nil {
		return nil, err
	}
	stopped, err := p.Directory.Stopped(ctx, ids)
	if err != nil {
		return nil, err
	}
	byName := map[string][]store.CoveringACMEID{}
	for _, a := range acmeIDs {
		byName[a.Name] = append(byName[a.Name], a)
	}
	all := make([]standing, len(hosts))
	for i, h := range hosts {
		s := standing{ListedHost: h, Why: stopped(ids[i])}
		for _, value := range values[2*i : 2*i+2] {
			s.ACMEIDs = append(s.ACMEIDs, byName[value]...)
			if c, ok := newest[value]; ok && (s.Certificate == nil || better(c, *s.Certificate)) {
				s.Certificate = &c
			}
		}
		s.Need = s.needs(p.Now())
		all[i] = s
	}
	return all, nil
}

func (p *Portal) stagingIssuers() (names []string) {
	for _, d := range p.Directories {
		if d.Staging {
			names = append(names, d.Name)
		}
	}
	return names
}

func distinct(all []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// better tells which of two certificates a host lives by: the one that is good longer.
func better(a, b store.BriefCertificate) bool {
	if a.Revoked.IsZero() != b.Revoked.IsZero() {
		return a.Revoked.IsZero()
	}
	return a.NotAfter.After(b.NotAfter)
}

// needs tells what is worst.
func (s *standing) needs(now time.Time) need {
	c := s.Certificate
	good := c != nil && c.Revoked.IsZero() && now.Before(c.NotAfter)
	is := func(of func(store.CoveringACMEID) bool) bool { return slices.ContainsFunc(s.ACMEIDs, of) }
	switch {
	case s.Nobody:
		return nobodys
	case s.Why != "":
		return suspended
	case good && late(*c, now):
		return expiring
	case good:
		return fine
	case c != nil && !c.Revoked.IsZero():
		return revoked
	case c != nil:
		return expired
	case len(s.ACMEIDs) == 0:
		return bare
	case is(func(a store.CoveringACMEID) bool { return a.Registered }):
		return fine // its client will ask for one
	case is(func(a store.CoveringACMEID) bool { return a.Waiting }):
		return waiting
	}
	return ended
}

// late tells whether a certificate should have been renewed: clients do so when a third of
// its life is left, and have some days for it.
func late(c store.BriefCertificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/4
}

// clientName is the short name of a client, of what it calls itself: Certbot/5.6.0.
func clientName(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, " ")
	if v, ok := strings.CutPrefix(name, "CertbotACMEClient/"); ok {
		return "Certbot/" + v
	}
	return name
}
