package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/lint"
)

func TestACertificateLooksAsItsProfileSays(t *testing.T) {
	i := newIssuer(t, nil)
	long := strings.Repeat("x", 60) + ".example.org"
	p := Profile{Name: "ov", Validity: 30 * 24 * time.Hour, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		Subject:    pkix.Name{Organization: []string{"Example University"}, Locality: []string{"Town"}, Country: []string{"DE"}},
		CommonName: true, MustStaple: StapleAlways, Policies: []x509.OID{must(x509.ParseOID("2.23.140.1.2.2"))}}
	r := request(long, "www.example.org", "192.0.2.7")
	r.Profile = &p
	c, err := i.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	cert := verify(t, i, c.DER, "www.example.org")
	if life := cert.NotAfter.Sub(cert.NotBefore) + time.Second; life != p.Validity || !slices.Equal(cert.ExtKeyUsage, p.Usages) {
		t.Errorf("it lives %s for %v", life, cert.ExtKeyUsage)
	}
	if got, want := cert.Subject.String(), "CN=www.example.org,O=Example University,L=Town,C=DE"; got != want {
		t.Errorf("its subject is %s; want %s", got, want)
	}
	if len(cert.Policies) != 1 || cert.Policies[0].String() != "2.23.140.1.2.2" {
		t.Errorf("its policies are %v", cert.Policies)
	}
	if !hasStaple(cert) {
		t.Error("it is not must-staple")
	}
	if p.Subject.CommonName != "" {
		t.Error("the profile has a common name now")
	}
}

func hasStaple(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(tlsFeature) })
}

func TestMustStapleOnRequestOnly(t *testing.T) {
	i := newIssuer(t, nil)
	key := must(certificate.KeySpec{}.Generate())
	for _, tt := range []struct {
		rule       MustStaple
		asks, want bool
	}{{"", true, false}, {StapleNever, true, false}, {StapleRequested, true, true}, {StapleRequested, false, false}, {StapleAlways, false, true}} {
		csr := must(x509.ParseCertificateRequest(must(certificate.Request(key, ids("www.example.org"), tt.asks))))
		r := request("www.example.org")
		r.Profile, r.Staple = &Profile{Name: "p", Validity: i.Validity, MustStaple: tt.rule}, AsksForStaple(csr)
		if r.Staple != tt.asks {
			t.Errorf("the request asks: %v", r.Staple)
		}
		cert := verify(t, i, must(i.Issue(t.Context(), r)).DER, "www.example.org")
		if hasStaple(cert) != tt.want {
			t.Errorf("%q, asked %v: %v", tt.rule, tt.asks, !tt.want)
		}
	}
}

func TestAProfileTakesItsKeysOnly(t *testing.T) {
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[KeyType]crypto.PublicKey{
		RSA2048: &must(rsa.GenerateKey(rand.Reader, 2048)).PublicKey, "rsa2056": &must(rsa.GenerateKey(rand.Reader, 2056)).PublicKey,
		P256: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public(), P384: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public(),
		P521: must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public(), Ed25519: edPub,
	}
	for _, tt := range []struct{ allowed, want []KeyType }{
		{nil, []KeyType{RSA2048, "rsa2056", P256, P384, P521}},
		{[]KeyType{RSA2048, P256}, []KeyType{RSA2048, P256}},
		{[]KeyType{RSA}, []KeyType{RSA2048, "rsa2056"}},
		{[]KeyType{Ed25519, P384}, []KeyType{Ed25519, P384}},
		{[]KeyType{RSA4096}, nil},
	} {
		p := Profile{Name: "p", Keys: tt.allowed}
		for kind, key := range keys {
			if err := p.CheckKey(key); (err == nil) != slices.Contains(tt.want, kind) {
				t.Errorf("%v with %s: %v", tt.allowed, kind, err)
			}
		}
	}
	weak := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public()
	if (&Profile{Keys: KeyTypes}).CheckKey(weak) == nil {
		t.Error("P-224 is taken")
	}
}

