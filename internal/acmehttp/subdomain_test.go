package acmehttp_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"vidimus/internal/acmehttp"
	"vidimus/internal/validation"
)

// zone is a resolver that knows TXT values, and whom an issue record allows, by name.
type zone struct {
	caaZone
	txt sync.Map
}

func (z *zone) Lookup(ctx context.Context, name string, t uint16) (validation.Answer, error) {
	if t != dns.TypeTXT {
		return z.caaZone.Lookup(ctx, name, t)
	}
	if v, ok := z.txt.Load(name); ok {
		return validation.Answer{Records: []dns.RR{&dns.TXT{Txt: []string{v.(string)}}}}, nil
	}
	return validation.Answer{}, nil
}

// withSubdomains lets who proves a name by DNS have the names below it.
func withSubdomains(z *zone) func(*acmehttp.Config) {
	return func(c *acmehttp.Config) {
		c.Runner.Validator.Resolver = z
		c.Endpoints[1].Subdomains = true
		c.Runner.Directories = map[string]validation.Policy{"main-open": {Identities: []string{"ca.example"}, CAA: true}}
	}
}

// proveDNS answers the dns-01 challenge.
func (c *client) proveDNS(z *zone, url string) (a authz) {
	c.t.Helper()
	c.post(url, "").want(200).json(&a)
	for _, ch := range a.Challenges {
		if ch.Type == "dns-01" {
			sum := sha256.Sum256([]byte(ch.Token + "." + thumbprint(c.t, c.key)))
			z.txt.Store("_acme-challenge."+a.Identifier.Value, b64(sum[:]))
			c.post(ch.URL, "{}").want(200)
			a = authz{}
			c.post(url, "").want(200).json(&a)
			return a
		}
	}
	c.t.Fatalf("there is no dns-01 challenge: %+v", a)
	return a
}

func TestAProofByDNSIsGoodForTheNamesBelow(t *testing.T) {
	z := new(zone)
	s := newServer(t, withSubdomains(z))
	c := s.registered()
	var d struct {
		Meta struct{ SubdomainAuthAllowed bool }
	}
	if c.raw("GET", "/directory", "", "").json(&d); !d.Meta.SubdomainAuthAllowed {
		t.Error("the directory does not tell of it")
	}
	a := c.post("/new-authz", `{"identifier":{"type":"dns","value":"example.org","subdomainAuthAllowed":true}}`).want(201)
	var got authz
	a.json(&got)
	if !got.SubdomainAuthAllowed || len(got.Challenges) != 1 || got.Challenges[0].Type != "dns-01" {
		t.Fatalf("the authorization is %+v; want dns-01 alone", got)
	}
	url := a.header.Get("Location")
	plain := c.post("/new-authz", `{"identifier":{"type":"dns","value":"example.org"}}`).want(201).header.Get("Location")
	if plain == url {
		t.Error("one for the name alone is that for the names below")
	}
	if got = c.proveDNS(z, url); got.Status != "valid" || !got.SubdomainAuthAllowed {
		t.Fatalf("the authorization is %+v", got)
	}

	o := c.order("a.b.example.org", "c.example.org", "example.org")
	if o.Status != "ready" || len(o.Authorizations) != 1 || o.Authorizations[0] != url {
		t.Fatalf("the order is %+v; want ready by %s alone", o, url)
	}
	// CAA records are those of the name itself.
	z.set(map[string]string{"c.example.org": "other.example"})
	names := []string{"a.b.example.org", "c.example.org", "example.org"}
	if p := c.post(o.Finalize, csr(t, newKey(t), names...)).problem("caa", 403); len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "c.example.org" {
		t.Errorf("the problem is %+v", p)
	}
	z.set(nil)
	c.post(o.Finalize, csr(t, newKey(t), names...)).want(200)

	for why, o := range map[string]order{"a wildcard": c.order("*.b.example.org"), "a sibling": c.order("example.com"), "another account's": s.registered().order("a.example.org")} {
		if o.Status != "pending" {
			t.Errorf("the order of %s is %s", why, o.Status)
		}
	}
	c.post(url, `{"status":"deactivated"}`).want(200)
	if o := c.order("a.b.example.org"); o.Status != "pending" {
		t.Errorf("without the authorization an order is %s", o.Status)
	}
}

func TestAnOrderMayNameWhatItProvesInstead(t *testing.T) {
	z := new(zone)
	s := newServer(t, withSubdomains(z))
	c := s.registered()
	const body = `{"identifiers":[{"type":"dns","value":"a.b.example.org","ancestorDomain":"Example.org"},{"type":"dns","value":"c.example.org","ancestorDomain":"example.org"},` +
		`{"type":"dns","value":"www.example.com"}]}`
	var o order
	c.post("/new-order", body).want(201).json(&o)
	if o.Status != "pending" || len(o.Authorizations) != 2 || len(o.Identifiers) != 3 {
		t.Fatalf("the order is %+v; want one authorization for two names, and one more", o)
	}
	for _, url := range o.Authorizations {
		if a := c.proveDNS(z, url); a.Status != "valid" || a.SubdomainAuthAllowed != (a.Identifier.Value == "example.org") {
			t.Errorf("the authorization is %+v", a)
		}
	}
	c.post(strings.TrimSuffix(o.Finalize, "/finalize"), "").want(200).json(&o)
	if o.Status != "ready" {
		t.Errorf("the order is %s", o.Status)
	}
	c.post(o.Finalize, csr(t, newKey(t), "a.b.example.org", "c.example.org", "www.example.com")).want(200)

	for _, bad := range []string{"example.com", "a.example.org", "org", "b.a.example.org", "*.example.org", "ample.org"} {
		p := c.post("/new-order", `{"identifiers":[{"type":"dns","value":"a.example.org","ancestorDomain":"`+bad+`"}]}`).problem("malformed", 400)
		if len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "a.example.org" {
			t.Errorf("%s: %+v", bad, p)
		}
	}

	// Unless the operators allow it, each name is proved.
	strict := newServer(t).registered()
	strict.post("/new-order", body).want(201).json(&o)
	if len(o.Authorizations) != 3 {
		t.Errorf("the order is %+v", o)
	}
	var a authz
	strict.post("/new-authz", `{"identifier":{"type":"dns","value":"example.org","subdomainAuthAllowed":true}}`).want(201).json(&a)
	if a.SubdomainAuthAllowed || len(a.Challenges) != 3 {
		t.Errorf("the authorization is %+v", a)
	}
}
