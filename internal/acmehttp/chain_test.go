package acmehttp_test

import (
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/certificate"
	"vidimus/internal/issuer"
)

func TestACertificateHasALinkToEachOtherChain(t *testing.T) {
	other, err := issuer.NewRoot("Other", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *acmehttp.Config) {
		m := *c.Endpoints[0].Issuer.Current()
		der, err := x509.CreateCertificate(rand.Reader, m.CA, other.Certificate, m.Key.Public(), other.Key)
		if err != nil {
			t.Fatal(err)
		}
		cross, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		m.Chains = append(m.Chains, []*x509.Certificate{cross}, []*x509.Certificate{m.CA, other.Certificate})
		iss, err := issuer.New(issuer.Issuer{Name: "main", Validity: 90 * 24 * time.Hour, Store: c.Store, Intermediates: []*issuer.Intermediate{&m}})
		if err != nil {
			t.Fatal(err)
		}
		for n := range c.Endpoints {
			c.Endpoints[n].Issuer = iss
		}
	})
	c := s.registered("www.example.org")
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).want(200).json(&o)

	link := func(n string) string { return "<" + o.Certificate + n + `>;rel="alternate"` }
	for _, tt := range []struct {
		n     string
		links []string
		root  *x509.Certificate
	}{
		{"", []string{link("/1"), link("/2")}, s.root.Certificate},
		{"/1", []string{link(""), link("/2")}, other.Certificate},
		{"/2", []string{link(""), link("/1")}, s.root.Certificate},
	} {
		a := c.post(o.Certificate+tt.n, "").want(200)
		for _, l := range tt.links {
			found := false
			for _, h := range a.header.Values("Link") {
				found = found || h == l
			}
			if !found {
				t.Errorf("%q has the links %q; want %s", tt.n, a.header.Values("Link"), l)
			}
		}
		if got := len(a.header.Values("Link")); got != 3 { // the index too
			t.Errorf("%q has %d links", tt.n, got)
		}
		chain, err := certificate.ParseChain(a.body)
		if err != nil || len(chain) < 2 || chain[1].CheckSignatureFrom(tt.root) != nil {
			t.Errorf("chain %q is not below %q: %v", tt.n, tt.root.Subject, err)
		}
	}
	for _, n := range []string{"/0", "/3", "/-1", "/01", "/x"} {
		c.post(o.Certificate+n, "").problem("malformed", 404)
	}
	s.registered("x.example.org").post(o.Certificate+"/1", "").problem("malformed", 404)
}
