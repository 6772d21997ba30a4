package acmehttp_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

func csrOf(t *testing.T, ids ...identifier.Identifier) string {
	t.Helper()
	der, err := certificate.Request(newKey(t), ids, false)
	if err != nil {
		t.Fatal(err)
	}
	return `{"csr":"` + b64(der) + `"}`
}

func TestAnAddressIsProvedAndCertified(t *testing.T) {
	w := newWeb(t)
	s := newServer(t, w.validated)
	c := s.registered()
	address := identifier.Identifier{Type: identifier.IP, Value: "127.0.0.1"}
	name := identifier.Identifier{Type: identifier.DNS, Value: "www.example.org"}
	payload, _ := json.Marshal(map[string]any{"identifiers": []identifier.Identifier{address, name}})
	var o order
	c.post("/new-order", string(payload)).want(201).json(&o)
	if !slices.Contains(o.Identifiers, address) || o.Status != "pending" {
		t.Fatalf("the order is %+v", o)
	}
	for _, url := range o.Authorizations {
		z := c.prove(w, url, true)
		if z.Status != "valid" {
			t.Fatalf("the authorization is %+v", z)
		}
		for _, ch := range z.Challenges {
			if z.Identifier.Type == "ip" && strings.HasPrefix(ch.Type, "dns") {
				t.Errorf("%s is offered for an address", ch.Type)
			}
		}
	}
	c.post(o.Finalize, csrOf(t, name)).problem("badCSR", 400)
	c.post(o.Finalize, csrOf(t, name, identifier.Identifier{Type: identifier.DNS, Value: "127.0.0.1"})).problem("badCSR", 400)
	c.post(o.Finalize, csrOf(t, name, address)).want(200).json(&o)
	chain, err := certificate.ParseChain(c.post(o.Certificate, "").want(200).body)
	if err != nil || !slices.Equal(chain[0].DNSNames, []string{name.Value}) || len(chain[0].IPAddresses) != 1 || !chain[0].IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("the certificate is for %v and %v, %v", chain[0].DNSNames, chain[0].IPAddresses, err)
	}

	// In advance, and once more.
	var z authz
	c.post("/new-authz", `{"identifier":{"type":"ip","value":"127.0.0.1"}}`).want(201).json(&z)
	if z.Status != "valid" {
		t.Errorf("the proved address is %s", z.Status)
	}
	// Where only the server can go, it does not go for a client.
	private := c.post("/new-order", `{"identifiers":[{"type":"ip","value":"10.0.0.1"}]}`).want(201)
	private.json(&o)
	z = c.prove(w, o.Authorizations[0], true)
	if z.Status != "invalid" || z.Challenges[0].Error == nil || !strings.Contains(z.Challenges[0].Error.Detail, "private or special") {
		t.Errorf("a private address: %+v", z)
	}
	p := s.registered("www.example.org").post("/new-order", string(payload)).problem("unsupportedIdentifier", 400)
	if len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "127.0.0.1" || !strings.Contains(p.Detail, "open directory") {
		t.Errorf("for an ACME-ID: %+v", p)
	}
	for _, bad := range []string{"127.0.0.256", "fe80::1%eth0", "www.example.org", ""} {
		c.post("/new-order", `{"identifiers":[{"type":"ip","value":"`+bad+`"}]}`).problem("malformed", 400)
	}
}

// Many clients show the detail of a problem and none of its subproblems.
func TestTheDetailOfARefusalSaysWhy(t *testing.T) {
	c := newServer(t).registered("www.example.org")
	p := c.post("/new-order", `{"identifiers":[{"type":"dns","value":"192.0.2.1"}]}`).problem("malformed", 400)
	if !strings.Contains(p.Detail, `192.0.2.1" is an IP address, which is ordered with the type "ip"`) {
		t.Errorf("an address ordered as a name: %s", p.Detail)
	}
	p = c.post("/new-order", `{"identifiers":[{"type":"dns","value":"a_b.example.org"},{"type":"dns","value":"www.example.org"},{"type":"dns","value":"x..y"}]}`).problem("malformed", 400)
	if len(p.Subproblems) != 2 || p.Detail != p.Subproblems[0].Detail+" (and 1 more of the order's names)" {
		t.Errorf("two bad names: %+v", p)
	}
}

