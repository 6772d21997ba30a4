package issuer

import (
	"time"

	"vidimus/internal/acme"
)

// Limits of what an order may ask for (RFC 8555 §7.4). The Baseline Requirements let a
// certificate begin 48 hours from its signing at most (§7.1.2.7).
const (
	maxAhead     = 48 * time.Hour
	shortestLife = time.Hour
)

// CheckPeriod tells what is wrong with the beginning and the end that an order asks for
// now, of which either may be zero: not asked for. A nil profile is that of an issuer
// without profiles. The problem names the limits.
func (i *Issuer) CheckPeriod(p *Profile, notBefore, notAfter time.Time) *acme.Problem {
	now := i.now()
	if early, late := now.Add(-backdate), now.Add(maxAhead); !notBefore.IsZero() && (notBefore.Before(early) || notBefore.After(late)) {
		return acme.Problemf(acme.Malformed, "notBefore is %s, and must be between %s and %s here; leave it out to have the server choose",
			rfc3339(notBefore), rfc3339(early), rfc3339(late))
	}
	_, _, problem := i.period(p, notBefore, notAfter)
	return problem
}

// period chooses when a certificate begins and ends; both ends are part of it (RFC 5280
// §4.1.2.5). What the order asks for is kept to the second.
func (i *Issuer) period(p *Profile, notBefore, notAfter time.Time) (begin, end time.Time, problem *acme.Problem) {
	if p == nil {
		p = i.Plain()
	}
	now := i.now()
	longest := p.Validity - time.Second
	begin, end = now.Add(-backdate), notAfter
	if !notBefore.IsZero() {
		begin = notBefore
	}
	begin = begin.UTC().Truncate(time.Second)
	if notAfter.IsZero() {
		return begin, begin.Add(longest), nil
	}
	end = end.UTC().Truncate(time.Second)
	if notBefore.IsZero() && end.Sub(begin) > longest && !end.Add(-longest).After(now) {
		begin = end.Add(-longest)
	}
	first := begin
	if first.Before(now) {
		first = now
	}
	first = first.Add(shortestLife)
	if last := begin.Add(longest); end.Before(first) || end.After(last) {
		return begin, end, acme.Problemf(acme.Malformed, "notAfter is %s, and must be between %s and %s here, as certificates last %s at most; leave it out to have the server choose",
			rfc3339(end), rfc3339(first), rfc3339(last), p.Validity)
	}
	return begin, end, nil
}

func rfc3339(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }
