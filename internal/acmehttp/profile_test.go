package acmehttp_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/certificate"
	"vidimus/internal/issuer"
	"vidimus/internal/lint"
)

// withProfiles gives the directories' issuer profiles.
func withProfiles(profiles ...issuer.Profile) func(*acmehttp.Config) {
	return func(c *acmehttp.Config) {
		iss := *c.Endpoints[0].Issuer
		iss.Profiles = profiles
		for n := range c.Endpoints {
			c.Endpoints[n].Issuer = &iss
		}
	}
}

var twoProfiles = []issuer.Profile{
	{Name: "classic", Description: "for servers", Validity: 90 * 24 * time.Hour},
	{Name: "short", Description: "for a week", Validity: 7 * 24 * time.Hour, Keys: []issuer.KeyType{issuer.Ed25519},
		Names: issuer.NameConstraints{ExcludedDomains: []string{"mail.example.org"}}},
}

func orderWithProfile(profile string, names ...string) string {
	return strings.TrimSuffix(orderFor(names...), "}") + fmt.Sprintf(`,"profile":%q}`, profile)
}

func TestAnOrderHasTheProfileThatItNames(t *testing.T) {
	s := newServer(t, withProfiles(twoProfiles...))
	c := s.registered("www.example.org", "mail.example.org")
	var d struct {
		Meta struct{ Profiles map[string]string }
	}
	c.raw("GET", "/directory", "", "").want(200).json(&d)
	if len(d.Meta.Profiles) != 2 || d.Meta.Profiles["short"] != "for a week" {
		t.Errorf("the directory has the profiles %q", d.Meta.Profiles)
	}
	type profiled struct {
		order
		Profile string
	}
	for payload, want := range map[string]struct {
		profile string
		days    int
	}{orderFor("www.example.org"): {"classic", 90}, orderWithProfile("classic", "www.example.org"): {"classic", 90}} {
		var o profiled
		a := c.post("/new-order", payload).want(201)
		a.json(&o)
		if o.Profile != want.profile {
			t.Errorf("%s: profile %q; want %q", payload, o.Profile, want.profile)
		}
		o.Profile = ""
		c.post(a.header.Get("Location"), "").want(200).json(&o)
		if o.Profile != want.profile {
			t.Errorf("%s, fetched again: profile %q", payload, o.Profile)
		}
		c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).want(200).json(&o)
		chain, err := certificate.ParseChain(c.post(o.Certificate, "").want(200).body)
		if err != nil || chain[0].NotAfter.Sub(chain[0].NotBefore) != time.Duration(want.days)*24*time.Hour-time.Second {
			t.Errorf("%s: %v, until %v", payload, err, chain[0].NotAfter)
		}
	}
}

func TestAProfileRefusesOtherKeysAndNames(t *testing.T) {
	s := newServer(t, withProfiles(twoProfiles...))
	c := s.registered("www.example.org", "mail.example.org")
	if p := c.post("/new-order", orderWithProfile("shrt", "www.example.org")).problem("invalidProfile", 400); !strings.Contains(p.Detail, "classic, short") {
		t.Errorf("the problem says %q", p.Detail)
	}
	c.post("/new-order", orderWithProfile("short", "www.example.org", "mail.example.org")).problem("rejectedIdentifier", 403)

	var o order
	c.post("/new-order", orderWithProfile("short", "www.example.org")).want(201).json(&o)
	if p := c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("badCSR", 400); !strings.Contains(p.Detail, "ed25519") {
		t.Errorf("the problem says %q", p.Detail)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"www.example.org"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	c.post(o.Finalize, fmt.Sprintf(`{"csr":%q}`, base64.RawURLEncoding.EncodeToString(der))).want(200)
}

func TestAnOrderEndsWithItsProfile(t *testing.T) {
	var iss *issuer.Issuer
	s := newServer(t, withProfiles(twoProfiles...), func(c *acmehttp.Config) { iss = c.Endpoints[0].Issuer })
	c := s.registered("www.example.org")
	var o order
	a := c.post("/new-order", orderWithProfile("short", "www.example.org")).want(201)
	a.json(&o)
	iss.Profiles = iss.Profiles[:1] // as after a restart with another configuration
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("invalidProfile", 400)
	c.post(a.header.Get("Location"), "").want(200).json(&o)
	if o.Status != "invalid" {
		t.Errorf("the order is %s", o.Status)
	}
}

func TestWithoutProfilesNoneCanBeNamed(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	c.post("/new-order", orderWithProfile("classic", "www.example.org")).problem("invalidProfile", 400)
	if a := c.raw("GET", "/directory", "", "").want(200); strings.Contains(string(a.body), "profiles") {
		t.Errorf("the directory has profiles: %s", a.body)
	}
}

func TestALintsNameIsForTheLogOnly(t *testing.T) {
	abroad := issuer.Profile{Name: "abroad", Validity: 90 * 24 * time.Hour,
		Subject: pkix.Name{Organization: []string{"X"}, Locality: []string{"Y"}, Country: []string{"QQ"}}}
	s := newServer(t, withProfiles(abroad), func(c *acmehttp.Config) {
		linter, err := lint.New(lint.Private, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Endpoints[0].Issuer.Linter = linter
	})
	c := s.registered("www.example.org")
	var o order
	a := c.post("/new-order", orderFor("www.example.org")).want(201)
	a.json(&o)
	if p := c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("serverInternal", 500); strings.Contains(p.Detail, "e_") {
		t.Errorf("the problem says %q", p.Detail)
	}
	if !strings.Contains(s.log.String(), "e_subject_country_not_iso") {
		t.Error("the log doesn't have the lint's name")
	}
	c.post(a.header.Get("Location"), "").want(200).json(&o)
	if o.Status != "ready" {
		t.Errorf("the order is %s; it can be finalized when the profile is right again", o.Status)
	}
}
