package interop

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

// column is what is tried with each client.
type column string

const (
	binding       column = "EAB"
	httpChallenge column = "http-01"
	dnsChallenge  column = "dns-01"
	alpnChallenge column = "tls-alpn-01"
	wildcard      column = "wildcard"
	address       column = "IP address"
	renewal       column = "renewal with `replaces`"
	revocation    column = "revocation"
	keyChange     column = "key-change"
	refusal       column = "says why refused"
)

// columns are the table's, each with how it is tried.
var columns = []struct {
	name column
	try  func(a *attempt, c *client, s *site)
}{
	{binding, func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		if !c.single {
			o.names = append(o.names, s.name())
		}
		id := s.NewACMEID(a, o.names...)
		o.eab, o.directory = &id, id.Directory
		m := c.obtain(a, o)
		s.check(a, m, o.names...)
		s.checkBound(a, m, o.names[0])
	}},
	{httpChallenge, proof(httpChallenge)},
	{dnsChallenge, proof(dnsChallenge)},
	{alpnChallenge, proof(alpnChallenge)},
	{wildcard, func(a *attempt, c *client, s *site) {
		o := s.order(a, "*."+s.name())
		o.method = dnsChallenge
		s.check(a, c.obtain(a, o), o.names...)
	}},
	{address, func(a *attempt, c *client, s *site) {
		o := s.order(a, "127.0.0.1")
		s.check(a, c.obtain(a, o), o.names...)
	}},
	{renewal, func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		first := c.obtain(a, o)
		s.check(a, first, o.names...)
		second := c.renew(a, o)
		s.check(a, second, o.names...)
		if first.leaf().Equal(second.leaf()) {
			a.Fatal("the renewal left the old certificate")
		}
		if bytes.Equal(first.leaf().RawSubjectPublicKeyInfo, second.leaf().RawSubjectPublicKeyInfo) {
			a.note("renews with the same key")
		}
		if s.record(a, first.leaf()).ReplacedBy == 0 {
			a.lacking("renews, but doesn't say which certificate the new one replaces")
		}
	}},
	{revocation, func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		m := c.obtain(a, o)
		s.check(a, m, o.names...)
		if inCRL(a, m) || inOCSP(a, m) {
			a.Fatal("the CRL or OCSP has the certificate before it was revoked")
		}
		c.revoke(a, o, m)
		if !inCRL(a, m) || !inOCSP(a, m) {
			a.Fatal("the CRL or OCSP doesn't have the revoked certificate")
		}
	}},
	{keyChange, func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		first := c.obtain(a, o)
		s.check(a, first, o.names...)
		before := strings.Count(s.Log.String(), "/key-change")
		c.keyChange(a, o)
		if strings.Count(s.Log.String(), "/key-change") == before {
			a.Fatal("the server has not seen a key-change")
		}
		// The old key's certificate is there; another order is by the new key.
		o.names = []string{s.name()}
		second := c.obtain(a, o)
		s.check(a, second, o.names...)
		if s.record(a, first.leaf()).Account != s.record(a, second.leaf()).Account {
			a.Fatal("the order after the key-change came from another account")
		}
	}},
	{refusal, func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		id := s.NewACMEID(a, o.names...)
		o.eab, o.directory = &id, id.Directory
		o.names = []string{s.name()}
		const why = "is not among the names of ACME-ID"
		said := a.failing(why, func(a *attempt) { c.obtain(a, o) })
		if !strings.Contains(s.Log.String(), o.names[0]+" "+why) {
			a.Fatal("the server was not asked for the name")
		}
		if !said {
			a.Fatal("the user is not shown why")
		}
	}},
}

// proof tries one kind of challenge, on the directory that wants them.
func proof(method column) func(*attempt, *client, *site) {
	return func(a *attempt, c *client, s *site) {
		o := s.order(a, s.name())
		o.method = method
		s.check(a, c.obtain(a, o), o.names...)
	}
}

// order makes one for names by http-01.
func (s *site) order(a *attempt, names ...string) *order {
	return &order{site: s, dir: a.TempDir(), directory: s.DirectoryOpen, method: httpChallenge, names: names}
}

// from checks that a chain leads to the roots of a PEM file.
func from(root string, chain []*x509.Certificate) error {
	data, err := os.ReadFile(root)
	if err != nil {
		return err
	}
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	for _, c := range chain[1:] {
		above.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: above})
	return err
}

// check checks what a client got: names, the chain to the root, the key beside it, and
// that it is on the server's record.
func (s *site) check(a *attempt, m material, names ...string) {
	a.Helper()
	if err := from(s.CABundle, m.chain); err != nil {
		a.Fatal(err)
	}
	var want []identifier.Identifier
	for _, n := range names {
		if net.ParseIP(n) != nil {
			want = append(want, identifier.Identifier{Type: identifier.IP, Value: n})
		} else {
			want = append(want, identifier.Identifier{Type: identifier.DNS, Value: n})
		}
	}
	if got := certificate.Identifiers(m.leaf()); !slices.Equal(identifier.Sorted(got), identifier.Sorted(want)) {
		a.Fatalf("the certificate is for %v, not for %v", got, want)
	}
	if m.key != nil && !certificate.KeyMatches(m.leaf(), m.key) {
		a.Fatal("the private key is not the certificate's")
	}
	s.record(a, m.leaf())
}

// record finds a certificate on the server's record.
func (s *site) record(a *attempt, leaf *x509.Certificate) peer.Certificate {
	a.Helper()
	var c peer.Certificate
	s.Admin(a, &c, "certificate", "show", hex.EncodeToString(leaf.SerialNumber.Bytes()))
	return c
}

// checkBound checks that the certificate's account is that of the ACME-ID.
func (s *site) checkBound(a *attempt, m material, fqdn string) {
	a.Helper()
	var id struct {
		State    string  `json:"state"`
		Accounts []int64 `json:"accounts"`
	}
	s.Admin(a, &id, "acme-id", "show", fqdn)
	if account := s.record(a, m.leaf()).Account; len(id.Accounts) != 1 || id.Accounts[0] != account {
		a.Fatalf("the certificate is account %d's, but those bound to the ACME-ID are %v", account, id.Accounts)
	}
}

// inCRL tells whether the CRL that the certificate names has it.
func inCRL(a *attempt, m material) bool {
	a.Helper()
	leaf := m.leaf()
	if len(leaf.CRLDistributionPoints) != 1 {
		a.Fatalf("the certificate names %d CRLs", len(leaf.CRLDistributionPoints))
	}
	resp, err := http.Get(leaf.CRLDistributionPoints[0])
	crl, err := x509.ParseRevocationList(body(a, resp, err))
	if err != nil {
		a.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(m.chain[1]); err != nil {
		a.Fatal(err)
	}
	for _, e := range crl.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

// inOCSP tells whether the OCSP responder that the certificate names calls it revoked.
func inOCSP(a *attempt, m material) bool {
	a.Helper()
	if len(m.leaf().OCSPServer) != 1 {
		a.Fatalf("the certificate names %d OCSP responders", len(m.leaf().OCSPServer))
	}
	question, err := ocsp.CreateRequest(m.leaf(), m.chain[1], nil)
	if err != nil {
		a.Fatal(err)
	}
	resp, err := http.Post(m.leaf().OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	answer, err := ocsp.ParseResponseForCert(body(a, resp, err), m.leaf(), m.chain[1])
	if err != nil {
		a.Fatal(err)
	}
	return answer.Status == ocsp.Revoked
}

func body(a *attempt, resp *http.Response, err error) []byte {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Fatal(err)
	}
	return data
}
