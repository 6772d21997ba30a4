package ceremony

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func terms(name string, pathLen int) Terms {
	now := time.Now()
	return Terms{Name: pkix.Name{CommonName: name}, NotBefore: now, NotAfter: now.AddDate(1, 0, 0), PathLen: pathLen}
}

func newRoot(name string, pathLen int) CA {
	key := must(GenerateKey("p256"))
	return CA{must(Root(terms(name, pathLen), key)), key}
}

func TestAnEncryptedKeyOpensWithItsPassphraseOnly(t *testing.T) {
	for _, kind := range []string{"p256", "p384", "p521", "rsa2048", "ed25519"} {
		key := must(GenerateKey(kind))
		data := must(MarshalKey(key, []byte("correct horse")))
		path := filepath.Join(t.TempDir(), "k.key")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.ParseKey(data); err == nil {
			t.Errorf("%s: it is not encrypted", kind)
		}
		for passphrase, want := range map[string]bool{"correct horse": true, "correct horse ": false, "": false} {
			got, err := ReadKey(path, func() ([]byte, error) { return []byte(passphrase), nil })
			if (err == nil) != want {
				t.Errorf("%s with %q: %v", kind, passphrase, err)
			}
			if want && !got.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				t.Errorf("%s: another key came back", kind)
			}
		}
		gone := errors.New("nobody there")
		if _, err := ReadKey(path, func() ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
			t.Errorf("without an answer: %v", err)
		}
	}
	if _, err := MarshalKey(must(GenerateKey("p256")), []byte("1234567")); err == nil {
		t.Error("a short passphrase is taken")
	}
	if _, err := GenerateKey("dsa"); err == nil {
		t.Error("a kind of key that there isn't")
	}
}

