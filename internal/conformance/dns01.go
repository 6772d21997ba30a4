package conformance

import (
	"crypto/sha256"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// zone is a DNS server for the server under test: every name is at 127.0.0.1 and has the
// TXT records that a case has given it.
type zone struct {
	err     error // it does not listen
	servers []*dns.Server

	mu  sync.Mutex
	txt map[string][]string // by name in lower case, with a dot at its end
}

func newZone(address string) *zone {
	z := &zone{txt: make(map[string][]string)}
	if address == "" {
		z.err = errors.New("the server under test does not ask it")
		return z
	}
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		z.err = err
		return z
	}
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		udp.Close()
		z.err = err
		return z
	}
	z.servers = []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}}
	for _, s := range z.servers {
		go s.ActivateAndServe()
	}
	return z
}

func (z *zone) broken() string {
	if z.err != nil {
		return z.err.Error()
	}
	return ""
}

// set gives a name TXT records in place of those that it had.
func (z *zone) set(name string, values ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.txt[strings.ToLower(dns.Fqdn(name))] = values
}

// ServeDNS implements [dns.Handler].
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	for _, question := range q.Question {
		head := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
		switch question.Qtype {
		case dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: net.IPv4(127, 0, 0, 1)})
		case dns.TypeTXT:
			z.mu.Lock()
			for _, v := range z.txt[strings.ToLower(question.Name)] {
				m.Answer = append(m.Answer, &dns.TXT{Hdr: head, Txt: []string{v}})
			}
			z.mu.Unlock()
		}
	}
	w.WriteMsg(m)
}

func (z *zone) close() {
	for _, s := range z.servers {
		s.Shutdown()
	}
}

// dnsCases are the rules of RFC 8555 §8.4.
var dnsCases = []Case{
	must("8.4", "dns-01 with the right record makes the authorization valid", dnsCase("valid", func(right string) []string { return []string{right} })),
	must("8.4", "dns-01 with the right record among others makes the authorization valid", dnsCase("valid", func(right string) []string { return []string{"other", right, "x"} })),
	must("8.4", "dns-01 without a record makes the authorization invalid", dnsCase("invalid", func(string) []string { return nil })),
	must("8.4", "dns-01 with another record makes the authorization invalid", dnsCase("invalid", func(right string) []string { return []string{right + "A", "other"} })),
	must("8.4", "a wildcard is proved by dns-01 at its base, and by neither http-01 nor tls-alpn-01", func(c *check) {
		a := c.account()
		z := c.authz(a, c.wildcardOrder(a).Authorizations[0])
		for _, ch := range z.Challenges {
			c.ok(!slices.Contains([]string{"http-01", "tls-alpn-01"}, ch.Type), "%s is offered", ch.Type)
		}
		if z.Status != "pending" {
			c.skip("the server asks this account for no proof")
		}
		z = c.proveDNS(a, z)
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
	}),
}

// wildcardOrder is an order for the wildcard of the domain.
func (c *check) wildcardOrder(a *account) (o order) {
	ans := c.post(a, c.dir.NewOrder, forNames("*."+c.domain()))
	if ans.status >= 400 {
		c.skip("the server takes no order for a wildcard of %s: %s", c.domain(), ans)
	}
	ans.into(&o)
	return o
}

// dnsCase answers dns-01 by records made of the right one, and expects a status of the
// authorization.
func dnsCase(status string, records func(right string) []string) func(*check) {
	return func(c *check) {
		a, _, z := c.pending()
		ch := c.dnsChallenge(z)
		c.zone.set("_acme-challenge."+z.Identifier.Value, records(rightRecord(a, ch))...)
		z = c.respond(a, z, ch)
		c.ok(z.Status == status, "the authorization is %s, not %s", z.Status, status)
	}
}

func rightRecord(a *account, ch challenge) string {
	sum := sha256.Sum256([]byte(ch.Token + "." + a.thumbprint()))
	return b64(sum[:])
}

// proveDNS answers the dns-01 challenge and waits for what comes of it.
func (c *check) proveDNS(a *account, z authz) authz {
	ch := c.dnsChallenge(z)
	c.zone.set("_acme-challenge."+z.Identifier.Value, rightRecord(a, ch))
	return c.respond(a, z, ch)
}

// dnsChallenge is the dns-01 challenge of an authorization, if it can be answered.
func (c *check) dnsChallenge(z authz) challenge {
	if why := c.zone.broken(); why != "" {
		c.skip("dns-01 can't be answered: %s; give --dns", why)
	}
	return c.challenge(z, "dns-01")
}
