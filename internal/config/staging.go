package config

import (
	"fmt"

	"vidimus/internal/certificate"
)

// stagingSuffix is behind the name of an issuer in that of its staging issuer.
const stagingSuffix = "-staging"

// IsStaging tells whether the issuer is another's staging issuer: one to try things
// with, whose root nobody trusts.
func (i *Issuer) IsStaging() bool { return i.stagingOf != "" }

// addStaging adds, behind all others, the staging issuer of each that has one: what
// it says of itself is its CA, in the rest it is as the real one.
func (c *Config) addStaging(r *reader, seen map[string]bool) {
	for n := range c.Issuers {
		real := &c.Issuers[n]
		if real.Staging == nil {
			continue
		}
		path := fmt.Sprintf("issuers.%d.staging", n)
		staging := *real
		staging.Name, staging.stagingOf, staging.Staging = real.Name+stagingSuffix, real.Name, nil
		staging.Intermediate = *real.Staging
		staging.Intermediates = nil
		staging.completeIntermediates(r, path)
		staging.checkApart(r, path, real)
		for _, dir := range staging.Directories() {
			if seen[dir] {
				r.add(path, "there are two ACME directories %q", dir)
			}
			seen[dir] = true
		}
		c.Issuers = append(c.Issuers, staging)
	}
}

// checkApart checks that nobody who trusts the real issuer trusts its staging issuer.
// What can't be read has been said already.
func (i *Issuer) checkApart(r *reader, path string, real *Issuer) {
	staging, err := i.Intermediate.Load()
	if err != nil {
		return
	}
	for n := range real.Intermediates {
		ca, err := real.Intermediates[n].Load()
		if err != nil {
			continue
		}
		if certificate.KeyMatches(ca.Root, staging.Key) || ca.Root.CheckSignatureFrom(staging.Root) == nil ||
			string(ca.Root.RawSubjectPublicKeyInfo) == string(staging.Root.RawSubjectPublicKeyInfo) || certificate.KeyMatches(ca.Certificate, staging.Key) {
			r.add(path, "staging shares a key with what is real; it needs a root of its own, which nobody trusts, as vidimusd init makes it")
			return
		}
	}
}