func TestNameConstraints(t *testing.T) {
	campus := NameConstraints{PermittedDomains: []string{"example.org"}, ExcludedDomains: []string{"secret.example.org"},
		PermittedNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ExcludedNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}}
	domains := NameConstraints{PermittedDomains: []string{"example.org"}}
	for _, tt := range []struct {
		c    NameConstraints
		name string
		want bool
	}{
		{NameConstraints{}, "www.example.com", true}, {NameConstraints{}, "192.0.2.1", true},
		{campus, "example.org", true}, {campus, "www.example.org", true}, {campus, "a.b.example.org", true},
		{campus, "badexample.org", false}, {campus, "example.org.evil.test", false},
		{campus, "secret.example.org", false}, {campus, "a.secret.example.org", false}, {campus, "*.secret.example.org", false},
		{campus, "*.example.org", false}, // it is good for secret.example.org
		{campus, "*.www.example.org", true},
		{campus, "192.0.2.1", true}, {campus, "192.0.2.129", false}, {campus, "198.51.100.1", false}, {campus, "2001:db8::1", false},
		{domains, "*.example.org", true}, {domains, "192.0.2.1", false},
		{NameConstraints{ExcludedDomains: []string{"example.org"}}, "www.example.org", false},
		{NameConstraints{ExcludedDomains: []string{"example.org"}}, "192.0.2.1", true},
	} {
		if got := tt.c.Allow(ids(tt.name)[0]); got != tt.want {
			t.Errorf("%+v, %s: %v", tt.c, tt.name, got)
		}
	}
}

// What the name constraints of a CA leave is what Go's verifier accepts under it.
func TestNothingIsIssuedOutsideTheConstraintsOfTheCA(t *testing.T) {
	root := must(NewRoot("Test", time.Now()))
	tmpl := must(NewIssuing("Test", "main", root, time.Now())).Certificate
	key := must(certificate.KeySpec{}.Generate())
	tmpl.SubjectKeyId, tmpl.PublicKey = nil, nil
	tmpl.PermittedDNSDomains, tmpl.ExcludedDNSDomains = []string{"example.org", ".dotted.test"}, []string{"secret.example.org"}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, root.Certificate, key.Public(), root.Key))
	first := newIssuer(t, nil)
	i := must(New(Issuer{Name: "main", Validity: first.Validity, Store: first.Store,
		Intermediates: []*Intermediate{intermediate(root, CA{must(x509.ParseCertificate(der)), key}, time.Time{})}}))
	for name, want := range map[string]bool{"example.org": true, "www.example.org": true, "www.example.com": false, "secret.example.org": false,
		"a.secret.example.org": false, "a.dotted.test": true, "*.dotted.test": true, "badexample.org": false, "192.0.2.1": true} {
		c, err := i.Issue(t.Context(), request(name))
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		var problem *acme.Problem
		if err == nil {
			verify(t, i, c.DER, strings.Replace(name, "*", "a", 1))
		} else if !errors.As(err, &problem) || problem.Type != acme.RejectedIdentifier || len(problem.Subproblems) != 1 {
			t.Errorf("%s: %v; want rejectedIdentifier", name, err)
		}
	}
	if all, err := i.Store.UnfinishedCertificates(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("something that was refused is on record: %v, %v", all, err)
	}
}

func TestNothingIsRecordedOrSignedThatLintRefuses(t *testing.T) {
	key := &counting{Signer: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	i := newIssuer(t, key)
	i.Linter = must(lint.New(lint.Private, nil))
	r := request("www.example.org")
	r.Profile = &Profile{Name: "abroad", Validity: i.Validity, Subject: pkix.Name{Organization: []string{"X"}, Locality: []string{"Y"}, Country: []string{"QQ"}}}
	var refusal *lint.Refusal
	if _, err := i.Issue(t.Context(), r); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "e_subject_country_not_iso") {
		t.Errorf("%v; want a refusal that names the lint", err)
	}
	weak := &must(rsa.GenerateKey(rand.Reader, 2048)).PublicKey
	weak.E = 65538 // CheckRequest would refuse it too
	r = request("www.example.org")
	r.PublicKey, r.SPKI = weak, must(x509.MarshalPKIXPublicKey(weak))
	var problem *acme.Problem
	if _, err := i.Issue(t.Context(), r); !errors.As(err, &problem) || problem.Type != acme.BadCSR {
		t.Errorf("%v; want badCSR", err)
	}
	if all, err := i.Store.UnfinishedCertificates(t.Context()); err != nil || len(all) > 0 || key.signatures > 0 {
		t.Errorf("on record: %v, %v; %d signatures", all, err, key.signatures)
	}
	if c, err := i.Issue(t.Context(), request("www.uni.test", "*.example.org", "10.0.0.1")); err != nil || key.signatures != 1 {
		t.Errorf("an ordinary certificate: %v, %v", c.Serial, err)
	}
}
