package conformance

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/http"
	"time"
)

// renewals are the rules of RFC 9773.
var renewals = []Case{
	{"RFC 9773 §4.2", "renewal information is JSON with a window whose end is after its start, fetched by GET", Must, renewalWindow},
	{"RFC 9773 §4.2", "renewal information has a Retry-After", Should, func(c *check) {
		c.ok(c.renewalInfo(c.certificate()).header.Get("Retry-After") != "", "it has none")
	}},
	{"RFC 9773 §4.1", "a certificate identifier that is none is refused", Must, func(c *check) {
		c.needRenewalInfo()
		c.fetch("GET", c.dir.RenewalInfo+"/not-an-identifier").refused()
	}},
	{"RFC 9773 §4.1", "the identifier of a certificate that there is not is refused", Must, func(c *check) {
		c.needRenewalInfo()
		c.fetch("GET", c.dir.RenewalInfo+"/"+renewalID(c.certificate().leaf(), big.NewInt(0x123456789))).refused()
	}},
	{"RFC 9773 §5", "an order that replaces a certificate says so; when it has a certificate, a second gets status 409 and alreadyReplaced", Should, replaced},
	{"RFC 9773 §5", "an order that replaces another account's certificate is refused", Should, func(c *check) {
		c.needRenewalInfo()
		payload := forNames(c.domain())
		payload["replaces"] = renewalID(c.certificate().leaf(), nil)
		c.post(c.second(), c.dir.NewOrder, payload).refused()
	}},
}

func (c *check) needRenewalInfo() {
	if c.dir.RenewalInfo == "" {
		c.skip("the server does not offer renewal information")
	}
}

// renewalID is the identifier of RFC 9773 §4.1, with another serial if that is given.
func renewalID(cert *x509.Certificate, serial *big.Int) string {
	if serial == nil {
		serial = cert.SerialNumber
	}
	der, err := asn1.Marshal(serial)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return b64(cert.AuthorityKeyId) + "." + b64(der[2:]) // without tag and length: serials are short
}

func (c *check) renewalInfo(i *issued) *answer {
	c.needRenewalInfo()
	return c.fetch("GET", c.dir.RenewalInfo+"/"+renewalID(i.leaf(), nil)).want(http.StatusOK)
}

func renewalWindow(c *check) {
	var got struct {
		SuggestedWindow struct{ Start, End time.Time }
	}
	c.renewalInfo(c.certificate()).into(&got)
	w := got.SuggestedWindow
	c.ok(!w.Start.IsZero() && w.End.After(w.Start), "the window is %v", w)
}

func replaced(c *check) {
	c.needRenewalInfo()
	a := c.account()
	payload := forNames(c.domain())
	payload["replaces"] = renewalID(c.issue(a, forNames(c.domain())).leaf(), nil)
	next := c.issue(a, payload)
	c.ok(next.order.Replaces == payload["replaces"], "replaces of the order is %q", next.order.Replaces)
	c.post(a, c.dir.NewOrder, payload).refusedWith(http.StatusConflict, "alreadyReplaced")
}

// ecdsa is the certificate's key as that of an account.
func (i *issued) ecdsa() *ecdsa.PrivateKey { return i.key.(*ecdsa.PrivateKey) }

// selfSigned is a certificate that no CA has issued.
func selfSigned() []byte {
	key := newKey()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(0x1020304), DNSNames: []string{"example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return der
}
