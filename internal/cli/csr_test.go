package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/internal/identifier"
)

func makeCSR(t testing.TB, cn string, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCSRSaysWhatIsCertified(t *testing.T) {
	der := makeCSR(t, "A.example.org", "b.example.org", "a.example.org", "192.0.2.1")
	for _, form := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})} {
		_, ids, err := parseCSR(form)
		if got := strings.Join(identifier.Values(ids), " "); err != nil || got != "b.example.org a.example.org 192.0.2.1" {
			t.Errorf("%s, %v", got, err)
		}
	}
	broken := append([]byte{}, der...)
	broken[len(broken)-3] ^= 1
	for want, form := range map[string][]byte{
		"has none":               makeCSR(t, "a.example.org"),
		"has none for":           makeCSR(t, "a.example.org", "b.example.org"),
		"no certificate request": []byte("hello"),
		"underscore":             makeCSR(t, "", "a_b.example.org"),
		"not signed":             broken,
	} {
		if _, _, err := parseCSR(form); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestNumberedFilesReplaceNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, want := range []string{"0000_cert.pem", "0001_cert.pem"} {
		if path, err := saveNew("", "cert.pem", []byte(want)); err != nil || filepath.Base(path) != want || !filepath.IsAbs(path) {
			t.Error(path, err)
		}
	}
	if data, _ := os.ReadFile("0000_cert.pem"); string(data) != "0000_cert.pem" {
		t.Errorf("it was overwritten: %s", data)
	}
	if _, err := saveNew("0000_cert.pem", "", nil); err == nil {
		t.Error("a file was overwritten")
	}
}

func FuzzCSR(f *testing.F) {
	f.Add(makeCSR(f, "", "a.example.org"))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMA==\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		der, ids, err := parseCSR(data)
		if err == nil && (len(ids) == 0 || len(der) == 0) {
			t.Error("a request for nothing is taken")
		}
	})
}

// FuzzWebrootMap looks for objects that are read as something else.
func FuzzWebrootMap(f *testing.F) {
	f.Add(`{"a.example.org,b.example.org": "/srv/a", "c": "/srv/b"}`)
	f.Add(`{"a": {"b": "c"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		pairs, err := parseMap(text)
		if err == nil && !strings.HasPrefix(strings.TrimSpace(text), "{") && len(pairs) > 0 {
			t.Errorf("%q is read as %v", text, pairs)
		}
	})
}
