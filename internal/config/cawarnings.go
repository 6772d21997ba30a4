package config

import (
	"crypto/x509"
	"slices"
	"time"
)

// warnOfCA warns when a CA, or what is above it, ends before its work is done, and
// when it can't issue what a profile offers.
func (r *reader) warnOfCA(i *Issuer, m *Intermediate, at string, now time.Time) {
	ca, err := m.Load()
	if err != nil {
		return // it was right a moment ago
	}
	r.warnOfUsage(i, ca.Certificate, at)
	next, followed := i.successor(m)
	if followed && !next.After(now) {
		return // it has done its work
	}
	life := i.longest()
	for _, c := range append(slices.Clone(ca.Chains[0]), ca.Root) {
		end := c.NotAfter
		switch {
		case now.After(end):
			r.add(at, "%q has expired on %s; give the issuer a new CA", c.Subject, end.Format(time.DateOnly))
		case followed && next.Add(life).After(end):
			r.add(at, "%q expires on %s, before the last certificate of %s that is issued until the next CA begins on %s; let that one begin by %s", c.Subject,
				end.Format(time.DateOnly), days(life), next.Format(time.DateOnly), end.Add(-life).Format(time.DateOnly))
		case !followed && now.Add(life+soon).After(end):
			r.add(at, "%q expires on %s; certificates of %s can be issued until %s only, so give the issuer a new CA", c.Subject,
				end.Format(time.DateOnly), days(life), end.Add(-life).Format(time.DateOnly))
		default:
			continue
		}
		return
	}
}

// successor says when the next intermediate takes over from m.
func (i *Issuer) successor(m *Intermediate) (from time.Time, ok bool) {
	for n := range i.Intermediates {
		if t := time.Time(i.Intermediates[n].From); t.After(time.Time(m.From)) && (!ok || t.Before(from)) {
			from, ok = t, true
		}
	}
	return from, ok
}

// longest is the longest life that a certificate of the issuer may have.
func (i *Issuer) longest() time.Duration {
	life := time.Duration(i.Validity)
	for n := range i.Profiles {
		life = max(life, time.Duration(i.Profiles[n].Validity))
	}
	return life
}

// warnOfUsage names profiles whose certificates the CA would make worthless: clients
// take the extended key usages of a CA for limits to those below it.
func (r *reader) warnOfUsage(i *Issuer, ca *x509.Certificate, at string) {
	usages := map[string]x509.ExtKeyUsage{"server": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth}
	if len(ca.ExtKeyUsage)+len(ca.UnknownExtKeyUsage) == 0 || slices.Contains(ca.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return
	}
	for n := range i.Profiles {
		for _, u := range i.Profiles[n].Usage {
			if !slices.Contains(ca.ExtKeyUsage, usages[u]) {
				r.add(at, "%q is not for the %ss of profile %s; leave that usage out, or have the CA signed again", ca.Subject, u, i.Profiles[n].Name)
			}
		}
	}
}
