package conformance

import (
	"crypto/rand"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// addresses are the rules of RFC 8738.
var addresses = []Case{
	{"RFC 8738 §3", "an IP identifier that is not in canonical text is refused", Must, func(c *check) {
		for _, text := range []string{"127.0.0.256", "127.0.0.01", "not-an-address"} {
			c.post(c.account(), c.dir.NewOrder, map[string]any{"identifiers": []ident{{"ip", text}}}).refused()
		}
	}},
	{"RFC 8738 §7", "dns-01 is not offered for an IP identifier", Must, func(c *check) {
		_, _, z := c.pendingAddress()
		for _, ch := range z.Challenges {
			c.ok(ch.Type != "dns-01", "it is offered")
		}
	}},
	{"RFC 8738 §4", "http-01 proves an address", Must, func(c *check) {
		a, _, z := c.pendingAddress()
		z = c.prove(a, z)
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
	}},
	{"RFC 8738 §6", "tls-alpn-01 proves an address, with SNI of its name for the reverse look-up", Must, func(c *check) {
		a, _, z := c.pendingAddress()
		ch := c.alpnChallenge(z)
		answer := properly(a, ch, "")
		answer.names, answer.addresses = nil, []net.IP{net.ParseIP(z.Identifier.Value)}
		c.alpn.set(answer)
		z = c.respond(a, z, ch)
		reverse, _ := dns.ReverseAddr(z.Identifier.Value)
		for _, h := range c.alpn.hellos() {
			c.ok(h.name == strings.TrimSuffix(reverse, "."), "it sends SNI %q", h.name)
		}
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
	}},
	{"RFC 8738 §6", "a tls-alpn-01 certificate with the address as a name makes the authorization invalid", Must, func(c *check) {
		a, _, z := c.pendingAddress()
		ch := c.alpnChallenge(z)
		c.alpn.set(properly(a, ch, z.Identifier.Value))
		z = c.respond(a, z, ch)
		c.ok(z.Status == "invalid", "the authorization is %s", z.Status)
	}},
	{"RFC 8738 §3", "the certificate has the address as an address", Must, func(c *check) {
		a, o, z := c.pendingAddress()
		c.prove(a, z)
		o = c.await(a, o, "pending")
		c.ok(o.Status == "ready", "the order is %s", o.Status)
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{IPAddresses: []net.IP{net.ParseIP(z.Identifier.Value)}}, newKey())
		c.ok(err == nil, "%v", err)
		c.post(a, o.Finalize, finalizing(der)).want(http.StatusOK)
		o = c.await(a, o, "processing")
		c.ok(o.Status == "valid", "the order is %s after finalize (%s)", o.Status, o.Error)
		leaf := c.chain(c.post(a, o.Certificate, nil).want(http.StatusOK).body)[0]
		got, _ := netip.AddrFromSlice(leaf.IPAddresses[0])
		c.ok(len(leaf.IPAddresses) == 1 && len(leaf.DNSNames) == 0 && got.Unmap().String() == z.Identifier.Value, "it is for %v and %v", leaf.IPAddresses, leaf.DNSNames)
	}},
}

// pendingAddress is an order of a new account for an address that is to be proved.
func (c *check) pendingAddress() (a *account, o order, z authz) {
	if c.o.Address == "" {
		c.skip("no address may be ordered; give --address")
	}
	a = c.account()
	if !c.dir.Meta.Bound {
		a = c.fresh()
	}
	ans := c.post(a, c.dir.NewOrder, map[string]any{"identifiers": []ident{{"ip", c.o.Address}}})
	if ans.status >= 400 {
		c.skip("the server takes no order for %s: %s", c.o.Address, ans)
	}
	ans.into(&o)
	o.url = ans.header.Get("Location")
	z = c.authz(a, o.Authorizations[0])
	if z.Status != "pending" {
		c.skip("the server asks this account for no proof")
	}
	return a, o, z
}
