package lint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3/lint"
)

// What we pass over zlint says doesn't apply, and of the rest it says the same.
func TestEachLintSaysWhatItSaysByZlint(t *testing.T) {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()
	certs := map[string][]byte{
		"ordinary": certify(ec),
		"client":   certify(ec, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"RSA":      certify(must(rsa.GenerateKey(rand.Reader, 2048)).Public()),
		"CA":       certify(ec, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }),
		"bad name": certify(ec, func(c *x509.Certificate) { c.DNSNames = []string{"a b.example.org", "under_score.example.org"} }),
		"empty":    certify(ec, func(c *x509.Certificate) { c.DNSNames, c.ExtKeyUsage, c.KeyUsage = nil, nil, 0 }),
		"old":      certify(ec, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Unix(1<<33, 0) }),
	}
	for _, rules := range []Rules{Private, Public} {
		l := must(New(rules, nil))
		for name, der := range certs {
			cert := must(zx509.ParseCertificate(der))
			var want []string
			for _, x := range l.lints {
				if x.Execute(cert, l.config).Status >= lint.Error {
					want = append(want, x.Name)
				}
			}
			slices.Sort(want)
			var r *Refusal
			var got []string
			if errors.As(l.Check(der), &r) {
				for _, f := range r.Findings {
					got = append(got, f.Lint)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: found %q, zlint finds %q", rules, name, got, want)
			}
		}
	}
}

func TestACertificateThatALintPanicsAboutIsRefused(t *testing.T) {
	x := &lint.CertificateLint{LintMetadata: lint.LintMetadata{Name: "e_panics"}, Lint: func() lint.LintInterface { panic("here") }}
	l := &Linter{lints: []*lint.CertificateLint{x}, config: lint.NewEmptyConfig()}
	var r *Refusal
	if err := l.Check(certify(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public())); !errors.As(err, &r) || r.Findings[0].Lint != "e_panics" {
		t.Errorf("%v; want a refusal", err)
	}
}
