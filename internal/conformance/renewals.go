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

// addresses are the rules of RFC 8738.
var addresses = []Case{
	{"RFC 8738 §3", "an IP identifier that is not in canonical text is refused", Must, func(c *check) {
		for _, text := range []string{"127.0.0.256", "127.0.0.01", "not-an-address"} {
			c.post(c.account(), c.dir.NewOrder, map[string]any{"identifiers": []ident{{"ip", text}}}).refused()
		}
	}},
	{"RFC 8738 §7", "dns-01 is not offered for an IP identifier", Must, func(c *check) {
		ans := c.post(c.account(), c.dir.NewOrder, map[string]any{"identifiers": []ident{{"ip", "127.0.0.1"}}})
		if ans.status >= 400 {
			c.skip("the server takes no order for 127.0.0.1: %s", ans)
		}
		var o order
		z := c.authz(c.account(), func() string { ans.into(&o); return o.Authorizations[0] }())
		for _, ch := range z.Challenges {
			c.ok(ch.Type != "dns-01", "it is offered")
		}
	}},
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
