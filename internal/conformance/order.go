package conformance

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"time"
)

// order is an order object and its URL (RFC 8555 §7.1.3).
type order struct {
	Status         string          `json:"status"`
	Expires        string          `json:"expires"`
	Identifiers    []ident         `json:"identifiers"`
	NotAfter       string          `json:"notAfter"`
	Replaces       string          `json:"replaces"`
	Authorizations []string        `json:"authorizations"`
	Finalize       string          `json:"finalize"`
	Certificate    string          `json:"certificate"`
	Error          json.RawMessage `json:"error"`

	url string
}

type ident struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// authz is an authorization object and its URL (§7.1.4).
type authz struct {
	Status     string      `json:"status"`
	Expires    string      `json:"expires"`
	Identifier ident       `json:"identifier"`
	Challenges []challenge `json:"challenges"`
	Wildcard   *bool       `json:"wildcard"`
	Below      *bool       `json:"subdomainAuthAllowed"` // RFC 9444 §4.1

	url string
}

// challenge is a challenge object (§8).
type challenge struct {
	Type      string   `json:"type"`
	URL       string   `json:"url"`
	Status    string   `json:"status"`
	Token     string   `json:"token"`
	Validated string   `json:"validated"`
	Error     *problem `json:"error"`
}

// issued is a certificate, who has it, and its key.
type issued struct {
	by    *account
	order order
	key   crypto.Signer
	chain []*x509.Certificate
	pem   []byte
}

func (i *issued) leaf() *x509.Certificate { return i.chain[0] }

func forNames(names ...string) map[string]any {
	ids := make([]ident, len(names))
	for i, n := range names {
		ids[i] = ident{"dns", n}
	}
	return map[string]any{"identifiers": ids}
}

// order places an order that the server should take.
func (c *check) order(a *account, payload map[string]any) (o order) {
	ans := c.post(a, c.dir.NewOrder, payload).want(http.StatusCreated).into(&o)
	o.url = ans.header.Get("Location")
	c.ok(o.url != "", "newOrder answers without a Location")
	return o
}

// pending is an order of a new account that still needs a proof.
func (c *check) pending() (*account, order, authz) {
	name := c.domain()
	a := c.account()
	if !c.dir.Meta.Bound {
		a = c.fresh() // so that no authorization is used again
	}
	o := c.order(a, forNames(name))
	if o.Status != "pending" {
		c.skip("the server asks this account for no proof: the order is %s at once", o.Status)
	}
	return a, o, c.authz(a, o.Authorizations[0])
}

func (c *check) authz(a *account, url string) (z authz) {
	c.post(a, url, nil).want(http.StatusOK).into(&z)
	z.url = url
	return z
}

// challenge finds the challenge of a type.
func (c *check) challenge(z authz, kind string) challenge {
	for _, ch := range z.Challenges {
		if ch.Type == kind {
			return ch
		}
	}
	c.skip("the server offers no %s challenge", kind)
	return challenge{}
}

// ready places an order and proves control until it is ready.
func (c *check) ready(a *account, payload map[string]any) order {
	o := c.order(a, payload)
	for _, url := range o.Authorizations {
		if z := c.authz(a, url); z.Status == "pending" {
			c.prove(a, z)
		}
	}
	return c.await(a, o, "pending")
}

// prove answers the http-01 challenge and waits for what comes of it.
func (c *check) prove(a *account, z authz) authz {
	ch := c.challenge(z, "http-01")
	if why := c.http01.broken(); why != "" {
		c.skip("http-01 can't be answered: %s; give --http-01-port", why)
	}
	c.http01.set(ch.Token, ch.Token+"."+a.thumbprint())
	return c.respond(a, z, ch)
}

// respond asks for the validation of a challenge and waits for its end.
func (c *check) respond(a *account, z authz, ch challenge) authz {
	c.post(a, ch.URL, struct{}{}).want(http.StatusOK)
	c.poll(func() bool {
		z = c.authz(a, z.url)
		return z.Status != "pending" && z.Status != "processing"
	})
	return z
}

// await polls the order until it has left a status.
func (c *check) await(a *account, o order, status string) order {
	url := o.url
	c.poll(func() bool {
		o = order{url: url}
		c.post(a, url, nil).want(http.StatusOK).into(&o)
		return o.Status != status
	})
	return o
}

// poll asks until done, at growing intervals, for a minute at most.
func (c *check) poll(done func() bool) {
	limit := time.Now().Add(time.Minute)
	for pause := 20 * time.Millisecond; !done(); pause = min(2*pause, 2*time.Second) {
		c.ok(time.Now().Before(limit), "nothing has changed after a minute of polling")
		select {
		case <-c.ctx.Done():
			c.skip("interrupted")
		case <-time.After(pause):
		}
	}
}

// csr is a certificate request for the names.
func csr(key crypto.Signer, names ...string) []byte {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{}, DNSNames: names}, key)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return der
}

func finalizing(der []byte) map[string]any { return map[string]any{"csr": b64(der)} }

// issue gets a certificate by a ready order.
func (c *check) issue(a *account, payload map[string]any) *issued {
	o := c.ready(a, payload)
	c.ok(o.Status == "ready", "the order is %s, and not ready, when all is proved (%s)", o.Status, o.Error)
	i := &issued{by: a, key: newKey()}
	var names []string
	for _, id := range o.Identifiers {
		names = append(names, id.Value)
	}
	c.post(a, o.Finalize, finalizing(csr(i.key, names...))).want(http.StatusOK)
	i.order = c.await(a, o, "processing")
	c.ok(i.order.Status == "valid" && i.order.Certificate != "", "the order is %s after finalize (%s)", i.order.Status, i.order.Error)
	ans := c.post(a, i.order.Certificate, nil).want(http.StatusOK)
	i.pem = ans.body
	i.chain = c.chain(ans.body)
	return i
}

// chain reads a certificate resource.
func (c *check) chain(text []byte) (chain []*x509.Certificate) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		c.ok(err == nil, "a certificate of the chain can't be read: %v", err)
		chain = append(chain, cert)
	}
	c.ok(len(chain) > 0, "the certificate resource holds no certificate")
	return chain
}

// certificate is one that cases share. They leave it as it is.
func (c *check) certificate() *issued {
	if c.issued == nil {
		c.issued = c.issue(c.account(), forNames(c.domain()))
	}
	return c.issued
}
