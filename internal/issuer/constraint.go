package issuer

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"

	"vidimus/internal/identifier"
)

// NameConstraints bound what names a certificate may have, as RFC 5280 §4.2.1.10 has
// it: what is excluded is out; where names of a kind are permitted, others of that
// kind are out. A profile differs from a CA certificate in that its permitted names
// exclude those of the other kind.
type NameConstraints struct {
	PermittedDomains, ExcludedDomains   []string // a domain is itself and all below it
	PermittedNetworks, ExcludedNetworks []netip.Prefix
}

// Allow tells whether the profile that the constraints belong to is for id.
func (c *NameConstraints) Allow(id identifier.Identifier) bool {
	none := len(c.PermittedDomains) == 0 && len(c.PermittedNetworks) == 0
	if id.Type == identifier.IP {
		return !inNetworks(id.Value, c.ExcludedNetworks) && (none || inNetworks(id.Value, c.PermittedNetworks))
	}
	return !touches(id, c.ExcludedDomains) && (none || below(id, c.PermittedDomains))
}

// below tells whether all that a DNS name stands for is in one of the domains.
func below(id identifier.Identifier, domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return in(id.Value, d) })
}

// touches tells whether anything that a DNS name stands for is in one of the domains:
// a wildcard reaches into the domains one label below it.
func touches(id identifier.Identifier, domains []string) bool {
	if below(id, domains) {
		return true
	}
	return id.Wildcard() && slices.ContainsFunc(domains, func(d string) bool {
		label, rest, _ := strings.Cut(strings.TrimPrefix(d, "."), ".")
		return label != "" && rest == id.Base().Value
	})
}

// in tells whether name is the domain or below it; a domain with a leading dot, as
// some CA certificates have it, is only what is below.
func in(name, domain string) bool {
	if strings.HasPrefix(domain, ".") {
		return strings.HasSuffix(name, strings.ToLower(domain))
	}
	return domain == "" || strings.EqualFold(name, domain) || strings.HasSuffix(name, "."+strings.ToLower(domain))
}

func inNetworks(address string, networks []netip.Prefix) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// allows tells whether the name constraints of the CA certificates above let a
// certificate for id be valid.
func (m *Intermediate) allows(id identifier.Identifier) bool {
	return !slices.ContainsFunc(m.Chains[0], func(c *x509.Certificate) bool { return !caAllows(c, id) })
}

func caAllows(c *x509.Certificate, id identifier.Identifier) bool {
	if id.Type == identifier.IP {
		a := net.ParseIP(id.Value)
		has := func(n *net.IPNet) bool { return n.Contains(a) }
		return !slices.ContainsFunc(c.ExcludedIPRanges, has) &&
			(len(c.PermittedIPRanges) == 0 || slices.ContainsFunc(c.PermittedIPRanges, has))
	}
	return !touches(id, c.ExcludedDNSDomains) && (len(c.PermittedDNSDomains) == 0 || below(id, c.PermittedDNSDomains))
}
