package issuance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestOnlyWhatWasAskedForPasses(t *testing.T) {
	caKey, key, other := newKey(t), newKey(t), newKey(t)
	sign := func(tmpl, parent *x509.Certificate, k, by *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, k.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, _ := x509.ParseCertificate(der)
		return c
	}
	later := time.Now().Add(time.Hour)
	caTmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, NotAfter: later}
	ca := sign(caTmpl, caTmpl, caKey, caKey)
	stranger := sign(caTmpl, caTmpl, other, other)
	leaf := func(notAfter time.Time, k *ecdsa.PrivateKey, names ...string) *x509.Certificate {
		return sign(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotAfter: notAfter}, ca, k, caKey)
	}
	r := Request{Key: key}
	for _, n := range []string{"b.example.org", "a.example.org"} {
		id, _ := identifier.ParseDNS(n)
		r.Identifiers = append(r.Identifiers, id)
	}
	good := leaf(later, key, "a.example.org", "b.example.org")
	if got, err := check(certificate.MarshalChain(good, ca), r); err != nil || !got.Cert.Equal(good) || len(got.Chain) != 1 {
		t.Error(err)
	}
	for want, chain := range map[string][]byte{
		"without its issuer": certificate.MarshalChain(good),
		"another key":        certificate.MarshalChain(leaf(later, other, "a.example.org", "b.example.org"), ca),
		"instead of":         certificate.MarshalChain(leaf(later, key, "a.example.org"), ca),
		"expired":            certificate.MarshalChain(leaf(time.Now().Add(-time.Minute), key, "a.example.org", "b.example.org"), ca),
		"broken":             certificate.MarshalChain(good, stranger),
		"no certificate":     []byte("<html>"),
	} {
		if _, err := check(chain, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestProblemsBecomeOneSentence(t *testing.T) {
	sub := func(name, detail string) *acme.Problem {
		return &acme.Problem{Detail: detail, Identifier: &identifier.Identifier{Type: identifier.DNS, Value: name}}
	}
	err := explain("https://ca/", laterThan(&acme.Problem{Type: acme.RejectedIdentifier, Status: 403, Detail: "two names are not yours\n",
		Subproblems: []*acme.Problem{sub("a.example.org", "not in your set"), sub("b.example.org", "blocked")}},
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	const want = "the ACME server refused: two names are not yours (rejectedIdentifier); a.example.org: not in your set; b.example.org: blocked; " +
		"it may be tried again after 2026-01-02 03:04 UTC"
	var e *Error
	if err.Error() != want || !errors.As(err, &e) || e.Type != "rejectedIdentifier" || len(e.Names) != 2 || e.Names[1].Name != "b.example.org" {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestErrorPagesNeverReachATerminal(t *testing.T) {
	r := &reply{status: http.StatusBadGateway, header: http.Header{"Content-Type": {"text/html"}}, body: []byte("<html>\x1b[31mBad Gateway</html>")}
	p := r.problem("https://ca.example.org/order")
	if want := "https://ca.example.org/order answered with HTTP status 502 Bad Gateway"; p == nil || p.Detail != want || p.Status != 502 {
		t.Errorf("%+v", p)
	}
}

func TestEABIsSignedWithEachAlgorithm(t *testing.T) {
	key := newKey(t)
	for alg, h := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
		e := EAB{KeyID: "kid-1", Key: []byte("secret"), Alg: alg}
		data, err := e.bind(key.Public(), "https://ca/new")
		if err != nil {
			t.Fatal(err)
		}
		var jws struct{ Protected, Payload, Signature string }
		json.Unmarshal(data, &jws)
		mac := hmac.New(h, e.Key)
		io.WriteString(mac, jws.Protected+"."+jws.Payload)
		if jws.Signature != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s: wrong signature", alg)
		}
		header, _ := base64.RawURLEncoding.DecodeString(jws.Protected)
		if want := `{"alg":"` + alg + `","kid":"kid-1","url":"https://ca/new"}`; string(header) != want {
			t.Errorf("header %s, want %s", header, want)
		}
	}
	if _, err := (&EAB{Alg: "none"}).bind(key.Public(), ""); err == nil {
		t.Error("the algorithm none is taken")
	}
}

func TestParseEABKey(t *testing.T) {
	for _, text := range []string{"c2VjcmV0", " c2VjcmV0\n", "c2VjcmV0MQ=="} {
		if key, err := ParseEABKey(text); err != nil || !strings.HasPrefix(string(key), "secret") {
			t.Errorf("%q: %q, %v", text, key, err)
		}
	}
	for _, text := range []string{"", "a+b/", "c2 VjcmV0", "====", "é"} {
		if _, err := ParseEABKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{"0": 0, "7": 7 * time.Second, "Thu, 01 Jan 2026 00:01:00 GMT": time.Minute} {
		if at, ok := parseRetryAfter(text, now); !ok || at.Sub(now) != want {
			t.Errorf("%q: %v %v", text, at, ok)
		}
	}
	for _, text := range []string{"", "-1", "soon"} {
		if at, ok := parseRetryAfter(text, now); ok {
			t.Errorf("%q: %v", text, at)
		}
	}
}

// chainOf makes a certificate for key, and that of its issuer.
func chainOf(t *testing.T, key *ecdsa.PrivateKey, names ...string) (leaf, ca *x509.Certificate) {
	t.Helper()
	caKey := newKey(t)
	later := time.Now().Add(time.Hour)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, NotAfter: later}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	ca, _ = x509.ParseCertificate(der)
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotAfter: later}, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ = x509.ParseCertificate(der)
	return leaf, ca
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
