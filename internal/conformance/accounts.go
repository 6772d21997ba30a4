package conformance

import (
	"net/http"
	"slices"
	"strings"
)

// directoryCases are the rules of RFC 8555 §7.1 and §7.2.
var directoryCases = []Case{
	must("7.1", "the directory is JSON and names newNonce, newAccount, newOrder, revokeCert and keyChange", func(c *check) {
		a := c.fetch("GET", c.o.Directory).want(http.StatusOK)
		c.ok(strings.HasPrefix(a.header.Get("Content-Type"), "application/json"), "its Content-Type is %q", a.header.Get("Content-Type"))
		d := c.dir
		c.ok(!slices.Contains([]string{d.NewNonce, d.NewAccount, d.NewOrder, d.RevokeCert, d.KeyChange}, ""), "a URL is missing: %+v", d)
	}),
	must("7.2", "HEAD of newNonce gives a nonce", func(c *check) {
		c.ok(c.fetch("HEAD", c.dir.NewNonce).header.Get("Replay-Nonce") != "", "there is no Replay-Nonce")
	}),
	should("7.2", "HEAD of newNonce has status 200", func(c *check) { c.fetch("HEAD", c.dir.NewNonce).want(http.StatusOK) }),
	must("7.2", "GET of newNonce gives a nonce, status 204 and no body", func(c *check) {
		a := c.fetch("GET", c.dir.NewNonce).want(http.StatusNoContent)
		c.ok(a.header.Get("Replay-Nonce") != "" && len(a.body) == 0, "there is no Replay-Nonce, or a body")
	}),
	must("7.2", "newNonce must not be cached (Cache-Control: no-store)", func(c *check) {
		for _, method := range []string{"HEAD", "GET"} {
			got := c.fetch(method, c.dir.NewNonce).header.Get("Cache-Control")
			c.ok(strings.Contains(got, "no-store"), "Cache-Control of %s is %q", method, got)
		}
	}),
}

// bindings are the rules of RFC 8555 §7.3.4. Each request has something wrong, so
// none uses up credentials.
var bindings = []Case{
	should("7.3.4", "without a binding, where it is required, newAccount is refused as externalAccountRequired", func(c *check) {
		if !c.dir.Meta.Bound {
			c.skip("the server does not require external account binding")
		}
		c.post(stranger(), c.dir.NewAccount, registration{"termsOfServiceAgreed": true}).refused("externalAccountRequired")
	}),
	must("7.3.4", "a binding with a wrong MAC is refused", boundWrongly(func(_ *check, m *message) { m.sign = mac([]byte("another key, as long as it needs")) })),
	must("7.3.4", "a binding with an unknown key ID is refused", boundWrongly(func(_ *check, m *message) { m.header["kid"] = "no-such-kid" })),
	must("7.3.4", "a binding for another url is refused", boundWrongly(func(c *check, m *message) { m.header["url"] = c.dir.NewOrder })),
	must("7.3.4", "a binding without url is refused", boundWrongly(func(_ *check, m *message) { delete(m.header, "url") })),
	must("7.3.4", "a binding with a nonce is refused", boundWrongly(func(c *check, m *message) { m.header["nonce"] = c.freshNonce() })),
	must("7.3.4", "a binding for another account key is refused", boundWrongly(func(_ *check, m *message) { m.payload = toJSON(stranger().jwk()) })),
	must("7.3.4", "a binding that is not signed by a MAC is refused", boundWrongly(func(_ *check, m *message) {
		m.header["alg"], m.sign = "ES256", stranger().sign
	})),
	must("7.3.4", "a binding that is not a JWS is refused", func(c *check) {
		c.bound()
		c.post(stranger(), c.dir.NewAccount, registration{"termsOfServiceAgreed": true, "externalAccountBinding": map[string]string{"kid": "x"}}).refused()
	}),
	must("7.3.4", "an account that was bound shows its binding", func(c *check) {
		c.bound()
		a, got := stranger(), registration{}
		c.register(a).into(&got)
		c.ok(got["externalAccountBinding"] != nil, "the account object has no externalAccountBinding")
		if c.shared == nil {
			c.shared = a
		}
	}),
}

// bound gives the credentials for a try that must fail.
func (c *check) bound() Credentials {
	if !c.dir.Meta.Bound {
		c.skip("the server does not require external account binding")
	}
	if len(c.eab) == 0 {
		c.skip("there are no unused EAB credentials; give --eab-kid and --eab-hmac-key-file once more")
	}
	return c.eab[0]
}

func boundWrongly(by func(*check, *message)) func(*check) {
	return func(c *check) {
		with, a := c.bound(), stranger()
		binding := c.binding(a, with, func(m *message) { by(c, m) })
		c.post(a, c.dir.NewAccount, registration{"termsOfServiceAgreed": true, "externalAccountBinding": binding}).refused()
	}
}