func TestTheBeginningAndTheEndMayBeAskedFor(t *testing.T) {
	c := newServer(t).registered("www.example.org")
	end := time.Now().Add(20 * 24 * time.Hour).UTC().Truncate(time.Second)
	begin := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	asking := func(members string) string {
		return strings.Replace(orderFor("www.example.org"), "{", "{"+members+",", 1)
	}
	var o struct {
		order
		NotBefore, NotAfter string
	}
	c.post("/new-order", asking(fmt.Sprintf(`"notBefore":%q,"notAfter":%q`, begin.Format(time.RFC3339), end.In(time.FixedZone("", 7200)).Format(time.RFC3339)))).want(201).json(&o)
	if o.NotBefore != begin.Format(time.RFC3339) || o.NotAfter != end.Format(time.RFC3339) {
		t.Errorf("the order is from %s to %s", o.NotBefore, o.NotAfter)
	}
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).want(200).json(&o)
	chain, err := certificate.ParseChain(c.post(o.Certificate, "").want(200).body)
	if err != nil || !chain[0].NotBefore.Equal(begin) || !chain[0].NotAfter.Equal(end) {
		t.Errorf("the certificate is from %s to %s, %v; want %s to %s", chain[0].NotBefore, chain[0].NotAfter, err, begin, end)
	}
	for _, bad := range []string{`"notAfter":"soon"`, `"notAfter":"2099-01-01T00:00:00Z"`, `"notBefore":"2020-01-01T00:00:00Z"`} {
		p := c.post("/new-order", asking(bad)).problem("malformed", 400)
		if !strings.Contains(p.Detail, "notAfter") && !strings.Contains(p.Detail, "notBefore") {
			t.Errorf("%s: %s", bad, p.Detail)
		}
	}
}

func TestTheListOfOrdersHasPages(t *testing.T) {
	c := newServer(t).registered("www.example.org")
	const all = 201
	var newest string
	for range all - 1 {
		newest = c.post("/new-order", orderFor("www.example.org")).want(201).header.Get("Location")
	}
	sizes := func() (sizes []int, first string) {
		had := make(map[string]bool)
		for url := c.kid + "/orders"; url != ""; {
			var page struct{ Orders []string }
			a := c.post(url, "").want(200)
			a.json(&page)
			sizes = append(sizes, len(page.Orders))
			for _, o := range page.Orders {
				if had[o] {
					t.Fatalf("%s is listed twice", o)
				}
				had[o] = true
			}
			if first == "" {
				first = page.Orders[0]
			}
			url = ""
			for _, l := range a.header["Link"] {
				if target, ok := strings.CutSuffix(l, `>;rel="next"`); ok {
					url = strings.TrimPrefix(target, "<")
				}
			}
		}
		return sizes, first
	}
	if got, first := sizes(); !slices.Equal(got, []int{100, 100}) || first != newest {
		t.Errorf("%d orders have the pages %v, the first is %s", all-1, got, first)
	}
	c.post("/new-order", orderFor("www.example.org")).want(201)
	if got, _ := sizes(); !slices.Equal(got, []int{100, 100, 1}) {
		t.Errorf("%d orders have the pages %v", all, got)
	}
	for _, bad := range []string{"x", "-1", "1x", "0"} {
		c.post(c.kid+"/orders?before="+bad, "").problem("malformed", 400)
	}
}

func TestADirectoryHasItsOwnNumberOfIdentifiers(t *testing.T) {
	s := newServer(t, func(c *acmehttp.Config) { c.Endpoints[1].MaxIdentifiers = 300 })
	names := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("%s%d.%s.example.org", strings.Repeat("x", 58), i, strings.Repeat("y", 60))
		}
		return orderFor(list...)
	}
	c := s.registered()
	c.post("/new-order", names(300)).want(201)
	if p := c.post("/new-order", names(301)).problem("rejectedIdentifier", 403); !strings.Contains(p.Detail, "at most 300") {
		t.Error(p.Detail)
	}
}
