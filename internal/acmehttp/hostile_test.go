package acmehttp_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

// embedding signs with a JWK in the header that has more than the key.
func (c *client) embedding(path, payload string, also map[string]any) answer {
	c.t.Helper()
	data, err := json.Marshal(jose.JSONWebKey{Key: c.key.Public()})
	if err != nil {
		c.t.Fatal(err)
	}
	jwk := make(map[string]any)
	if err := json.Unmarshal(data, &jwk); err != nil {
		c.t.Fatal(err)
	}
	for k, v := range also {
		jwk[k] = v
	}
	o := new(jose.SignerOptions).WithHeader("url", c.at(path)).WithHeader("nonce", c.nonce()).WithHeader("jwk", jwk)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, o)
	if err != nil {
		c.t.Fatal(err)
	}
	sig, err := signer.Sign([]byte(payload))
	if err != nil {
		c.t.Fatal(err)
	}
	return c.raw("POST", path, "application/jose+json", sig.FullSerialize())
}

func TestOfAnAccountsKeyNothingElseIsKept(t *testing.T) {
	s := newServer(t)
	c := s.client("main-open")
	c.embedding("/new-account", "{}", map[string]any{"kid": strings.Repeat("x", 4000), "use": "sig"}).want(201)
	a, err := s.store.AccountByKey(t.Context(), "main-open", thumbprint(t, c.key))
	if err != nil || len(a.JWK) > 300 || strings.Contains(string(a.JWK), "xxx") {
		t.Errorf("the key is kept in %d bytes, %v: %.300s", len(a.JWK), err, a.JWK)
	}
}

func TestTheHeaderOfARequestIsBounded(t *testing.T) {
	c := newServer(t).client("main-open")
	p := c.embedding("/new-account", "{}", map[string]any{"kid": strings.Repeat("x", 7000)}).problem("malformed", 400)
	if !strings.Contains(p.Detail, "8192") {
		t.Error(p.Detail)
	}
}

func TestOfABindingNothingElseIsKept(t *testing.T) {
	s := newServer(t)
	cred := s.acmeID("www.example.org")
	c := s.client("main")
	payload := strings.Replace(c.withEAB(cred, nil), `"externalAccountBinding":{`, "\"externalAccountBinding\":{\"also\":\"\xff"+strings.Repeat("x", 4000)+"\",", 1)
	var account struct{ ExternalAccountBinding map[string]string }
	c.post("/new-account", payload).want(201).json(&account)
	b := account.ExternalAccountBinding
	if len(b) != 3 || b["protected"] == "" || b["payload"] == "" || b["signature"] == "" {
		t.Errorf("the account shows the binding %.300v", b)
	}
}

// As after a change of the configuration: a directory gets the name of another.
func TestAnAccountIsNoneOfADirectoryOfAnotherKind(t *testing.T) {
	s := newServer(t, staged(t))
	s.acmeID("www.example.org")
	for dir, a := range map[string]store.Account{"main": {}, "main-open": {Staging: true}, "main-staging": {Staging: true}} {
		c := s.client(dir)
		jwk, err := json.Marshal(jose.JSONWebKey{Key: c.key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		a.Directory, a.Thumbprint, a.JWK, a.Status, a.Created = dir, thumbprint(t, c.key), jwk, acme.Valid, time.Now()
		if err := s.store.NewAccount(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
		c.post("/new-account", `{"onlyReturnExisting":true}`).problem("unauthorized", 403)
		c.kid = fmt.Sprintf("%s/acme/%s/acct/%d", s.url, dir, a.ID)
		c.post("/new-order", orderFor("www.example.org")).problem("unauthorized", 403)
	}
}

// Each of requests that end something at once gets an answer, none a failure.
func TestRequestsThatEndTheSameAtOnceAreAnswered(t *testing.T) {
	c := newServer(t).registered()
	for range 10 {
		var o order
		c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
		var all sync.WaitGroup
		var done atomic.Int32
		for range 8 {
			body := c.sign(jws{path: o.Authorizations[0], payload: `{"status":"deactivated"}`})
			all.Go(func() {
				switch a := c.raw("POST", o.Authorizations[0], "application/jose+json", body); a.status {
				case 200:
					done.Add(1)
				case 400:
				default:
					t.Errorf("status %d: %s", a.status, a.body)
				}
			})
		}
		all.Wait()
		if n := done.Load(); n != 1 {
			t.Errorf("%d requests deactivated the authorization", n)
		}
	}
}

func TestRegistrationsOfOneKeyAtOnceAreAnswered(t *testing.T) {
	s := newServer(t, staged(t))
	cred := s.acmeID("www.example.org")
	for _, dir := range []string{"main-staging", "main-open", "main"} {
		c := s.client(dir)
		payload := "{}"
		if dir != "main-open" {
			payload = c.withEAB(cred, nil)
		}
		var all sync.WaitGroup
		var made atomic.Int32
		for range 8 {
			body := c.sign(jws{path: "/new-account", payload: payload, embed: true})
			all.Go(func() {
				switch a := c.raw("POST", "/new-account", "application/jose+json", body); a.status {
				case 201:
					made.Add(1)
				case 200, 403, 409:
				default:
					t.Errorf("%s: status %d: %s", dir, a.status, a.body)
				}
			})
		}
		all.Wait()
		if n := made.Load(); n != 1 {
			t.Errorf("%s: %d accounts", dir, n)
		}
	}
}

// Who has stolen an account's key must neither issue with it nor take the account over.
func TestAnAccountWhoseKeyIsBlockedIssuesNothing(t *testing.T) {
	s := newServer(t)
	c := s.registered("www.example.org")
	var o order
	c.post("/new-order", orderFor("www.example.org")).want(201).json(&o)
	spki, err := x509.MarshalPKIXPublicKey(c.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	if err := s.store.BlockKeyFor(t.Context(), sum[:], "stolen", time.Now()); err != nil {
		t.Fatal(err)
	}
	if p := c.post(o.Finalize, csr(t, newKey(t), "www.example.org")).problem("unauthorized", 403); !strings.Contains(p.Detail, "account's key is blocked") {
		t.Error(p.Detail)
	}
	thief := newKey(t)
	old, err := json.Marshal(jose.JSONWebKey{Key: c.key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	inner := c.sign(jws{path: "/key-change", payload: fmt.Sprintf(`{"account":%q,"oldKey":%s}`, c.kid, old), embed: true, key: thief, noNonce: true})
	c.post("/key-change", inner).problem("unauthorized", 403)
}
