package acmehttp_test

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/directory"
	"vidimus/internal/issuer"
)

// staged adds the directory of a staging issuer.
func staged(t *testing.T) func(*acmehttp.Config) {
	return func(c *acmehttp.Config) {
		root, err := issuer.NewRoot("(STAGING) Test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		ca, err := issuer.NewIssuing("(STAGING) Test", "1", root, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		real := c.Endpoints[0].Issuer.Current()
		m := *real
		m.CA, m.Key, m.Root = ca.Certificate, ca.Key, root.Certificate
		m.Chains = [][]*x509.Certificate{chainOf(ca)}
		iss, err := issuer.New(issuer.Issuer{Name: "main-staging", Validity: 90 * 24 * time.Hour, Store: c.Store, Intermediates: []*issuer.Intermediate{&m}})
		if err != nil {
			t.Fatal(err)
		}
		c.Endpoints = append(c.Endpoints, acmehttp.Endpoint{Name: "main-staging", Issuer: iss, Staging: true})
	}
}

func TestStagingUsesUpNoCredentials(t *testing.T) {
	s := newServer(t, staged(t))
	cred := s.acmeID("www.example.org")
	first, second, real := s.client("main-staging"), s.client("main-staging"), s.client("main")
	register := func(c *client) {
		c.kid = c.post("/new-account", c.withEAB(cred, nil)).want(201).header.Get("Location")
	}
	register(first)
	register(second)
	first.post("/new-order", orderFor("www.example.org")).problem("unauthorized", 401) // the second has its place
	cert, _ := second.obtain("www.example.org")
	if cert.Issuer.CommonName != "(STAGING) Test Issuing CA 1" {
		t.Errorf("staging's certificate is by %q", cert.Issuer)
	}
	register(real)
	if cert, _ := real.obtain("www.example.org"); cert.Issuer.CommonName != "Test Issuing CA main" {
		t.Errorf("the real certificate is by %q", cert.Issuer)
	}
	second.obtain("www.example.org") // the real registration hasn't stopped it

	// Now they are used up, for staging too.
	s.client("main").post("/new-account", s.client("main").withEAB(cred, nil)).problem("unauthorized", 403)
	late := s.client("main-staging")
	late.post("/new-account", late.withEAB(cred, nil)).problem("unauthorized", 403)

	// The policy is the same.
	second.post("/new-order", orderFor("mail.example.org")).problem("rejectedIdentifier", 403)
	if a, err := s.store.ACMEID(t.Context(), "www.example.org"); err != nil || len(a.Accounts) != 1 {
		t.Errorf("the ACME-ID has the accounts %v, %v; want the real one", a.Accounts, err)
	}
	if err := s.dir.RemoveACMEID(t.Context(), directory.Team, "www.example.org"); err != nil {
		t.Fatal(err)
	}
	second.post("/new-order", orderFor("www.example.org")).problem("unauthorized", 403)
}

func TestStagingAndRealCertificatesAreApart(t *testing.T) {
	s := newServer(t, staged(t))
	cred := s.acmeID("www.example.org")
	try, real := s.client("main-staging"), s.client("main")
	for _, c := range []*client{try, real} {
		c.kid = c.post("/new-account", c.withEAB(cred, nil)).want(201).header.Get("Location")
	}
	cert, _ := try.obtain("www.example.org")
	revoke := fmt.Sprintf(`{"certificate":%q}`, b64(cert.Raw))
	real.post("/revoke-cert", revoke).problem("malformed", 404)
	try.post("/revoke-cert", revoke).want(200)
	try.kid = real.kid // an account of another directory
	try.post("/new-order", orderFor("www.example.org")).problem("accountDoesNotExist", 400)
}
