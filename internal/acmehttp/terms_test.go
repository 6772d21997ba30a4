package acmehttp_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"vidimus/internal/acmehttp"
)

func TestScriptsOfOtherOriginsMayAsk(t *testing.T) {
	c := newServer(t).registered()
	for _, a := range []answer{c.raw("GET", "/directory", "", ""), c.post(c.kid, ""), c.post("/new-order", "{}"), c.raw("GET", "/nothing", "", "")} {
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("Access-Control-Allow-Origin is %q with status %d", got, a.status)
		}
		exposed := strings.Split(a.header.Get("Access-Control-Expose-Headers"), ", ")
		for _, want := range []string{"Link", "Location", "Replay-Nonce", "Retry-After"} {
			if !slices.Contains(exposed, want) {
				t.Errorf("%s is not exposed", want)
			}
		}
	}
	a := c.raw("OPTIONS", "/new-order", "", "").want(http.StatusNoContent)
	if a.header.Get("Access-Control-Allow-Headers") != "Content-Type" || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") || a.header.Get("Replay-Nonce") != "" {
		t.Errorf("the preflight is answered with %v", a.header)
	}
}

func TestOnlyWhatIsTheSameForAllMayBeKept(t *testing.T) {
	c := newServer(t).registered()
	if got := c.raw("GET", "/directory", "", "").want(200).header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control of the directory is %q", got)
	}
	for _, a := range []answer{c.post("/directory", ""), c.post(c.kid, ""), c.raw("GET", "/new-nonce", "", ""), c.raw("GET", "/new-order", "", "")} {
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q with status %d", got, a.status)
		}
	}
}

func TestAnAccountShowsTheBindingThatItWasMadeBy(t *testing.T) {
	s := newServer(t)
	c := s.client("main")
	sent := c.withEAB(s.acmeID("www.example.org"), nil)
	var want, got struct{ ExternalAccountBinding map[string]string }
	if err := json.Unmarshal([]byte(sent), &want); err != nil {
		t.Fatal(err)
	}
	for n, a := range []answer{c.post("/new-account", sent).want(201), c.post(c.kid, ""), c.post(c.kid, `{"contact":[]}`)} {
		got.ExternalAccountBinding = nil
		a.json(&got)
		if !maps.Equal(got.ExternalAccountBinding, want.ExternalAccountBinding) {
			t.Errorf("answer %d has the binding %s", n, got.ExternalAccountBinding)
		}
	}
	open := s.registered()
	open.post(open.kid, "").want(200).json(&got)
	if strings.Contains(string(open.post(open.kid, "").body), "externalAccountBinding") {
		t.Error("an account without a binding shows one")
	}
}

// withTerms has the server ask for agreement to the terms at *url.
func withTerms(url string) func(*acmehttp.Config) {
	return func(c *acmehttp.Config) {
		for i := range c.Endpoints {
			c.Endpoints[i].Meta.TermsOfService = url
		}
	}
}

func TestNewTermsWantANewAgreement(t *testing.T) {
	const terms = "https://example.org/terms/2"
	s := newServer(t, withTerms(terms))
	c := s.client("main-open")
	a := c.post("/new-account", "{}")
	a.problem("userActionRequired", 403)
	if link := strings.Join(a.header["Link"], " "); !strings.Contains(link, `<`+terms+`>;rel="terms-of-service"`) {
		t.Errorf("Link is %s", link)
	}
	c.post("/new-account", `{"termsOfServiceAgreed":true}`).want(201)
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)

	// As if it had agreed when there were other terms.
	account, err := s.store.AccountByKey(t.Context(), "main-open", thumbprint(t, c.key))
	if err != nil || account.AgreedTo != terms || account.Agreed.IsZero() {
		t.Fatalf("on record: %+v, %v", account, err)
	}
	if err := s.store.Agree(t.Context(), account.ID, "https://example.org/terms/1", account.Agreed); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/new-order", o.Finalize} {
		a := c.post(path, orderFor("www.example.org"))
		p := a.problem("userActionRequired", 403)
		if !strings.Contains(strings.Join(a.header["Link"], " "), terms) || !strings.Contains(p.Detail, terms) {
			t.Errorf("%s: the terms are not named: %v, %+v", path, a.header, p)
		}
		page := c.raw("GET", p.Instance, "", "").want(200)
		if !strings.Contains(string(page.body), terms) || !strings.Contains(string(page.body), "termsOfServiceAgreed") {
			t.Errorf("the page at %s is\n%s", p.Instance, page.body)
		}
	}
	c.post(c.kid, "").want(200)
	c.post(o.Authorizations[0], "").want(200)
	c.post(c.kid, `{"termsOfServiceAgreed":false}`).want(200)
	c.post("/new-order", orderFor("www.example.org")).problem("userActionRequired", 403)
	c.post(c.kid, `{"termsOfServiceAgreed":true}`).want(200)
	c.post("/new-order", orderFor("www.example.org")).want(201)
	if account, err = s.store.Account(t.Context(), account.ID); err != nil || account.AgreedTo != terms {
		t.Errorf("on record: %+v, %v", account, err)
	}
}
