package conformance

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// orders are the rules of RFC 8555 §7.1.3 and §7.4.
var orders = []Case{
	must("7.4", "newOrder answers with 201, the order's URL, its identifiers, authorizations and finalize", orderObject),
	must("7.1.3", "an order that is pending or valid has expires", func(c *check) {
		o := c.order(c.account(), forNames(c.domain()))
		_, err := time.Parse(time.RFC3339, o.Expires)
		c.ok(err == nil || o.Status == "ready", "expires is %q", o.Expires)
	}),
	must("7.4", "an order without identifiers is refused", refusedOrder(map[string]any{"identifiers": []ident{}})),
	must("7.4", "an order without the member identifiers is refused", refusedOrder(map[string]any{})),
	must("7.4", "an identifier of an unknown type is refused", refusedOrder(map[string]any{"identifiers": []ident{{"no-such-type", "x"}}})),
	must("7.4", "a name of one empty label is refused", refusedOrder(forNames("a..example.org"))),
	must("7.4", "a name with a character that names can't have is refused", refusedOrder(forNames("a b.example.org"))),
	must("7.1.4", "an A-label that is not properly encoded is refused", refusedOrder(forNames("xn--0.example.org"))),
	must("7.1.4", "a wildcard in another place than the first label is refused", refusedOrder(forNames("www.*.example.org"))),
	must("7.4", "a notAfter that is asked for is kept to, or the order is refused", askedNotAfter),
	must("7.4", "finalize of an order that is not ready gets status 403 and orderNotReady", func(c *check) {
		a, o, _ := c.pending()
		c.post(a, o.Finalize, finalizing(csr(newKey(), c.domain()))).refusedWith(http.StatusForbidden, "orderNotReady")
	}),
	must("7.4", "finalize of an order that has its certificate gets status 403 and orderNotReady", func(c *check) {
		i := c.certificate()
		c.post(i.by, i.order.Finalize, finalizing(csr(newKey(), c.domain()))).refusedWith(http.StatusForbidden, "orderNotReady")
	}),
	must("7.4", "finalize by another account is refused", func(c *check) {
		i := c.certificate()
		c.post(c.second(), i.order.Finalize, finalizing(csr(newKey(), c.domain()))).refused()
	}),
	must("7.4", "a CSR with another name than the order's is refused", badCSR(false, func(c *check) string { return b64(csr(newKey(), "other."+c.domain())) })),
	must("7.4", "a CSR with a name more than the order is refused", badCSR(false, func(c *check) string { return b64(csr(newKey(), c.domain(), "other."+c.domain())) })),
	must("7.4", "a CSR without names is refused", badCSR(false, func(c *check) string { return b64(csr(newKey())) })),
	must("7.4", "a CSR whose signature does not verify is refused", badCSR(false, func(c *check) string {
		der := csr(newKey(), c.domain())
		der[len(der)-1] ^= 1
		return b64(der)
	})),
	must("7.4", "a csr that is not a CSR is refused", badCSR(false, func(*check) string { return b64([]byte("no CSR")) })),
	must("6.1", "a csr with trailing = is refused", badCSR(false, func(c *check) string {
		der := csr(newKey(), c.domain())
		for len(der)%3 == 0 { // signatures differ in length: one whose encoding has padding
			der = csr(newKey(), c.domain())
		}
		return base64.URLEncoding.EncodeToString(der)
	})),
	should("7.4", "a CSR that does not fit is refused as badCSR, and the order stays ready", badCSR(true, func(c *check) string { return b64(csr(newKey(), "other."+c.domain())) })),
	must("11.1", "a CSR with the account's key is refused", badCSR(false, func(c *check) string { return b64(csr(c.account().key, c.domain())) })),
	must("7.4", "the certificate is for the names of the order and no others", func(c *check) {
		i := c.certificate()
		c.ok(slices.Equal(i.leaf().DNSNames, []string{c.domain()}), "it is for %v", i.leaf().DNSNames)
	}),
	must("7.4", "the certificate is for the key of the CSR", func(c *check) {
		i := c.certificate()
		c.ok(sameKey(i.leaf().PublicKey, i.key.Public()), "it has another key")
	}),
	must("7.1.2.1", "the list of orders is an object with the array orders, and shows the account's", orderList),
	must("7.1.2.1", "another account's list of orders can't be read", func(c *check) {
		c.post(c.second(), c.ordersURL(c.account()), nil).refused()
	}),
}

func orderObject(c *check) {
	o := c.order(c.account(), forNames(strings.ToLower(c.domain())))
	c.ok(slices.Contains([]string{"pending", "ready"}, o.Status), "its status is %q", o.Status)
	c.ok(slices.Equal(o.Identifiers, []ident{{"dns", c.domain()}}), "its identifiers are %v", o.Identifiers)
	c.ok(o.Finalize != "" && (len(o.Authorizations) > 0 || o.Status == "ready"), "finalize or authorizations are missing")
}

func refusedOrder(payload map[string]any) func(*check) {
	return func(c *check) { c.post(c.account(), c.dir.NewOrder, payload).refused() }
}

func askedNotAfter(c *check) {
	payload := forNames(c.domain())
	wanted := time.Now().Add(20 * 24 * time.Hour).UTC().Truncate(time.Second)
	payload["notAfter"] = wanted.Format(time.RFC3339)
	ans := c.post(c.account(), c.dir.NewOrder, payload)
	if ans.status >= 400 {
		ans.refused()
		return
	}
	got := c.issue(c.account(), payload).leaf().NotAfter
	c.ok(got.Sub(wanted).Abs() <= time.Second, "the certificate ends at %s, not at %s", got, wanted)
}

// badCSR makes a case: an order that is ready is finalized with a wrong csr. thorough
// checks the problem's type and the order too.
func badCSR(thorough bool, text func(*check) string) func(*check) {
	return func(c *check) {
		a := c.account()
		o := c.ready(a, forNames(c.domain()))
		if o.Status != "ready" {
			c.skip("the order is %s, not ready", o.Status)
		}
		ans := c.post(a, o.Finalize, map[string]any{"csr": text(c)}).refused()
		if thorough {
			ans.refused("badCSR")
			c.post(a, o.url, nil).want(http.StatusOK).into(&o)
			c.ok(o.Status == "ready", "the order is %s", o.Status)
		}
	}
}

func (c *check) ordersURL(a *account) string {
	var got struct{ Orders string }
	c.post(a, a.url, nil).want(http.StatusOK).into(&got)
	if got.Orders == "" {
		c.skip("the account object has no orders")
	}
	return got.Orders
}

func orderList(c *check) {
	o := c.order(c.account(), forNames(c.domain()))
	count := 0
	for url := c.ordersURL(c.account()); url != "" && count < 10000; {
		var page struct{ Orders []string }
		ans := c.post(c.account(), url, nil).want(http.StatusOK).into(&page)
		if slices.Contains(page.Orders, o.url) {
			return
		}
		count += max(1, len(page.Orders))
		url = ans.link("next")
	}
	c.fail("the new order %s is not in the list of %d", o.url, count)
}
