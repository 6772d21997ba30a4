package conformance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// session is the state that cases share: what the server is, accounts and a
// certificate that were made before, and what was seen on the way.
type session struct {
	ctx    context.Context
	o      Options
	client *http.Client
	dir    directory
	nonce  string // fresh, from the last answer; "" for none
	eab    []Credentials
	http01 *responder
	alpn   *alpnResponder
	zone   *zone

	shared *account // for cases that leave it as it is
	other  *account
	issued *issued
	seen   []seen
}

// directory is the directory object (RFC 8555 §7.1.1).
type directory struct {
	NewNonce    string `json:"newNonce"`
	NewAccount  string `json:"newAccount"`
	NewOrder    string `json:"newOrder"`
	NewAuthz    string `json:"newAuthz"`
	RevokeCert  string `json:"revokeCert"`
	KeyChange   string `json:"keyChange"`
	RenewalInfo string `json:"renewalInfo"`
	Meta        struct {
		Terms      string            `json:"termsOfService"`
		Bound      bool              `json:"externalAccountRequired"`
		Subdomains bool              `json:"subdomainAuthAllowed"` // RFC 9444
		Profiles   map[string]string `json:"profiles"`
	} `json:"meta"`
}

// seen is what the cases at the end want to know of an answer.
type seen struct {
	method, url string
	status      int
	nonce       string
	index       bool
	problem     bool // the media type is that of a problem document
	top         map[string]json.RawMessage
}

func (e seen) String() string {
	return fmt.Sprintf("the answer %d to %s %s", e.status, e.method, e.url)
}

func newSession(ctx context.Context, o Options) (*session, error) {
	roots, err := x509.SystemCertPool()
	if err != nil || o.Roots != nil {
		roots = o.Roots
	}
	s := &session{ctx: ctx, o: o, eab: o.EAB, client: &http.Client{Timeout: requestTimeout, CheckRedirect: noRedirects,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}}}
	a, err := s.send("GET", o.Directory, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("the directory can't be fetched: %w", err)
	}
	if err := json.Unmarshal(a.body, &s.dir); err != nil || a.status != http.StatusOK || s.dir.NewNonce == "" {
		return nil, fmt.Errorf("%s is not an ACME directory (status %d); give the URL of one", o.Directory, a.status)
	}
	s.http01 = newResponder(o.HTTP01)
	s.alpn = newALPNResponder(o.TLSALPN01)
	s.zone = newZone(o.DNS)
	return s, nil
}

func (s *session) close() {
	s.http01.close()
	s.alpn.close()
	s.zone.close()
	s.client.CloseIdleConnections()
}

// domain is a name that may be ordered.
func (c *check) domain() string {
	if len(c.o.Domains) == 0 {
		c.skip("no name may be ordered; give --domain")
	}
	return c.o.Domains[0]
}

// freshNonce takes the nonce of the last answer, or asks for one.
func (c *check) freshNonce() string {
	if n := c.nonce; n != "" {
		c.nonce = ""
		return n
	}
	a := c.fetch("HEAD", c.dir.NewNonce)
	c.nonce = ""
	n := a.header.Get("Replay-Nonce")
	c.ok(n != "", "newNonce answers without a Replay-Nonce")
	return n
}

// fetch sends a request without a body.
func (c *check) fetch(method, url string) *answer {
	a, err := c.send(method, url, nil, nil)
	if err != nil {
		c.fail("%v", err)
	}
	a.c = c
	return a
}

// remember notes an answer for the cases at the end.
func (s *session) remember(method, url string, a *answer) {
	s.nonce = a.header.Get("Replay-Nonce")
	e := seen{method: method, url: url, status: a.status, nonce: s.nonce, index: a.link("index") != "",
		problem: strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json")}
	if e.problem {
		json.Unmarshal(a.body, &e.top)
	}
	s.seen = append(s.seen, e)
}
