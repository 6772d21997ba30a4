package lint

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
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// certify makes a certificate as an ordinary private CA does, for the key and with
// the changes.
func certify(key crypto.PublicKey, changes ...func(*x509.Certificate)) []byte {
	ca := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	parent := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA", Organization: []string{"Test"}}, IsCA: true,
		BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20), PublicKey: ca.Public()}
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x3f | 0x40
	begin := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	tmpl := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial), NotBefore: begin, NotAfter: begin.AddDate(0, 0, 90).Add(-time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"www.example.org"}, CRLDistributionPoints: []string{"http://ca.example.org/main.crl"}}
	for _, change := range changes {
		change(tmpl)
	}
	return must(x509.CreateCertificate(rand.Reader, tmpl, parent, key, ca))
}

func TestPrivateRulesPassWhatAPrivateCAOrdinarilyIssues(t *testing.T) {
	l := must(New(Private, nil))
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, der := range map[string][]byte{
		"P-256":   certify(ec),
		"RSA":     certify(must(rsa.GenerateKey(rand.Reader, 2048)).Public()),
		"Ed25519": certify(ed),
		"year":    certify(ec, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 398).Add(-time.Second) }),
		"no URL":  certify(ec, func(c *x509.Certificate) { c.CRLDistributionPoints = nil }),
		"own names": certify(ec, func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"localhost", "www.uni.test", "*.lab.internal"}, []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("::1")}
		}),
		"client": certify(ec, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"OV": certify(ec, func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Example University"}, OrganizationalUnit: []string{"IT"}, CommonName: "www.example.org"}
		}),
	} {
		if err := l.Check(der); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusalsNameTheLint(t *testing.T) {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
	country := certify(ec, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"X"}, Locality: []string{"Y"}, Country: []string{"QQ"}}
	})
	exponent := *must(rsa.GenerateKey(rand.Reader, 2048)).Public().(*rsa.PublicKey)
	exponent.E = 65538
	for _, tt := range []struct {
		name     string
		rules    Rules
		ignored  []string
		der      []byte
		want     string // the lint
		aboutKey bool
	}{
		{"long life", Private, nil, certify(ec, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 399) }), "e_tls_server_cert_valid_time_longer_than_398_days", false},
		{"country", Private, nil, country, "e_subject_country_not_iso", false},
		{"ignored", Private, []string{"e_subject_country_not_iso"}, country, "", false},
		{"exponent", Private, nil, certify(&exponent), "e_rsa_public_exponent_not_odd", true},
		{"name that isn't public", Public, []string{"e_sub_cert_cert_policy_empty", "e_sub_cert_certificate_policies_missing", "e_sub_cert_aia_missing"},
			certify(ec, func(c *x509.Certificate) { c.DNSNames = []string{"www.uni.test"} }), "e_dnsname_not_valid_tld", false},
		{"no policy", Public, nil, certify(ec), "e_sub_cert_certificate_policies_missing", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := must(New(tt.rules, tt.ignored)).Check(tt.der)
			var r *Refusal
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &r) || !strings.Contains(err.Error(), tt.want) || r.AboutKey() != tt.aboutKey {
				t.Errorf("%v; want a refusal by %s", err, tt.want)
			}
		})
	}
}

func TestNewRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, err := New(Private, []string{"e_no_such_lint"}); err == nil || !strings.Contains(err.Error(), "e_no_such_lint") {
		t.Errorf("an unknown lint: %v", err)
	}
	if _, err := New("lax", nil); err == nil {
		t.Error("unknown rules are taken")
	}
	if must(New(Private, nil)).Check([]byte("x")) == nil {
		t.Error("what is no certificate passes")
	}
	for name := range aboutKey {
		if !Known(name) {
			t.Errorf("zlint has no lint %s", name)
		}
	}
}

// The tables of zlint would double the client.
func TestTheClientDoesNotLinkZlint(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "vidimus/cmd/vidimus").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "vidimus/internal/certificate") || strings.Contains(string(out), "zmap") {
		t.Error("vidimus links zlint, or go list says something else")
	}
}

func BenchmarkCheck(b *testing.B) {
	l := must(New(Private, nil))
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
	var names []string
	for n := range 100 {
		names = append(names, fmt.Sprintf("host%d.example.org", n))
	}
	for name, der := range map[string][]byte{
		"P-256": certify(ec), "RSA": certify(must(rsa.GenerateKey(rand.Reader, 2048)).Public()),
		"100 names": certify(ec, func(c *x509.Certificate) { c.DNSNames = names }),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := l.Check(der); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
