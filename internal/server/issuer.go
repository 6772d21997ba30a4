package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/lint"
	"vidimus/internal/store"
)

// openIssuer reads the files of an issuer.
func openIssuer(c *config.Issuer, all *config.Config, db *store.Store) (*issuer.Issuer, error) {
	iss := issuer.Issuer{Name: c.Name, Validity: time.Duration(c.Validity), ShardSize: all.CRL.ShardSize, Store: db}
	var err error
	if iss.Linter, err = lint.New(lint.Rules(c.Lint.Rules), c.Lint.Ignored); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
	}
	for n := range c.Profiles {
		iss.Profiles = append(iss.Profiles, profile(&c.Profiles[n]))
	}
	for n := range c.Intermediates {
		ca, err := c.Intermediates[n].Load()
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", c.Name, err)
		}
		m := &issuer.Intermediate{CA: ca.Certificate, Chains: ca.Chains, Root: ca.Root, From: ca.From, Key: ca.Key}
		if base := all.URLHTTP; base != "" {
			m.CRLBase = base + "/crl/"
			if *all.OCSP {
				m.OCSPURL = base + "/ocsp/" + c.Name
			}
			m.CAURL = base + caPath(c.Name, m)
		}
		iss.Intermediates = append(iss.Intermediates, m)
	}
	return issuer.New(iss)
}

// What belongs to one CA key has a URL with the key's identifier, which stays as long
// as there are certificates that name it.

func caPath(issuer string, m *issuer.Intermediate) string {
	return "/ca/" + issuer + "-" + m.ShortID() + ".cer"
}

// rootsPEM is what clients of the issuer are to trust: the root of each intermediate,
// once.
func rootsPEM(iss *issuer.Issuer) []byte {
	var roots []*x509.Certificate
	for _, m := range iss.Intermediates {
		if !slices.ContainsFunc(roots, m.Root.Equal) {
			roots = append(roots, m.Root)
		}
	}
	return certificate.MarshalChain(roots...)
}

// profile is a profile of the configuration, for the issuer.
func profile(c *config.Profile) issuer.Profile {
	p := issuer.Profile{Name: c.Name, Description: c.Description, Validity: time.Duration(c.Validity), CommonName: c.CommonName,
		MustStaple: issuer.MustStaple(c.MustStaple), Subject: subject(&c.Subject)}
	for _, k := range c.Keys {
		p.Keys = append(p.Keys, issuer.KeyType(k))
	}
	for _, s := range c.Policies {
		if oid, err := x509.ParseOID(s); err == nil { // Read has checked it
			p.Policies = append(p.Policies, oid)
		}
	}
	for _, u := range c.Usage {
		usage := x509.ExtKeyUsageServerAuth
		if u == "client" {
			usage = x509.ExtKeyUsageClientAuth
		}
		p.Usages = append(p.Usages, usage)
	}
	p.Names.PermittedDomains, p.Names.PermittedNetworks = domainsAndNetworks(c.Permitted)
	p.Names.ExcludedDomains, p.Names.ExcludedNetworks = domainsAndNetworks(c.Excluded)
	return p
}

func subject(c *config.Subject) (name pkix.Name) {
	for _, f := range []struct {
		value string
		field *[]string
	}{{c.Organisation, &name.Organization}, {c.Unit, &name.OrganizationalUnit}, {c.Locality, &name.Locality},
		{c.State, &name.Province}, {c.Country, &name.Country}} {
		if f.value != "" {
			*f.field = []string{f.value}
		}
	}
	return name
}

func domainsAndNetworks(list []string) (domains []string, networks []netip.Prefix) {
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			networks = append(networks, p.Masked())
		} else {
			domains = append(domains, s)
		}
	}
	return domains, networks
}

// TryProfiles looks for profiles whose certificates would not pass lint: each order of
// one would fail at its end.
func TryProfiles(c *config.Config) (wrong config.Mistakes) {
	for n := range c.Issuers {
		if c.Issuers[n].IsStaging() {
			continue // its profiles are those of the real one
		}
		iss, err := openIssuer(&c.Issuers[n], c, nil)
		if err != nil {
			wrong = append(wrong, config.Mistake{Text: err.Error()})
			continue
		}
		if len(iss.Profiles) == 0 {
			wrong = append(wrong, tried(iss, iss.Profile(""), c.Issuers[n].Name)...)
		}
		for k := range iss.Profiles {
			wrong = append(wrong, tried(iss, &iss.Profiles[k], c.Issuers[n].Name+", profile "+iss.Profiles[k].Name)...)
		}
	}
	return wrong
}

func tried(iss *issuer.Issuer, p *issuer.Profile, what string) config.Mistakes {
	if err := iss.Try(p); err != nil {
		return config.Mistakes{{Text: fmt.Sprintf("issuer %s: %v", what, err)}}
	}
	return nil
}

// mayCertify takes out of ids, the first of which must stay, what the name constraints
// of the issuer's CA forbid.
func mayCertify(iss *issuer.Issuer, ids []identifier.Identifier) ([]identifier.Identifier, error) {
	p := iss.Plain()
	forbidden := func(id identifier.Identifier) bool { return len(iss.Refused(p, []identifier.Identifier{id})) > 0 }
	if forbidden(ids[0]) {
		return nil, fmt.Errorf("the CA of issuer %s may not certify %s, the server's own name; name a certificate from elsewhere under tls", iss.Name, ids[0])
	}
	return identifier.Sorted(slices.DeleteFunc(slices.Clone(ids), forbidden)), nil
}
