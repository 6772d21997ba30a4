package acmehttp_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/validation"
)

// web answers http-01 challenges on loopback.
type web struct {
	server  *httptest.Server
	answers sync.Map // by token
}

func newWeb(t *testing.T) *web {
	w := new(web)
	w.server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		text, ok := w.answers.Load(path.Base(r.URL.Path))
		if !ok {
			http.NotFound(out, r)
			return
		}
		out.Write([]byte(text.(string)))
	}))
	t.Cleanup(w.server.Close)
	return w
}

// validated has the server ask w, whatever the name.
func (w *web) validated(c *acmehttp.Config) {
	c.Runner.Validator.HTTPPort = w.server.Listener.Addr().(*net.TCPAddr).Port
}

type authz struct {
	Status, Expires      string
	Identifier           struct{ Type, Value string }
	Wildcard             bool
	SubdomainAuthAllowed bool
	Challenges           []struct {
		Type, URL, Status, Token string
		Error                    *problem
	}
}

// prove answers the http-01 challenge of an authorization; right says whether properly.
func (c *client) prove(w *web, url string, right bool) (z authz) {
	c.t.Helper()
	c.post(url, "").want(200).json(&z)
	for _, ch := range z.Challenges {
		if ch.Type != "http-01" {
			continue
		}
		if right {
			w.answers.Store(ch.Token, ch.Token+"."+thumbprint(c.t, c.key))
		}
		c.post(ch.URL, "{}").want(200)
		z = authz{}
		c.post(url, "").want(200).json(&z) // held back until there is a result
		return z
	}
	c.t.Fatalf("there is no http-01 challenge: %+v", z)
	return z
}

func (c *client) order(names ...string) (o order) {
	c.t.Helper()
	c.post("/new-order", orderFor(names...)).want(201).json(&o)
	return o
}

func TestAProofServesFurtherOrdersOfTheAccount(t *testing.T) {
	w := newWeb(t)
	s := newServer(t, w.validated, func(c *acmehttp.Config) {
		c.Runner.Directories = map[string]validation.Policy{"main-open": {Life: 48 * time.Hour}}
	})
	c := s.registered()
	first := c.order("www.example.org", "mail.example.org")
	z := c.prove(w, first.Authorizations[1], true)
	if z.Status != "valid" || z.Identifier.Value != "www.example.org" {
		t.Fatalf("the authorization is %+v", z)
	}
	if end, err := time.Parse(time.RFC3339, z.Expires); err != nil || time.Until(end) < 47*time.Hour || time.Until(end) > 48*time.Hour {
		t.Errorf("it expires at %s, %v; want two days", z.Expires, err)
	}

	again := c.order("www.example.org")
	if again.Status != "ready" || again.Authorizations[0] != first.Authorizations[1] {
		t.Errorf("the next order is %+v; want ready by %s", again, first.Authorizations[1])
	}
	c.post(again.Finalize, csr(t, newKey(t), "www.example.org")).want(200)
	both := c.order("www.example.org", "mail.example.org")
	if both.Status != "pending" || both.Authorizations[1] != first.Authorizations[1] || both.Authorizations[0] == first.Authorizations[0] {
		t.Errorf("an order with one name more is %+v; the first was %+v", both, first)
	}
	for name, o := range map[string]order{"a wildcard": c.order("*.www.example.org"), "another account": s.registered().order("www.example.org")} {
		if o.Status != "pending" {
			t.Errorf("the order of %s is %s", name, o.Status)
		}
	}

	// To give it up ends what counts on it (§7.5.2).
	ready := c.order("www.example.org")
	c.post(first.Authorizations[1], `{"status":"deactivated"}`).want(200)
	c.post(strings.TrimSuffix(ready.Finalize, "/finalize"), "").want(200).json(&ready)
	c.post(strings.TrimSuffix(both.Finalize, "/finalize"), "").want(200).json(&both)
	if ready.Status != "invalid" || both.Status != "invalid" || ready.Error == nil {
		t.Errorf("the orders are %s and %s (%v)", ready.Status, both.Status, ready.Error)
	}
	if o := c.order("www.example.org"); o.Status != "pending" {
		t.Errorf("an order after that is %s", o.Status)
	}
}

