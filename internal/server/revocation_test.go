package server

import (
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestPagesSayHowLongTheyMayBeKept(t *testing.T) {
	path := initAt(t, t.TempDir())
	first := open(t, readConfig(t, path))
	pages := first.pages()
	ask := func(h http.Handler, method, url string) *http.Response {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, url, nil))
		return w.Result()
	}
	for url, want := range map[string]string{
		"/healthz":          "no-store",
		"/readyz":           "no-store",
		"/crl/main.crl":     "public, max-age=300",
		"/ca/main.cer":      "public, max-age=3600",
		"/ca/main-root.pem": "public, max-age=3600",
		"/crl/main/":        "",
	} {
		if r := ask(pages, "GET", url); r.StatusCode != 200 || r.Header.Get("Cache-Control") != want {
			t.Errorf("%s: status %d, Cache-Control %q; want %q", url, r.StatusCode, r.Header.Get("Cache-Control"), want)
		}
	}
	if r := ask(pages, "GET", "/ca/main.cer"); r.Header.Get("Last-Modified") == "" {
		t.Error("a CA certificate doesn't say when it was made")
	}
	for _, url := range []string{"/crl/other.crl", "/crl/main", "/crl/../main.crl.crl", "/crl/other/"} {
		if r := ask(pages, "GET", url); r.StatusCode != 404 && r.StatusCode != 301 && r.StatusCode != 307 {
			t.Errorf("%s: status %d", url, r.StatusCode)
		}
	}
	if r := ask(pages, "GET", "/ocsp/main"); r.StatusCode != 400 {
		t.Errorf("no OCSP request: status %d", r.StatusCode)
	}

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "# ocsp: false", "ocsp: false", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	first.Close()
	s := open(t, readConfig(t, path))
	if r := ask(s.pages(), "POST", "/ocsp/main"); r.StatusCode != 404 && r.StatusCode != 405 {
		t.Errorf("without OCSP: status %d", r.StatusCode)
	}
	if url := s.issuers[0].Current().OCSPURL; url != "" {
		t.Errorf("without OCSP, certificates name %s", url)
	}
}

func TestItsOwnCertificateIsNotUsedOnceRevoked(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	before := s.own.current.Load().Leaf
	keep := func() *x509.Certificate {
		t.Helper()
		if err := s.own.keepFresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.own.current.Load().Leaf
	}
	if !keep().Equal(before) {
		t.Fatal("it is replaced without a reason")
	}
	if err := s.store.Revoke(t.Context(), hex.EncodeToString(before.SerialNumber.Bytes()), 4, time.Now()); err != nil {
		t.Fatal(err)
	}
	if keep().Equal(before) {
		t.Error("it is revoked, and still used")
	}
}
