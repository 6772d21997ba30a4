package cli

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/internal/certificate"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

func sign(t *testing.T, tmpl, parent *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRevokedCertificatesAreListedAsSuch has one good and one revoked certificate at a
// responder, and one at a responder that is down.
func TestRevokedCertificatesAreListedAsSuch(t *testing.T) {
	dir := t.TempDir()
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
		SubjectKeyId: []byte{1, 2, 3}}
	ca = sign(t, ca, ca, caKey, caKey)
	var asked atomic.Int32
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		req, err := ocsp.ParseRequest(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		resp := ocsp.Response{Status: ocsp.Good, SerialNumber: req.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
		if req.SerialNumber.Int64() == 11 {
			resp.Status, resp.RevokedAt = ocsp.Revoked, now
		}
		data, _ := ocsp.CreateResponse(ca, ca, resp, caKey)
		w.Write(data)
	}))
	t.Cleanup(responder.Close)
	store := lineage.Store{Dir: filepath.Join(dir, "c")}
	for serial, name := range map[int64]string{10: "good", 11: "revoked", 12: "down"} {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		at := responder.URL
		if name == "down" {
			at = "http://127.0.0.1:1"
		}
		c := sign(t, &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name + ".example.org"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
			OCSPServer: []string{at}, AuthorityKeyId: []byte{1, 2, 3}}, ca, key, caKey)
		keyPEM, err := certificate.MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Create(name, lineage.Material{Cert: certificate.MarshalChain(c), Chain: certificate.MarshalChain(ca), Key: keyPEM}, settings.Default()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		status, out, errs := run(t, dir, "certificates")
		if status != 0 || strings.Count(out, "(INVALID: REVOKED)") != 1 || strings.Count(out, "(VALID: ") != 2 {
			t.Fatalf("exit status %d\n%s%s", status, out, errs)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the responder was asked %d times", n)
	}
}

func TestUserAgent(t *testing.T) {
	for line, want := range map[string]string{
		"renew": "Vidimus/", "renew --user-agent-comment Wrapper/1": " Wrapper/1", "renew --user-agent Mine/2 --user-agent-comment x": "Mine/2", "renew --user-agent=": "",
	} {
		if got := parsed(t, line).opts.userAgent(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q", line, got)
		}
	}
}