func TestACAStaysWithinTheOneAbove(t *testing.T) {
	key := must(GenerateKey("p256"))
	root, one := newRoot("Root", -1), newRoot("One", 1)
	for name, tt := range map[string]struct {
		above  CA
		change func(*Terms)
		ok     bool
	}{
		"below a root":           {root, func(*Terms) {}, true},
		"any number below":       {root, func(t *Terms) { t.PathLen = -1 }, true},
		"longer than the root":   {root, func(t *Terms) { t.NotAfter = t.NotAfter.AddDate(0, 0, 1) }, false},
		"before the root":        {root, func(t *Terms) { t.NotBefore = t.NotBefore.AddDate(0, 0, -1) }, false},
		"backwards":              {root, func(t *Terms) { t.NotAfter = t.NotBefore }, false},
		"shorter path":           {one, func(*Terms) {}, true},
		"as long a path":         {one, func(t *Terms) { t.PathLen = 1 }, false},
		"path without end":       {one, func(t *Terms) { t.PathLen = -1 }, false},
		"below path length zero": {newRoot("Zero", 0), func(*Terms) {}, false},
	} {
		terms := terms("CA", 0)
		terms.NotBefore, terms.NotAfter = tt.above.Certificate.NotBefore, tt.above.Certificate.NotAfter
		tt.change(&terms)
		if _, err := Intermediate(terms, key.Public(), tt.above); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConstraintsCoverTheOtherKindOfName(t *testing.T) {
	root := newRoot("Root", -1)
	key := must(GenerateKey("p256"))
	campus := terms("CA", 0)
	campus.NotAfter, campus.NotBefore = root.Certificate.NotAfter, root.Certificate.NotBefore
	campus.PermittedDomains = []string{"example.org"}
	domains := must(Intermediate(campus, key.Public(), root))
	if len(domains.ExcludedIPRanges) != 2 || !domains.PermittedDNSDomainsCritical {
		t.Errorf("a CA for domains may certify addresses: %+v", domains.ExcludedIPRanges)
	}
	_, network, _ := net.ParseCIDR("192.0.2.0/24")
	campus.PermittedDomains, campus.PermittedNetworks = nil, []*net.IPNet{network}
	addresses := must(Intermediate(campus, key.Public(), root))
	if len(addresses.ExcludedDNSDomains) != 1 || addresses.ExcludedDNSDomains[0] != "" {
		t.Errorf("a CA for addresses may certify names: %q", addresses.ExcludedDNSDomains)
	}
	campus.PermittedDomains = []string{"example.org"}
	both := must(Intermediate(campus, key.Public(), root))
	if len(both.ExcludedIPRanges)+len(both.ExcludedDNSDomains) != 0 {
		t.Errorf("a CA for both excludes %v, %v", both.ExcludedIPRanges, both.ExcludedDNSDomains)
	}
}

func TestACRLGoesOnFromTheOneBefore(t *testing.T) {
	root, other := newRoot("Root", -1), newRoot("Other", -1)
	now := time.Now()
	revoked := func(n int64) []Revoked { return []Revoked{{big.NewInt(n), 4}} }
	first := must(CRL(root, nil, revoked(7), now, now.AddDate(0, 1, 0)))
	second := must(CRL(root, first, revoked(8), now, now.AddDate(0, 1, 0)))
	if first.Number.Int64() != 1 || second.Number.Int64() != 2 || len(second.RevokedCertificateEntries) != 2 ||
		second.RevokedCertificateEntries[1].ReasonCode != 4 {
		t.Errorf("the lists are %+v and %+v", first, second)
	}
	for name, err := range map[string]error{
		"revoked twice":   failure(CRL(root, second, revoked(7), now, now.AddDate(0, 1, 0))),
		"of another root": failure(CRL(other, second, nil, now, now.AddDate(0, 1, 0))),
		"over at once":    failure(CRL(root, nil, nil, now, now)),
	} {
		if err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func failure(_ *x509.RevocationList, err error) error { return err }

func TestTheLogHasWhatIsCompared(t *testing.T) {
	root := newRoot("Root", -1)
	l := new(Log)
	l.Certificate(root.Certificate)
	l.SignedBy(root.Certificate)
	var text bytes.Buffer
	if err := l.Print(&text, "a root was made", "1.0", time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2030-01-02T03:04:05Z", "vidimusd 1.0", "a root was made", "CN=Root", Fingerprint(root.Certificate.Raw),
		Fingerprint(root.Certificate.RawSubjectPublicKeyInfo), "ECDSA on P-256", "not limited"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in:\n%s", want, &text)
		}
	}
}

// FuzzSignRequest: whatever another party's request asks for, what is signed is a CA
// within the terms, for the request's name and key.
func FuzzSignRequest(f *testing.F) {
	root := newRoot("Root", -1)
	limits := terms("ignored", 0)
	limits.NotBefore, limits.NotAfter = root.Certificate.NotBefore, root.Certificate.NotAfter
	limits.PermittedDomains = []string{"example.org"}
	for _, name := range []pkix.Name{{CommonName: "CA"}, {}, {Organization: []string{"X"}, Country: []string{"DE"}}} {
		f.Add(must(Request(name, must(GenerateKey("p256")))))
	}
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, der []byte) {
		path := filepath.Join(t.TempDir(), "x.csr")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		csr, err := ReadRequest(path)
		if err != nil {
			return
		}
		cert, err := SignRequest(limits, csr, root)
		if err != nil {
			return
		}
		if !cert.IsCA || !cert.MaxPathLenZero || len(cert.PermittedDNSDomains) != 1 || len(cert.DNSNames) != 0 ||
			!bytes.Equal(cert.RawSubject, csr.RawSubject) || !bytes.Equal(cert.RawSubjectPublicKeyInfo, csr.RawSubjectPublicKeyInfo) {
			t.Errorf("signed %+v", cert)
		}
	})
}

// Who asks for a certificate chooses the name in it, and what the log says is compared.
func TestANameWritesNoLinesIntoTheLog(t *testing.T) {
	var l Log
	l.Add("Subject", "%s", pkix.Name{CommonName: "X\nPublic key SHA-256:  AA:BB\r\x1b[1A\u202eY\tZ"})
	var text strings.Builder
	if err := l.Print(&text, "a test", "1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n"); len(lines) != 5 || strings.ContainsAny(text.String(), "\r\x1b\u202e\t") {
		t.Errorf("the log is %q", text.String())
	}
}
