package login

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
)

// authority tells whether the certificates of a CA are revoked, by OCSP and by a CRL.
type authority struct {
	*ca
	url string

	mu      sync.Mutex
	revoked map[string]bool
	asked   map[string]int // by path
	away    bool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{ca: newCA(t), revoked: map[string]bool{}, asked: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	a.url = "http://" + l.Addr().String()
	server := &http.Server{Handler: a, ReadTimeout: 10 * time.Second}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[r.URL.Path]++
	var answer []byte
	var err error
	switch {
	case a.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	case r.URL.Path == "/ocsp":
		answer, err = a.ocsp(r.Body)
	default:
		answer, err = a.crl()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(answer)
}

func (a *authority) ocsp(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request, err := ocsp.ParseRequest(data)
	if err != nil {
		return nil, err
	}
	answer := ocsp.Response{Status: ocsp.Good, SerialNumber: request.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	if a.revoked[request.SerialNumber.String()] {
		answer.Status, answer.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
	}
	return ocsp.CreateResponse(a.cert, a.cert, answer, a.key)
}

func (a *authority) crl() ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for serial := range a.revoked {
		n, _ := new(big.Int).SetString(serial, 10)
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	return x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
}

// personal issues a certificate for a person.
func (a *authority) personal(t *testing.T, email string, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	tmpl := x509.Certificate{Subject: pkix.Name{CommonName: "Certified " + email}, EmailAddresses: []string{email},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature, OCSPServer: []string{a.url + "/ocsp"}}
	for _, c := range change {
		c(&tmpl)
	}
	return a.issue(t, tmpl)
}

// show logs in by what certificate the browser has, and returns the last answer.
func (b *browser) show() page {
	b.t.Helper()
	p := b.get("/portal/login/with/certificate?next=/portal/account")
	if p.status != http.StatusSeeOther {
		b.t.Fatalf("status %d: %s", p.status, p.body)
	}
	p = b.get(p.location)
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, b.s.url) {
		b.t.Fatalf("the other listener: status %d to %q: %s", p.status, p.location, p.body)
	}
	return b.get(p.location)
}

func TestLogInByCertificate(t *testing.T) {
	a := newAuthority(t)
	port := peer.FreePort(t)
	s := start(t, fmt.Sprintf(`    - certificate:
        listen: 127.0.0.1:%d
        url: https://127.0.0.1:%[1]d
        ca: %s
        login: san.email
        strip_domain: example.org
`, port, a.file))
	ada := a.personal(t, "ada@Example.ORG")
	b := s.browser(t, nil, ada)
	if p := b.show(); p.status != http.StatusOK {
		t.Fatalf("status %d to %q: %s", p.status, p.location, p.body)
	}
	b.is("<dd>ada</dd>", "Ada Archer")

	byCRL := func(c *x509.Certificate) { c.OCSPServer, c.CRLDistributionPoints = nil, []string{a.url + "/crl"} }
	if p := s.browser(t, nil, a.personal(t, "bela@example.org", byCRL)).show(); p.status != http.StatusOK {
		t.Errorf("by a CRL: status %d", p.status)
	}
	revoked, revokedCRL := a.personal(t, "ada@example.org"), a.personal(t, "ada@example.org", func(c *x509.Certificate) {
		c.OCSPServer, c.CRLDistributionPoints = nil, []string{a.url + "/crl-2"}
	})
	a.mu.Lock()
	a.revoked[revoked.Leaf.SerialNumber.String()], a.revoked[revokedCRL.Leaf.SerialNumber.String()] = true, true
	a.mu.Unlock()
	for name, c := range map[string][]tls.Certificate{
		"none":           nil,
		"revoked, OCSP":  {revoked},
		"revoked, CRL":   {revokedCRL},
		"of another CA":  {newAuthority(t).personal(t, "ada@example.org")},
		"for servers":    {a.personal(t, "ada@example.org", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		"another domain": {a.personal(t, "ada@example.net")},
		"two addresses":  {a.personal(t, "ada@example.org", func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, "bela@example.org") })},
		"no address":     {a.personal(t, "ada@example.org", func(c *x509.Certificate) { c.EmailAddresses = nil })},
		"unknown status": {a.personal(t, "ada@example.org", func(c *x509.Certificate) { c.OCSPServer = nil })},
		"unknown person": {a.personal(t, "nobody@example.org")},
	} {
		b := s.browser(t, nil, c...)
		// What is wrong is shown at the beginning of the log-in.
		if p := b.show(); p.status != http.StatusOK || !strings.Contains(p.body, `class="flash bad"`) {
			t.Errorf("%s: status %d to %q: %s", name, p.status, p.location, p.body)
		}
		b.isNobody()
	}
	// Without having begun, and when it was over.
	stray := s.browser(t, nil, ada)
	stray.get(fmt.Sprintf("https://127.0.0.1:%d/portal/login/card", port))
	stray.isNobody()

	// ACME clients and browsers are asked for no certificate at the main listener.
	asked := false
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.url, "https://"), &tls.Config{RootCAs: s.roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}})
	must(t, err)
	conn.Close()
	if asked {
		t.Error("the main listener asks for a certificate")
	}
	a.mu.Lock()
	a.away = true
	a.mu.Unlock()
	away := s.browser(t, nil, ada)
	away.show()
	away.isNobody()
}
