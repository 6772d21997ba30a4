// Package login holds the tests of the ways to log in to the portal, each with a real
// server of its kind.
package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// site is a server with a portal, and what it is reached by.
type site struct {
	*peer.Vidimusd
	url   string
	roots *x509.CertPool
}

var section = regexp.MustCompile(`(?ms)^portal:\n.*?^log:\n`)

// start runs a server with these ways of logging in, as YAML.
func start(t *testing.T, ways string) *site {
	t.Helper()
	v := peer.StartVidimusd(t)
	v.Kill()
	text, err := os.ReadFile(v.Config)
	must(t, err)
	if !section.Match(text) {
		t.Fatalf("there is no portal in:\n%s", text)
	}
	must(t, os.WriteFile(v.Config, section.ReplaceAll(text, []byte("portal:\n  login:\n"+ways+"log:\n")), 0o600))
	v.Start(t)
	u, err := url.Parse(v.Directory)
	must(t, err)
	s := &site{v, "https://" + u.Host, x509.NewCertPool()}
	pem, err := os.ReadFile(v.CABundle)
	must(t, err)
	s.roots.AppendCertsFromPEM(pem)
	return s
}

// browser keeps cookies, and follows no redirects by itself.
type browser struct {
	*http.Client
	t *testing.T
	s *site
}

func (s *site) browser(t *testing.T, also *x509.CertPool, certificates ...tls.Certificate) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	roots := s.roots
	if also != nil {
		roots = also
	}
	return &browser{&http.Client{Jar: jar, Timeout: 20 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t, s}
}

// page is an answer.
type page struct {
	status   int
	location string
	body     string
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	res, err := b.Do(r)
	must(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	return page{res.StatusCode, res.Header.Get("Location"), string(body)}
}

// get asks for a path of the site, or a URL.
func (b *browser) get(to string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.at(to), nil)
	must(b.t, err)
	return b.do(r)
}

func (b *browser) at(to string) string {
	if strings.HasPrefix(to, "/") {
		return b.s.url + to
	}
	return to
}

// post sends a form.
func (b *browser) post(to string, pairs ...string) page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.at(to), strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// login sends the form of the log-in.
func (b *browser) login(login, password string) page {
	b.t.Helper()
	m := csrfField.FindStringSubmatch(b.get("/portal/login").body)
	if m == nil {
		b.t.Fatal("the log-in has no form")
	}
	return b.post("/portal/login", "csrf", m[1], "login", login, "password", password, "next", "/portal/account")
}

// is checks that somebody is logged in, by what the page of the account shows.
func (b *browser) is(texts ...string) {
	b.t.Helper()
	p := b.get("/portal/account")
	if p.status != http.StatusOK {
		b.t.Fatalf("nobody is logged in: status %d to %s", p.status, p.location)
	}
	for _, x := range texts {
		if !strings.Contains(p.body, x) {
			b.t.Errorf("%q is missing in:\n%s", x, p.body)
		}
	}
}

func (b *browser) isNobody() {
	b.t.Helper()
	if p := b.get("/portal/account"); p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, "/portal/login") {
		b.t.Errorf("somebody is logged in: status %d to %q", p.status, p.location)
	}
}

// ca signs for a test.
type ca struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
	next int64
}

func newCA(t *testing.T) *ca {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	c := &ca{key: key, file: filepath.Join(t.TempDir(), "ca.pem"), next: 2}
	c.cert, err = x509.ParseCertificate(der)
	must(t, err)
	must(t, os.WriteFile(c.file, certificate.MarshalChain(c.cert), 0o600))
	return c
}

// issue signs a certificate, whose serial number it gives.
func (c *ca) issue(t *testing.T, tmpl x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl.SerialNumber = big.NewInt(c.next)
	c.next++
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(12*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, c.cert, key.Public(), c.key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server issues a certificate for a server on loopback, into PEM files.
func (c *ca) server(t *testing.T) (cert, key string) {
	t.Helper()
	x := c.issue(t, x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature})
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, certificate.MarshalChain(x.Leaf), 0o644))
	pem, err := certificate.MarshalKey(x.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	must(t, os.WriteFile(key, pem, 0o600))
	return cert, key
}

func (c *ca) pool(also *x509.CertPool) *x509.CertPool {
	p := x509.NewCertPool()
	if also != nil {
		p = also.Clone()
	}
	p.AddCert(c.cert)
	return p
}

// password is that of one of the demo's people.
func (s *site) password(t *testing.T, login string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, "dev.json"))
	must(t, err)
	var info struct {
		People []struct{ Login, Password string }
	}
	must(t, json.Unmarshal(data, &info))
	for _, p := range info.People {
		if p.Login == login {
			return p.Password
		}
	}
	t.Fatalf("%s has no password in dev.json", login)
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