// accounts are the rules of RFC 8555 §7.3 to §7.3.2.
var accounts = []Case{
	must("7.3", "newAccount answers with 201, the account's URL and its object, whose status is valid", func(c *check) {
		var got struct{ Status, Orders string }
		c.register(stranger()).into(&got)
		c.ok(got.Status == "valid", "the status is %q", got.Status)
	}),
	must("7.1.2", "an account object has status and orders", func(c *check) {
		var got struct{ Status, Orders string }
		c.post(c.account(), c.account().url, nil).want(http.StatusOK).into(&got)
		c.ok(got.Status != "" && got.Orders != "", "status is %q, orders %q", got.Status, got.Orders)
	}),
	must("7.3", "onlyReturnExisting, orders and unknown fields of newAccount are not reflected", notReflected),
	must("7.3", "where there are terms, newAccount without agreement is refused", func(c *check) {
		if c.dir.Meta.Terms == "" {
			c.skip("the server has no terms of service")
		}
		a := stranger()
		payload := c.registration(a)
		delete(payload, "termsOfServiceAgreed")
		c.post(a, c.dir.NewAccount, payload).refused()
	}),
	must("7.3", "a contact of another scheme, if refused, is refused as unsupportedContact", badContact("unsupportedContact", "gopher:example.org")),
	must("7.3", "a mailto contact that is no address, if refused, is refused as invalidContact", badContact("invalidContact", "mailto:not an address")),
	should("7.3", "a mailto contact with header fields is refused as invalidContact", func(c *check) {
		c.contact("mailto:a@example.org?subject=x").refused("invalidContact")
	}),
	should("7.3", "a mailto contact with two addresses is refused as invalidContact", func(c *check) {
		c.contact("mailto:a@example.org,b@example.org").refused("invalidContact")
	}),
	must("7.3.1", "newAccount for a known key answers with 200 and the account's URL", func(c *check) {
		a := c.account()
		ans := c.post(a, c.dir.NewAccount, registration{"termsOfServiceAgreed": true}, byKey(a)).want(http.StatusOK)
		c.ok(ans.header.Get("Location") == a.url, "Location is %q, not %q", ans.header.Get("Location"), a.url)
	}),
	must("7.3.1", "newAccount for a known key changes nothing", func(c *check) {
		a := c.account()
		var got struct{ Contact []string }
		c.post(a, c.dir.NewAccount, registration{"contact": []string{"mailto:changed@example.org"}, "termsOfServiceAgreed": true}, byKey(a)).want(http.StatusOK)
		c.post(a, a.url, nil).want(http.StatusOK).into(&got)
		c.ok(len(got.Contact) == 0, "the contact is now %v", got.Contact)
	}),
	must("7.3.1", "onlyReturnExisting finds the account of a known key", func(c *check) {
		a := c.account()
		ans := c.post(a, c.dir.NewAccount, registration{"onlyReturnExisting": true}, byKey(a)).want(http.StatusOK)
		c.ok(ans.header.Get("Location") == a.url, "Location is %q, not %q", ans.header.Get("Location"), a.url)
	}),
	must("7.3.1", "onlyReturnExisting for an unknown key gets status 400 and accountDoesNotExist", func(c *check) {
		a := stranger()
		for range 2 { // the second time shows that the first has made no account
			c.post(a, c.dir.NewAccount, registration{"onlyReturnExisting": true, "termsOfServiceAgreed": true}).refusedWith(http.StatusBadRequest, "accountDoesNotExist")
		}
	}),
	must("7.3.2", "an update of the contact answers with 200 and the account as it is then", func(c *check) {
		var got struct{ Contact []string }
		c.contact("mailto:hostmaster@example.org").want(http.StatusOK).into(&got)
		c.ok(slices.Contains(got.Contact, "mailto:hostmaster@example.org"), "the contact is %v", got.Contact)
		c.post(c.second(), c.second().url, map[string]any{"contact": []string{}}).want(http.StatusOK)
	}),
	must("7.3.2", "an update of orders, termsOfServiceAgreed or an unknown field is ignored", func(c *check) {
		a := c.account()
		update := map[string]any{"orders": "https://example.org/orders", "termsOfServiceAgreed": false, "unknown": 1}
		got := map[string]any{}
		c.post(a, a.url, update).want(http.StatusOK).into(&got)
		c.ok(got["orders"] != update["orders"] && got["unknown"] == nil, "the account object is now %v", got)
	}),
	must("7.3.2", "an update of status to anything but deactivated is ignored", func(c *check) {
		a := c.account()
		var got struct{ Status string }
		c.post(a, a.url, map[string]any{"status": "revoked"}).want(http.StatusOK).into(&got)
		c.ok(got.Status == "valid", "the status is %q", got.Status)
	}),
	must("7.3.2", "another account can't be changed", func(c *check) {
		c.post(c.second(), c.account().url, map[string]any{"contact": []string{}}).refused()
	}),
}

// byKey signs with the key itself in the header.
func byKey(a *account) change {
	return func(m *message) {
		delete(m.header, "kid")
		m.header["jwk"] = a.jwk()
	}
}

// contact changes the contact of the second account.
func (c *check) contact(url string) *answer {
	a := c.second()
	return c.post(a, a.url, map[string]any{"contact": []string{url}})
}

func badContact(kind, url string) func(*check) {
	return func(c *check) {
		ans := c.contact(url)
		if ans.status < 300 {
			c.skip("the server does not check contacts")
		}
		ans.refused(kind)
	}
}

func notReflected(c *check) {
	a := stranger()
	payload := c.registration(a)
	payload["onlyReturnExisting"], payload["unknown"], payload["orders"] = false, "x", "https://example.org/orders"
	got := map[string]any{}
	c.post(a, c.dir.NewAccount, payload).want(http.StatusCreated).into(&got)
	_, only := got["onlyReturnExisting"]
	c.ok(!only && got["unknown"] == nil && got["orders"] != payload["orders"], "the account object is %v", got)
}
