package server

import (
	"crypto/x509/pkix"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/ceremony"
	"vidimus/internal/certificate"
)

// constrained puts an intermediate that may certify a domain only in the place of the
// configuration's.
func constrained(t *testing.T, dir, domain string) {
	t.Helper()
	ca := filepath.Join(dir, "ca")
	root, err := ceremony.Open(filepath.Join(ca, "root"), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ceremony.GenerateKey("p256")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert, err := ceremony.Intermediate(ceremony.Terms{Name: pkix.Name{CommonName: "Campus CA"}, NotBefore: now, NotAfter: now.AddDate(5, 0, 0),
		PermittedDomains: []string{domain}}, key.Public(), root)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ceremony.MarshalKey(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"main.pem": certificate.MarshalChain(cert), "main.key": data} {
		if err := os.WriteFile(filepath.Join(ca, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestItsOwnCertificateKeepsToTheConstraintsOfItsCA(t *testing.T) {
	dir := t.TempDir()
	path := initAt(t, dir)
	constrained(t, dir, "example.org")
	c := readConfig(t, path)
	c.URL = "https://acme.example.org"
	s := open(t, c) // on loopback: it would also be for localhost and addresses
	if leaf := s.own.current.Load().Leaf; len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "acme.example.org" || len(leaf.IPAddresses) > 0 {
		t.Errorf("it is for %v, %v", leaf.DNSNames, leaf.IPAddresses)
	}
	s.Close()

	c.URL = "https://acme.example.com"
	l, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c, l, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "under tls") {
		t.Errorf("a name that the CA may not certify: %v", err)
	}
}

// A certificate that was issued while the clock was ahead is of no use until the clock
// comes there.
func TestItsOwnCertificateIsReplacedWhenTheClockWasAhead(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	first := s.own.current.Load().Leaf
	for _, tt := range []struct {
		now     time.Time
		replace bool
	}{{first.NotBefore, false}, {first.NotBefore.Add(-time.Minute), true}} {
		s.own.now = func() time.Time { return tt.now }
		if err := s.own.keepFresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if replaced := !s.own.current.Load().Leaf.Equal(first); replaced != tt.replace {
			t.Errorf("%s before its beginning it is replaced: %v", first.NotBefore.Sub(tt.now), replaced)
		}
	}
}
