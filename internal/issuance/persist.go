package issuance

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// persistent is what a dns-persist-01 record of a name may say: the names of the CA, and
// of the account its hashes (draft-ietf-acme-dns-persist-02 §4.1), or for a CA that follows
// an earlier draft its URL.
func (ca *CA) persistent(c acme.Challenge, name, thumbprint, account string) (issuers, uris []string, err error) {
	switch {
	case c.Type != acme.DNSPersist01:
		return nil, nil, nil
	case len(c.Issuers) == 0:
		return c.IssuersBefore, []string{account}, checkNames(c.IssuersBefore)
	}
	if err := errors.Join(checkNames(c.Issuers), ca.checkIssuers(c.Issuers)); err != nil {
		return nil, nil, err
	}
	prefix := ca.dir.Meta.AccountHashPrefix
	if !isParameter(prefix) {
		return nil, nil, errors.New("the directory has no accountHashPrefix that can stand in a record")
	}
	return c.Issuers, []string{acme.HashedAccount(prefix, name, thumbprint, account), acme.HashedAccount(prefix, acme.AnyDomain, thumbprint, account)}, nil
}

// checkNames checks the names in a challenge, which become a part of a record (§3.1).
func checkNames(issuers []string) error {
	if len(issuers) > acme.MaxIssuerNames {
		return fmt.Errorf("it names the CA in %d ways; %d are allowed", len(issuers), acme.MaxIssuerNames)
	}
	for _, name := range issuers {
		if id, err := identifier.ParseLocal(name); err != nil || id.Value != name {
			return fmt.Errorf("%q is no domain name in its normal form", oneLine(name))
		}
	}
	return nil
}

// checkIssuers holds the names in a challenge against those in the directory (§3.2).
func (ca *CA) checkIssuers(issuers []string) error {
	m := ca.dir.Meta
	for _, name := range m.IssuerDomainNames {
		if !slices.Contains(issuers, name) {
			return fmt.Errorf("it leaves out the name %q of the directory", oneLine(name))
		}
	}
	for _, name := range issuers {
		same := func(i string) bool { return strings.EqualFold(strings.TrimSuffix(i, "."), name) }
		if len(m.CAAIdentities) > 0 && !slices.ContainsFunc(m.CAAIdentities, same) {
			return fmt.Errorf("%q is none of the CA's names for CAA records", oneLine(name))
		}
	}
	return nil
}

// isParameter tells whether a text can be, or begin, the value of a parameter (RFC 8659
// §4.2): it is of visible ASCII without semicolon.
func isParameter(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' || r == ';' })
}
