package acmehttp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
)

func chainOf(ca issuer.CA) []*x509.Certificate { return []*x509.Certificate{ca.Certificate} }

type order struct {
	Status, Finalize, Certificate string
	Authorizations                []string
	Identifiers                   []identifier.Identifier
	Error                         *problem
}

func orderFor(names ...string) string {
	var ids []identifier.Identifier
	for _, n := range names {
		ids = append(ids, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	data, _ := json.Marshal(map[string]any{"identifiers": ids})
	return string(data)
}

func csr(t testing.TB, key *ecdsa.PrivateKey, names ...string) string {
	t.Helper()
	var ids []identifier.Identifier
	for _, n := range names {
		ids = append(ids, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	der, err := certificate.Request(key, ids, false)
	if err != nil {
		t.Fatal(err)
	}
	return `{"csr":"` + b64(der) + `"}`
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// obtain gets a certificate for names that the account is granted.
func (c *client) obtain(names ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	var o order
	c.post("/new-order", orderFor(names...)).want(201).json(&o)
	key := newKey(c.t)
	c.post(o.Finalize, csr(c.t, key, names...)).want(200).json(&o)
	chain, err := certificate.ParseChain(c.post(o.Certificate, "").want(200).body)
	if err != nil {
		c.t.Fatal(err)
	}
	return chain[0], key
}

func TestDirectoryAndNonces(t *testing.T) {
	s := newServer(t)
	for name, external := range map[string]bool{"main": true, "main-open": false} {
		c := s.client(name)
		var d map[string]any
		c.raw("GET", "/directory", "", "").want(200).json(&d)
		for _, key := range []string{"newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"} {
			if u, _ := d[key].(string); !strings.HasPrefix(u, s.url+"/acme/"+name+"/") {
				t.Errorf("%s: %s is %v", name, key, d[key])
			}
		}
		if got := d["meta"].(map[string]any)["externalAccountRequired"] == true; got != external {
			t.Errorf("%s: externalAccountRequired is %v", name, got)
		}
		// RFC 8555 §7.2: 200 to HEAD, 204 to GET, no-store.
		for method, status := range map[string]int{"HEAD": 200, "GET": 204} {
			a := c.raw(method, "/new-nonce", "", "").want(status)
			if a.header.Get("Replay-Nonce") == "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s new-nonce: %v", method, a.header)
			}
		}
	}
	s.client("nosuch").raw("GET", "/directory", "", "").problem("malformed", 404)
}

func TestEachFaultOfARequestHasItsProblem(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	other := s.registered()
	good := jws{path: "/new-order", payload: orderFor("www.example.org")}
	used := c.nonce()
	c.send(jws{path: "/new-order", payload: good.payload, nonce: used}).want(201)
	signed := c.sign(good)
	tampered := strings.Replace(signed, `"signature":"`, `"signature":"AAAA`, 1)

	post := func(body string) func() answer {
		return func() answer { return c.raw("POST", "/new-order", "application/jose+json", body) }
	}
	send := func(r jws) func() answer {
		r.path, r.payload = good.path, good.payload
		return func() answer { return c.send(r) }
	}
	for name, x := range map[string]struct {
		do     func() answer
		kind   string
		status int
	}{
		"a replayed nonce":       {send(jws{nonce: used}), "badNonce", 400},
		"a made-up nonce":        {send(jws{nonce: strings.Repeat("A", 32)}), "badNonce", 400},
		"no nonce":               {send(jws{noNonce: true}), "badNonce", 400},
		"another URL":            {send(jws{url: c.at("/new-account")}), "unauthorized", 403},
		"a MAC for signature":    {send(jws{alg: jose.HS256, key: make([]byte, 32)}), "badSignatureAlgorithm", 400},
		"another key":            {send(jws{key: newKey(t)}), "malformed", 400},
		"a key, not an account":  {send(jws{embed: true}), "malformed", 400},
		"another dir's account":  {send(jws{kid: other.kid, key: other.key}), "accountDoesNotExist", 400},
		"no such account":        {send(jws{kid: c.at("/acct/999")}), "accountDoesNotExist", 400},
		"not an account URL":     {send(jws{kid: "https://elsewhere.example/1"}), "accountDoesNotExist", 400},
		"a broken signature":     {post(tampered), "malformed", 400},
		"no JSON":                {post("hello"), "malformed", 400},
		"JSON without signature": {post(`{"protected":"","payload":""}`), "malformed", 400},
		"an unprotected header":  {post(strings.Replace(signed, "{", `{"header":{"kid":"x"},`, 1)), "malformed", 400},
		"general serialization":  {post(`{"payload":"","protected":"","signature":"","signatures":[]}`), "malformed", 400},
		"a body too large":       {post(signed + strings.Repeat(" ", 64<<10)), "malformed", 413},
		"another content type":   {func() answer { return c.raw("POST", "/new-order", "application/json", signed) }, "malformed", 415},
		"GET":                    {func() answer { return c.raw("GET", "/new-order", "", "") }, "malformed", 405},
		"nothing there":          {func() answer { return c.raw("GET", "/nosuch", "", "") }, "malformed", 404},
		"an order not there":     {func() answer { return c.post("/order/999", "") }, "malformed", 404},
		"a payload not JSON":     {func() answer { return c.post("/new-order", "hello") }, "malformed", 400},
	} {
		a := x.do()
		p := a.problem(x.kind, x.status)
		if a.header.Get("Replay-Nonce") == "" && x.status < 404 {
			t.Errorf("%s: no fresh nonce in the answer", name)
		}
		if x.kind == "badSignatureAlgorithm" && !slices.Contains(p.Algorithms, "ES256") {
			t.Errorf("%s: algorithms are %v", name, p.Algorithms)
		}
	}
	var list struct{ Orders []string }
	c.post(c.kid+"/orders", "").want(200).json(&list)
	if len(list.Orders) != 1 {
		t.Errorf("%d orders are on record, want only the good one", len(list.Orders))
	}
}

func TestExternalAccountBinding(t *testing.T) {
	s := newServer(t)
	cred := s.acmeID("www.example.org")
	c := s.client("main")
	c.post("/new-account", "{}").problem("externalAccountRequired", 403)
	s.client("main-open").post("/new-account", c.withEAB(cred, nil)).problem("malformed", 400)

	// What is wrong is told apart in the log, never to the caller.
	var said []string
	refuse := func(cause string, change func(*eab)) {
		t.Helper()
		p := s.client("main").post("/new-account", c.withEAB(cred, change)).problem("unauthorized", 403)
		said = append(said, p.Detail)
		if !strings.Contains(s.log.String(), cause) {
			t.Errorf("the log doesn't say %q", cause)
		}
	}
	c2 := s.client("main")
	refuse("wrong MAC", func(e *eab) { e.mac = make([]byte, 32) })
	refuse("no ACME-ID has this key ID", func(e *eab) { e.kid = "unknown" })
	refuse("another account key", func(e *eab) { e.key = c2.key.Public() })
	s.client("main").post("/new-account", c.withEAB(cred, func(e *eab) { e.url = s.url })).problem("unauthorized", 403)

	c.post("/new-account", c.withEAB(cred, nil)).want(201) // the failures have not used it up
	refuse("have been used", nil)
	if len(slices.Compact(said)) != 1 {
		t.Errorf("the caller can tell the causes apart: %q", said)
	}
	if strings.Contains(s.log.String(), b64(cred.HMACKey)) {
		t.Error("the HMAC key is in the log")
	}
	// The account itself is found again, with or without the binding (§7.3.1).
	kid := c.kid
	c.kid = ""
	c.post("/new-account", `{"onlyReturnExisting":true}`).want(200)
	if c.kid != kid {
		t.Errorf("account is %s, was %s", c.kid, kid)
	}
	s.client("main").post("/new-account", `{"onlyReturnExisting":true}`).problem("accountDoesNotExist", 400)
}

func TestConcurrentRegistrationsHaveOneWinner(t *testing.T) {
	s := newServer(t)
	cred := s.acmeID("www.example.org")
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 8 {
		c := s.client("main")
		body := c.sign(jws{path: "/new-account", payload: c.withEAB(cred, nil), embed: true})
		wg.Go(func() {
			a := c.raw("POST", "/new-account", "application/jose+json", body)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[201] != 1 || statuses[403] != 7 {
		t.Errorf("statuses are %v", statuses)
	}
}

func TestAnACMEIDsNamesAreGrantedAtOnce(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org", "mail.example.org")
	var o order
	a := c.post("/new-order", orderFor("WWW.example.org", "mail.example.org", "www.example.org")).want(201)
	a.json(&o)
	if o.Status != "ready" || len(o.Identifiers) != 2 || len(o.Authorizations) != 2 {
		t.Fatalf("order is %+v", o)
	}
	var z struct {
		Status     string
		Challenges []any
	}
	c.post(o.Authorizations[0], "").want(200).json(&z)
	if z.Status != "valid" || z.Challenges == nil {
		t.Errorf("authorization is %+v", z)
	}

	// A request for other names, or signed by nobody, changes nothing.
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("badCSR", 400)
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org", "mail.example.org", "evil.example.org")).problem("badCSR", 400)
	c.post(o.Finalize, csr(t, c.key, "www.example.org", "mail.example.org")).problem("badCSR", 400)
	c.post(o.Finalize, `{"csr":"AAAA"}`).problem("badCSR", 400)
	c.post(o.Finalize, `{"csr":"!"}`).problem("badCSR", 400)
	s.registered().post(strings.Replace(o.Finalize, "/main/", "/main-open/", 1), csr(t, newKey(t), "www.example.org")).problem("malformed", 404)

	key := newKey(t)
	c.post(o.Finalize, csr(t, key, "www.example.org", "mail.example.org")).want(200).json(&o)
	if o.Status != "valid" || o.Certificate == "" {
		t.Fatalf("order is %+v", o)
	}
	c.post(o.Finalize, csr(t, key, "www.example.org", "mail.example.org")).problem("orderNotReady", 403)

	answer := c.post(o.Certificate, "").want(200)
	if got := answer.header.Get("Content-Type"); got != "application/pem-certificate-chain" {
		t.Errorf("Content-Type %q", got)
	}
	chain, err := certificate.ParseChain(answer.body)
	if err != nil || len(chain) != 2 || !certificate.KeyMatches(chain[0], key) {
		t.Fatalf("chain has %d certificates, %v", len(chain), err)
	}
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(s.root.Certificate)
	above.AddCert(chain[1])
	for _, name := range []string{"www.example.org", "mail.example.org"} {
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: above}); err != nil {
			t.Error(err)
		}
	}
	s.registered("x.example.org").post(o.Certificate, "").problem("malformed", 404)
}

func TestNamesOutsideTheSetAreEachNamed(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	s.acmeID("other.example.org")
	p := c.post("/new-order", orderFor("www.example.org", "other.example.org", "*.example.org")).problem("rejectedIdentifier", 403)
	var named []string
	for _, sub := range p.Subproblems {
		named = append(named, sub.Identifier.Value)
		if sub.Type != "urn:ietf:params:acme:error:rejectedIdentifier" {
			t.Errorf("subproblem is %+v", sub)
		}
	}
	slices.Sort(named)
	if want := []string{"*.example.org", "other.example.org"}; !slices.Equal(named, want) {
		t.Errorf("named %v, want %v", named, want)
	}
	p = c.post("/new-order", `{"identifiers":[{"type":"dns","value":"a_b.example.org"},{"type":"email","value":"x"}]}`).problem("compound", 400)
	if len(p.Subproblems) != 2 {
		t.Errorf("subproblems are %+v", p.Subproblems)
	}
	c.post("/new-order", `{"identifiers":[]}`).problem("malformed", 400)
	c.post("/new-order", `{"identifiers":[{"type":"ip","value":"192.0.2.1"}]}`).problem("unsupportedIdentifier", 400)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.example.org", i)
	}
	c.post("/new-order", orderFor(many...)).problem("rejectedIdentifier", 403)
}

func TestRemovingAHostStopsWhatDependsOnIt(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org", "mail.example.org")
	var o order
	c.post("/new-order", orderFor("www.example.org", "mail.example.org")).want(201).json(&o)
	if err := s.dir.RemoveHost(t.Context(), "mail.example.org"); err != nil {
		t.Fatal(err)
	}
	// Between order and finalize the directory is asked again.
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org", "mail.example.org")).problem("rejectedIdentifier", 403)
	c.obtain("www.example.org")

	if err := s.dir.RemoveHost(t.Context(), "www.example.org"); err != nil {
		t.Fatal(err)
	}
	p := c.post("/new-order", orderFor("www.example.org")).problem("unauthorized", 403)
	if !strings.Contains(p.Detail, "www.example.org") || !strings.Contains(p.Detail, "invalid since") {
		t.Errorf("the client isn't told why: %s", p.Detail)
	}
}

func TestOneFinalizeIsOneCertificate(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 8 {
		body := c.sign(jws{path: o.Finalize, payload: csr(t, newKey(t), "www.example.org")})
		wg.Go(func() {
			a := c.raw("POST", o.Finalize, "application/jose+json", body)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[403] != 7 {
		t.Errorf("statuses are %v", statuses)
	}
	n := 0
	if err := s.store.Certificates(t.Context(), store.Selection{Names: []string{"www.example.org"}, History: true}, func(store.Certificate) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("%d certificates are on record", n)
	}
}

func TestAFailedChallengeEndsTheOrder(t *testing.T) {
	s := newServer(t)
	c := s.registered()
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
	if o.Status != "pending" {
		t.Fatalf("order is %s", o.Status)
	}
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("orderNotReady", 403)
	type authz struct {
		Status     string
		Challenges []struct {
			Type, URL, Status, Token string
			Error                    *problem
		}
	}
	var z authz
	c.post(o.Authorizations[0], "").want(200).json(&z)
	if len(z.Challenges) != 3 {
		t.Fatalf("challenges are %+v", z.Challenges)
	}
	s.registered().post(z.Challenges[0].URL, "{}").problem("malformed", 404)
	a := c.post(z.Challenges[0].URL, "{}").want(200)
	var asked struct{ Status string }
	a.json(&asked)
	if asked.Status == "processing" && a.header.Get("Retry-After") == "" || !strings.Contains(strings.Join(a.header["Link"], " "), o.Authorizations[0]) {
		t.Errorf("header is %v", a.header)
	}
	c.post(o.Authorizations[0], "").want(200).json(&z) // held back until there is a result
	if z.Status != "invalid" || len(z.Challenges) != 1 || z.Challenges[0].Error == nil ||
		z.Challenges[0].Error.Type != "urn:ietf:params:acme:error:connection" {
		t.Fatalf("authorization is %+v", z)
	}
	c.post(strings.TrimSuffix(o.Finalize, "/finalize"), "").want(200).json(&o)
	if o.Status != "invalid" || o.Error == nil {
		t.Errorf("order is %+v", o)
	}

	c.post("/new-order", orderFor("*.example.org")).want(201).json(&o)
	z = authz{}
	c.post(o.Authorizations[0], "").want(200).json(&z)
	if len(z.Challenges) != 1 || z.Challenges[0].Type != "dns-01" {
		t.Errorf("a wildcard has the challenges %+v", z.Challenges)
	}
	c.post(o.Authorizations[0], `{"status":"deactivated"}`).want(200).json(&z)
	if z.Status != "deactivated" {
		t.Errorf("authorization is %s", z.Status)
	}
}

func TestRevocation(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	stranger := s.registered("x.example.org")
	revoke := func(cert *x509.Certificate, reason int) string {
		return fmt.Sprintf(`{"certificate":"%s","reason":%d}`, b64(cert.Raw), reason)
	}
	byAccount, _ := c.obtain("www.example.org")
	byKey, key := c.obtain("www.example.org")

	stranger.post("/revoke-cert", revoke(byAccount, 0)).problem("unauthorized", 403)
	c.post("/revoke-cert", revoke(byAccount, 7)).problem("badRevocationReason", 400)
	c.post("/revoke-cert", revoke(s.root.Certificate, 0)).problem("malformed", 404)
	c.post("/revoke-cert", `{"certificate":"AAAA"}`).problem("malformed", 400)
	c.send(jws{path: "/revoke-cert", payload: revoke(byKey, 1), embed: true, key: newKey(t)}).problem("unauthorized", 403)

	c.post("/revoke-cert", revoke(byAccount, 4)).want(200)
	c.post("/revoke-cert", revoke(byAccount, 4)).problem("alreadyRevoked", 400)
	c.send(jws{path: "/revoke-cert", payload: revoke(byKey, 1), embed: true, key: key}).want(200)

	der, err := revocation.NewPublisher(s.store, revocation.Options{}, s.iss.Signers()...).CRL(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil || crl.CheckSignatureFrom(s.iss.Current().CA) != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range crl.RevokedCertificateEntries {
		got[e.SerialNumber.String()] = e.ReasonCode
	}
	if len(got) != 2 || got[byAccount.SerialNumber.String()] != 4 || got[byKey.SerialNumber.String()] != 1 {
		t.Errorf("the CRL has %v", got)
	}

	// A compromised key is not certified again, nor taken for an account.
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
	c.post(o.Finalize, csr(t, key, "www.example.org")).problem("badCSR", 400)
	bad := s.client("main-open")
	bad.key = key
	bad.post("/new-account", "{}").problem("badPublicKey", 400)
}

func TestRenewalInformation(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org", "mail.example.org")
	cert, _ := c.obtain("www.example.org")
	id := certificate.RenewalID(cert)
	var info struct {
		SuggestedWindow struct{ Start, End time.Time }
	}
	a := c.raw("GET", "/renewal-info/"+id, "", "").want(200)
	a.json(&info)
	w := info.SuggestedWindow
	if a.header.Get("Retry-After") != "21600" || !w.Start.After(time.Now().Add(58*24*time.Hour)) || !w.End.After(w.Start) || w.End.After(cert.NotAfter) {
		t.Errorf("window is %+v, Retry-After %s", w, a.header.Get("Retry-After"))
	}
	for _, bad := range []string{"x", "AAAA.AQ", id + "A"} {
		if a := c.raw("GET", "/renewal-info/"+bad, "", ""); a.status != 400 && a.status != 404 {
			t.Errorf("%s: status %d", bad, a.status)
		}
	}

	replacing := func(names ...string) string {
		return strings.Replace(orderFor(names...), "{", `{"replaces":"`+id+`",`, 1)
	}
	c.post("/new-order", replacing("mail.example.org")).problem("malformed", 400) // no name in common
	s.registered("x.example.org").post("/new-order", replacing("x.example.org")).problem("unauthorized", 403)
	var o, o2 order
	c.post("/new-order", replacing("www.example.org")).want(201).json(&o)
	c.post("/new-order", replacing("www.example.org")).want(201).json(&o2)
	c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).want(200)
	c.post(o2.Finalize, csr(t, newKey(t), "www.example.org")).problem("alreadyReplaced", 409)
	c.post("/new-order", replacing("www.example.org")).problem("alreadyReplaced", 409)

	c.post("/revoke-cert", `{"certificate":"`+b64(cert.Raw)+`"}`).want(200)
	c.raw("GET", "/renewal-info/"+id, "", "").want(200).json(&info)
	if info.SuggestedWindow.End.After(time.Now()) {
		t.Errorf("a revoked certificate's window ends %s, in the future", info.SuggestedWindow.End)
	}
}

func TestAccountLife(t *testing.T) {
	s := newServer(t)
	c := s.registered()
	other := s.registered()
	var acct struct {
		Status  string
		Contact []string
	}
	for contact, kind := range map[string]string{"tel:1": "unsupportedContact", "mailto:a@example.org?x=y": "invalidContact",
		"mailto:a@example.org,b@example.org": "invalidContact", "mailto:nobody": "invalidContact"} {
		c.post(c.kid, `{"contact":["`+contact+`"]}`).problem(kind, 400)
	}
	c.post(c.kid, `{"contact":["mailto:b@example.org"]}`).want(200)
	c.post(c.kid, "").want(200).json(&acct)
	if !slices.Equal(acct.Contact, []string{"mailto:b@example.org"}) {
		t.Errorf("contact is %v", acct.Contact)
	}
	other.post(c.kid, "").problem("unauthorized", 403)

	// Another key (§7.3.5).
	change := func(to *ecdsa.PrivateKey, account string, old *ecdsa.PrivateKey) string {
		jwk, _ := json.Marshal(jose.JSONWebKey{Key: old.Public()})
		return c.sign(jws{path: "/key-change", payload: `{"account":"` + account + `","oldKey":` + string(jwk) + `}`, key: to, embed: true, noNonce: true})
	}
	fresh := newKey(t)
	c.post("/key-change", change(fresh, other.kid, c.key)).problem("malformed", 400)
	c.post("/key-change", change(fresh, c.kid, other.key)).problem("malformed", 400)
	if a := c.post("/key-change", change(other.key, c.kid, c.key)); a.header.Get("Location") != other.kid {
		a.problem("malformed", 409)
		t.Errorf("Location is %q", a.header.Get("Location"))
	}
	c.post("/key-change", change(fresh, c.kid, c.key)).want(200)
	c.post(c.kid, "").problem("malformed", 400) // the old key is good for nothing
	c.key = fresh
	c.post(c.kid, "").want(200)

	c.post(c.kid, `{"status":"revoked"}`).want(200).json(&acct) // is not for clients to say (§7.3.2)
	if acct.Status != "valid" {
		t.Errorf("status is %s", acct.Status)
	}
	c.post(c.kid, `{"status":"deactivated"}`).want(200).json(&acct)
	if acct.Status != "deactivated" {
		t.Errorf("status is %s", acct.Status)
	}
	c.post("/new-order", orderFor("www.example.org")).problem("unauthorized", 401)
}
