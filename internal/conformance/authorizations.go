package conformance

import (
	"encoding/base64"
	"net/http"
	"slices"
	"time"
)

// authorizations are the rules of RFC 8555 §7.1.4, §7.5 and §8.
var authorizations = []Case{
	must("7.1.4", "an authorization has an identifier, a status and challenges", func(c *check) {
		_, _, z := c.pending()
		c.ok(z.Identifier == ident{"dns", c.domain()} && z.Status == "pending" && len(z.Challenges) > 0, "it is %+v", z)
	}),
	must("7.1.4", "an authorization for a name that is no wildcard has no member wildcard", func(c *check) {
		z := c.authz(c.account(), c.order(c.account(), forNames(c.domain())).Authorizations[0])
		c.ok(z.Wildcard == nil, "it has wildcard: %v", z.Wildcard != nil && *z.Wildcard)
	}),
	must("7.1.4", "an authorization for a wildcard is for its base, with wildcard: true", wildcardAuthz),
	must("7.1.4", "a valid authorization has expires", func(c *check) {
		z := c.authz(c.certificate().by, c.certificate().order.Authorizations[0])
		_, err := time.Parse(time.RFC3339, z.Expires)
		c.ok(err == nil || z.Status != "valid", "expires is %q", z.Expires)
	}),
	must("7.5", "another account's authorization can't be read", func(c *check) {
		c.post(c.second(), c.order(c.account(), forNames(c.domain())).Authorizations[0], nil).refused()
	}),
	must("8", "a challenge has type, url and status, which is pending at first", func(c *check) {
		_, _, z := c.pending()
		for _, ch := range z.Challenges {
			c.ok(ch.Type != "" && ch.URL != "" && ch.Status == "pending", "it is %+v", ch)
		}
	}),
	must("8.3", "a token is base64url without padding, of 128 bits at least", tokens),
	must("6.3", "POST-as-GET of a challenge does not start its validation", func(c *check) {
		a, _, z := c.pending()
		var got challenge
		c.post(a, c.challenge(z, "http-01").URL, nil).want(http.StatusOK).into(&got)
		c.ok(got.Status == "pending" && c.authz(a, z.url).Status == "pending", "the challenge is %s", got.Status)
	}),
	must("7.5.1", "another account can't answer a challenge", func(c *check) {
		a, _, z := c.pending()
		other := c.second()
		if other == a {
			other = c.account()
		}
		c.post(other, z.Challenges[0].URL, struct{}{}).refused()
		c.ok(c.authz(a, z.url).Status == "pending", "the authorization is no longer pending")
	}),
	must("7.1", "a challenge is linked to its authorization (Link: up)", func(c *check) {
		a, _, z := c.pending()
		got := c.post(a, z.Challenges[0].URL, nil).want(http.StatusOK).link("up")
		c.ok(got == z.url, "the link is %q, not %q", got, z.url)
	}),
	must("8.3", "http-01 with the right answer makes the authorization and the order valid and ready", func(c *check) {
		a, o, z := c.pending()
		z = c.prove(a, z)
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
		ch := c.challenge(z, "http-01")
		c.ok(ch.Status == "valid", "the challenge is %s", ch.Status)
		o = c.await(a, o, "pending")
		c.ok(o.Status == "ready", "the order is %s", o.Status)
	}),
	must("8", "a challenge that is valid has validated", func(c *check) {
		a, _, z := c.pending()
		ch := c.challenge(c.prove(a, z), "http-01")
		_, err := time.Parse(time.RFC3339, ch.Validated)
		c.ok(err == nil, "validated is %q", ch.Validated)
	}),
	should("8.3", "white space after the http-01 answer is ignored", func(c *check) {
		c.answered(" \r\n", "valid")
	}),
	must("8.1", "http-01 with another account's key authorization makes the authorization invalid", func(c *check) {
		c.answeredAs(stranger(), "", "invalid")
	}),
	must("8.3", "http-01 with something behind the key authorization makes the authorization invalid", func(c *check) {
		c.answered("x", "invalid")
	}),
	should("8", "a challenge that is invalid has an error", func(c *check) {
		ch := c.challenge(c.answered("x", "invalid"), "http-01")
		c.ok(ch.Status == "invalid" && ch.Error != nil && ch.Error.Type != "", "the challenge is %+v", ch)
	}),
	must("7.1.6", "an order with an authorization that failed is invalid", func(c *check) {
		a, o, z := c.pending()
		ch := c.httpChallenge(z)
		c.http01.set(ch.Token, "wrong")
		c.respond(a, z, ch)
		o = c.await(a, o, "pending")
		c.ok(o.Status == "invalid", "the order is %s", o.Status)
	}),
	must("7.5.1", "fields of a challenge response that are not specified are ignored", func(c *check) {
		a, _, z := c.pending()
		ch := c.httpChallenge(z)
		c.http01.set(ch.Token, ch.Token+"."+a.thumbprint())
		c.post(a, ch.URL, map[string]any{"keyAuthorization": 1, "unknown": true}).want(http.StatusOK)
	}),
	must("7.5.2", "a deactivated authorization is deactivated, and its order can't be finalized", deactivateAuthz),
	must("7.5.2", "another account can't deactivate an authorization", func(c *check) {
		a, _, z := c.pending()
		other := c.second()
		c.post(other, z.url, map[string]any{"status": "deactivated"}).refused()
		c.ok(c.authz(a, z.url).Status == "pending", "the authorization is no longer pending")
	}),
}

func wildcardAuthz(c *check) {
	z := c.authz(c.account(), c.wildcardOrder(c.account()).Authorizations[0])
	c.ok(z.Identifier == ident{"dns", c.domain()}, "its identifier is %v", z.Identifier)
	c.ok(z.Wildcard != nil && *z.Wildcard, "it has no wildcard: true")
}

func tokens(c *check) {
	_, _, z := c.pending()
	for _, ch := range z.Challenges {
		if !slices.Contains([]string{"http-01", "dns-01", "tls-alpn-01"}, ch.Type) {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(ch.Token)
		c.ok(err == nil && len(raw) >= 16, "the token of %s is %q", ch.Type, ch.Token)
	}
}

// httpChallenge is the http-01 challenge of an authorization, if it can be answered.
func (c *check) httpChallenge(z authz) challenge {
	if why := c.http01.broken(); why != "" {
		c.skip("http-01 can't be answered: %s; give --http-01-port", why)
	}
	return c.challenge(z, "http-01")
}

// answered answers http-01 with something behind the right text, and expects a
// status of the authorization.
func (c *check) answered(behind, status string) authz { return c.answeredAs(nil, behind, status) }

func (c *check) answeredAs(as *account, behind, status string) authz {
	a, _, z := c.pending()
	if as == nil {
		as = a
	}
	ch := c.httpChallenge(z)
	c.http01.set(ch.Token, ch.Token+"."+as.thumbprint()+behind)
	z = c.respond(a, z, ch)
	c.ok(z.Status == status, "the authorization is %s, not %s", z.Status, status)
	return z
}

func deactivateAuthz(c *check) {
	a, o, z := c.pending()
	c.prove(a, z)
	c.post(a, z.url, map[string]any{"status": "deactivated"}).want(http.StatusOK).into(&z)
	c.ok(z.Status == "deactivated", "the authorization is %s", z.Status)
	c.post(a, o.Finalize, finalizing(csr(newKey(), c.domain()))).refused()
}
