package conformance

import (
	"net/http"
	"slices"
	"time"
)

// preauthorizations are the rules of RFC 8555 §7.4.1.
var preauthorizations = []Case{
	must("7.4.1", "newAuthz answers with 201, the authorization's URL and its object", func(c *check) {
		a := c.account()
		z := c.preauthorize(a, ident{"dns", c.domain()})
		c.ok(z.Identifier == ident{"dns", c.domain()} && z.Wildcard == nil && slices.Contains([]string{"pending", "valid"}, z.Status), "it is %+v", z)
		same := c.authz(a, z.url)
		c.ok(same.Status == z.Status && same.Identifier == z.Identifier, "at %s is %+v", z.url, same)
	}),
	must("7.4.1", "newAuthz for an unknown type of identifier is refused", func(c *check) {
		c.needNewAuthz()
		c.post(c.account(), c.dir.NewAuthz, map[string]any{"identifier": ident{"no-such-type", "x"}}).refused()
	}),
	should("7.4.1", "an order of the account takes up what was authorized in advance", func(c *check) {
		c.needNewAuthz()
		a := c.account()
		if !c.dir.Meta.Bound {
			a = c.fresh()
		}
		z := c.preauthorize(a, ident{"dns", c.domain()})
		if z.Status == "pending" {
			z = c.prove(a, z)
		}
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
		o := c.order(a, forNames(c.domain()))
		c.ok(o.Status == "ready", "the order is %s", o.Status)
	}),
	must("7.4.1", "a pre-authorization for a wildcard is refused", func(c *check) {
		c.needNewAuthz()
		c.post(c.account(), c.dir.NewAuthz, map[string]any{"identifier": ident{"dns", "*." + c.domain()}}).refused()
	}),
	must("7.5.2", "an authorization that was deactivated serves no further order", func(c *check) {
		a, _, z := c.pending()
		c.prove(a, z)
		c.post(a, z.url, map[string]any{"status": "deactivated"}).want(http.StatusOK)
		o := c.order(a, forNames(c.domain()))
		c.ok(o.Status != "ready" && !slices.Contains(o.Authorizations, z.url), "the order is %s, with %v", o.Status, o.Authorizations)
	}),
	must("7.4", "a notBefore that is asked for is kept to, or the order is refused", func(c *check) {
		payload := forNames(c.domain())
		wanted := time.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
		payload["notBefore"] = wanted.Format(time.RFC3339)
		if ans := c.post(c.account(), c.dir.NewOrder, payload); ans.status >= 400 {
			ans.refused()
			return
		}
		got := c.issue(c.account(), payload).leaf().NotBefore
		c.ok(got.Sub(wanted).Abs() <= time.Second, "the certificate begins at %s, not at %s", got, wanted)
	}),
	should("7.4", "a notAfter before notBefore is refused", func(c *check) {
		payload := forNames(c.domain())
		payload["notBefore"] = time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
		payload["notAfter"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		c.post(c.account(), c.dir.NewOrder, payload).refused()
	}),
}

// subdomains are the rules of RFC 9444.
var subdomains = []Case{
	{"RFC 9444 §4.2", "a pre-authorization of the names below has subdomainAuthAllowed: true, and serves an order for one", Must, func(c *check) {
		a, z := c.below()
		c.ok(z.Below != nil && *z.Below, "it has no subdomainAuthAllowed: true")
		if z.Status == "pending" {
			z = c.proveDNS(a, z)
		}
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
		o := c.order(a, forNames("a.b."+c.domain()))
		c.ok(o.Status == "ready" && slices.Equal(o.Authorizations, []string{z.url}), "the order is %s, with %v", o.Status, o.Authorizations)
	}},
	{"RFC 9444 §4.1", "an authorization of one name has no subdomainAuthAllowed: true, and serves no order for a name below", Must, func(c *check) {
		c.needSubdomains()
		a, _, z := c.pending()
		c.ok(z.Below == nil || !*z.Below, "it has subdomainAuthAllowed: true")
		z = c.prove(a, z)
		c.ok(z.Status == "valid", "the authorization is %s", z.Status)
		o := c.order(a, forNames("a."+c.domain()))
		c.ok(o.Status == "pending", "the order is %s", o.Status)
	}},
	{"RFC 9444 §4.3", "an ancestorDomain that is not above the identifier is refused", Must, func(c *check) {
		c.needSubdomains()
		c.post(c.account(), c.dir.NewOrder, map[string]any{"identifiers": []map[string]string{
			{"type": "dns", "value": c.domain(), "ancestorDomain": "other.test"}}}).refused()
	}},
	{"RFC 9444 §4.3", "an order with ancestorDomain is for its identifier, authorized for that or for a name up to the ancestor", Must, func(c *check) {
		c.needSubdomains()
		a, name := c.fresh(), "a.b."+c.domain()
		o := c.order(a, map[string]any{"identifiers": []map[string]string{{"type": "dns", "value": name, "ancestorDomain": c.domain()}}})
		c.ok(len(o.Identifiers) == 1 && o.Identifiers[0].Value == name, "its identifiers are %v", o.Identifiers)
		z := c.authz(a, o.Authorizations[0])
		c.ok(slices.Contains([]string{name, "b." + c.domain(), c.domain()}, z.Identifier.Value), "the authorization is for %s", z.Identifier.Value)
		c.ok(z.Identifier.Value == name || z.Below != nil && *z.Below, "it has no subdomainAuthAllowed: true")
	}},
}

func (c *check) needNewAuthz() {
	if c.dir.NewAuthz == "" {
		c.skip("the server does not offer pre-authorization")
	}
}

func (c *check) needSubdomains() {
	if !c.dir.Meta.Subdomains {
		c.skip("the server does not offer authorization of subdomains")
	}
}

// preauthorize asks for an authorization in advance.
func (c *check) preauthorize(a *account, id any) (z authz) {
	c.needNewAuthz()
	ans := c.post(a, c.dir.NewAuthz, map[string]any{"identifier": id}).want(http.StatusCreated).into(&z)
	z.url = ans.header.Get("Location")
	c.ok(z.url != "", "newAuthz answers without a Location")
	return z
}

// below is an authorization of the names below the domain, of a new account.
func (c *check) below() (*account, authz) {
	c.needSubdomains()
	a := c.fresh()
	return a, c.preauthorize(a, map[string]any{"type": "dns", "value": c.domain(), "subdomainAuthAllowed": true})
}
