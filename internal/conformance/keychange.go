package conformance

import "net/http"

// keyChanges are the rules of RFC 8555 §7.3.5.
var keyChanges = []Case{
	must("7.3.5", "an account gets a new key; the old one is no longer accepted, the new one is", changeKey),
	must("7.3.5", "an inner JWS that is not signed by the new key is refused", badKeyChange(func(_ *check, m *message) { m.sign = stranger().sign })),
	must("7.3.5", "an inner JWS without jwk is refused", badKeyChange(func(_ *check, m *message) { delete(m.header, "jwk") })),
	must("7.3.5", "an inner JWS for another url is refused", badKeyChange(func(c *check, m *message) { m.header["url"] = c.dir.NewAccount })),
	must("7.3.5", "an inner JWS without url is refused", badKeyChange(func(_ *check, m *message) { delete(m.header, "url") })),
	must("7.3.5", "an inner JWS with a nonce is refused", badKeyChange(func(c *check, m *message) { m.header["nonce"] = c.freshNonce() })),
	must("7.3.5", "a keyChange object that names another account is refused", badKeyChange(func(c *check, m *message) {
		m.payload = toJSON(map[string]any{"account": c.account().url + "0", "oldKey": c.account().jwk()})
	})),
	must("7.3.5", "a keyChange object with another old key is refused", badKeyChange(func(c *check, m *message) {
		m.payload = toJSON(map[string]any{"account": c.account().url, "oldKey": stranger().jwk()})
	})),
	must("7.3.5", "a keyChange object without old key is refused", badKeyChange(func(c *check, m *message) {
		m.payload = toJSON(map[string]any{"account": c.account().url})
	})),
	must("7.3.5", "a payload that is not a JWS is refused", func(c *check) {
		a := c.account()
		c.post(a, c.dir.KeyChange, map[string]any{"account": a.url, "oldKey": a.jwk()}).refused()
	}),
	must("7.3.5", "the key of another account is refused", func(c *check) { c.keyChange(c.account(), c.second()).refused() }),
	should("7.3.5", "the key of another account gets status 409 and that account's URL", func(c *check) {
		ans := c.keyChange(c.account(), c.second()).want(http.StatusConflict)
		c.ok(ans.header.Get("Location") == c.second().url, "Location is %q, not %q", ans.header.Get("Location"), c.second().url)
	}),
}

// keyChange asks to give the account the key of another.
func (c *check) keyChange(a, to *account, changes ...change) *answer {
	inner := &message{header: map[string]any{"alg": "ES256", "jwk": to.jwk(), "url": c.dir.KeyChange}, sign: to.sign,
		payload: toJSON(map[string]any{"account": a.url, "oldKey": a.jwk()})}
	for _, change := range changes {
		change(inner)
	}
	return c.post(a, c.dir.KeyChange, rawJSON(inner.jws()))
}

func badKeyChange(by func(*check, *message)) func(*check) {
	return func(c *check) {
		next := stranger()
		ans := c.keyChange(c.account(), next, func(m *message) { by(c, m) })
		if ans.status < 300 {
			c.account().key = next.key // it is the account's now: other cases need it
		}
		ans.refused()
	}
}

func changeKey(c *check) {
	a := c.fresh()
	next := stranger()
	c.keyChange(a, next).want(http.StatusOK)
	next.url = a.url
	c.post(a, a.url, nil).refused()
	c.post(next, a.url, nil).want(http.StatusOK)
}

// deactivations are the rules of RFC 8555 §7.3.6.
var deactivations = []Case{
	must("7.3.6", "deactivation answers with 200 and an account that is deactivated", func(c *check) {
		a := c.fresh()
		var got struct{ Status string }
		c.post(a, a.url, map[string]any{"status": "deactivated"}).want(http.StatusOK).into(&got)
		c.ok(got.Status == "deactivated", "the status is %q", got.Status)
	}),
	must("7.3.6", "a deactivated account gets status 401 and unauthorized", func(c *check) {
		a := c.fresh()
		c.post(a, a.url, map[string]any{"status": "deactivated"}).want(http.StatusOK)
		c.post(a, a.url, nil).refusedWith(http.StatusUnauthorized, "unauthorized")
		c.post(a, c.dir.NewOrder, forNames("example.org")).refusedWith(http.StatusUnauthorized, "unauthorized")
	}),
	must("7.3.6", "another account can't be deactivated", func(c *check) {
		c.post(c.second(), c.account().url, map[string]any{"status": "deactivated"}).refused()
		c.post(c.account(), c.account().url, nil).want(http.StatusOK)
	}),
}