func TestAFailedProofIsTriedAgainByANewOrder(t *testing.T) {
	w := newWeb(t)
	c := newServer(t, w.validated).registered()
	first := c.order("www.example.org")
	if z := c.prove(w, first.Authorizations[0], false); z.Status != "invalid" {
		t.Fatalf("the authorization is %+v", z)
	}
	c.post(first.Authorizations[0], `{"status":"deactivated"}`).problem("malformed", 400)
	second := c.order("www.example.org")
	if second.Authorizations[0] == first.Authorizations[0] {
		t.Fatal("the failed authorization is taken up")
	}
	if z := c.prove(w, second.Authorizations[0], true); z.Status != "valid" {
		t.Fatalf("the authorization is %+v", z)
	}
	c.post(second.Finalize, csr(t, newKey(t), "www.example.org")).want(200)
}

func TestAnAuthorizationMadeInAdvance(t *testing.T) {
	w := newWeb(t)
	s := newServer(t, w.validated)
	c := s.registered()
	const body = `{"identifier":{"type":"dns","value":"WWW.example.org"}}`
	var z authz
	a := c.post("/new-authz", body).want(201)
	a.json(&z)
	url := a.header.Get("Location")
	if url == "" || z.Status != "pending" || z.Identifier.Value != "www.example.org" || len(z.Challenges) != 3 {
		t.Fatalf("at %q is %+v", url, z)
	}
	if again := c.post("/new-authz", body).want(201).header.Get("Location"); again != url {
		t.Errorf("asked for again it is %s, not %s", again, url)
	}
	o := c.order("www.example.org")
	if o.Status != "pending" || o.Authorizations[0] != url {
		t.Fatalf("the order is %+v; want it to wait for %s", o, url)
	}
	c.prove(w, url, true)
	c.post(strings.TrimSuffix(o.Finalize, "/finalize"), "").want(200).json(&o)
	if o.Status != "ready" {
		t.Errorf("the order is %s after the proof", o.Status)
	}

	c.post("/new-authz", `{"identifier":{"type":"dns","value":"*.example.org"}}`).problem("malformed", 400)
	c.post("/new-authz", `{"identifier":{"type":"email","value":"x"}}`).problem("unsupportedIdentifier", 400)
	c.post("/new-authz", `{}`).problem("unsupportedIdentifier", 400)

	// An ACME-ID's names are granted, others refused.
	bound := s.registered("mail.example.org")
	bound.post("/new-authz", `{"identifier":{"type":"dns","value":"mail.example.org"}}`).want(201).json(&z)
	if z.Status != "valid" {
		t.Errorf("a granted name is %s", z.Status)
	}
	bound.post("/new-authz", body).problem("rejectedIdentifier", 403)
}

func TestADeactivatedAccountIsGoodForNothing(t *testing.T) {
	w := newWeb(t)
	c := newServer(t, w.validated).registered()
	o := c.order("www.example.org")
	c.post(c.kid, `{"status":"deactivated"}`).want(200)
	for _, path := range []string{c.kid, o.Authorizations[0], o.Finalize, "/new-order", "/new-authz", c.kid + "/orders", "/directory", "/key-change", "/revoke-cert"} {
		c.post(path, "").problem("unauthorized", 401)
	}
	kid := c.kid
	c.kid = ""
	c.post("/new-account", `{"onlyReturnExisting":true}`).problem("unauthorized", 401)
	c.post("/new-account", `{}`).problem("unauthorized", 401)
	if c.kid != "" {
		t.Errorf("the key has the account %s; it had %s", c.kid, kid)
	}
}

func TestOfManyDeactivationsOneIsDone(t *testing.T) {
	c := newServer(t).registered()
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range 8 {
		body := c.sign(jws{path: c.kid, payload: `{"status":"deactivated"}`})
		all.Go(func() {
			a := c.raw("POST", c.kid, "application/jose+json", body)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	all.Wait()
	if statuses[200] != 1 || statuses[401] != 7 {
		t.Errorf("statuses are %v", statuses)
	}
}
