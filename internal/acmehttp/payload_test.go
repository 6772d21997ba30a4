package acmehttp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"vidimus/internal/acmehttp"
)

// FuzzPayload: whatever an account sends to a resource, signed as it should be, it gets
// an answer or a problem that it can act on; never a failure of the server.
func FuzzPayload(f *testing.F) {
	account := newServer(f, func(c *acmehttp.Config) { c.Endpoints[1].Subdomains = true }).registered()
	var o order
	place := account.post("/new-order", orderFor("www.example.org"))
	place.want(201).json(&o)
	var authz struct{ Challenges []struct{ URL string } }
	account.post(o.Authorizations[0], "").want(200).json(&authz)
	paths := []string{"/new-account", "/new-order", "/new-authz", "/key-change", "/revoke-cert", account.kid, account.kid + "/orders",
		place.header.Get("Location"), o.Finalize, o.Authorizations[0], authz.Challenges[0].URL, "/cert/1", "/cert/1/1"}
	// What decides about an object once is not wanted: the next payload would find it so.
	ends := map[string]string{"deactivated": "", "processing": ""}

	for i := range paths {
		for _, s := range []string{"", "{}", "[]", "null", `{"status":"valid"}`, `{"identifiers":[{"type":"ip","value":"127.0.0.1"}],"notBefore":"2030-01-01T00:00:00Z"}`,
			`{"identifiers":[{"type":"dns","value":"*.example.org"}],"replaces":"AA.AA","profile":"x"}`, `{"identifier":{"type":"dns","value":"example.org","subdomainAuthAllowed":true}}`,
			`{"identifiers":[{"type":"dns","value":"a.example.org","ancestorDomain":"example.org"}],"notAfter":"2030-01-01T00:00:00Z"}`,
			`{"csr":"AAAA"}`, `{"certificate":"AAAA","reason":1}`, `{"contact":["mailto:a@example.org"],"termsOfServiceAgreed":true,"externalAccountBinding":{}}`,
			`{"payload":"","signature":"","protected":""}`} {
			f.Add(byte(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, path byte, payload string) {
		for word := range ends {
			if strings.Contains(payload, word) {
				return
			}
		}
		server := *account.server
		server.t = t
		c := &client{server: &server, dir: account.dir, key: account.key, kid: account.kid}
		at := paths[int(path)%len(paths)]
		if at == authz.Challenges[0].URL && payload != "" {
			return // would begin a validation
		}
		r := jws{path: at, payload: payload}
		if at == "/new-account" {
			r.embed = true
		}
		a := c.send(r)
		if a.status >= 500 {
			t.Errorf("%s with %q: status %d: %s", at, payload, a.status, a.body)
		}
		if a.status >= 400 {
			var p struct{ Type, Detail string }
			if err := json.Unmarshal(a.body, &p); err != nil || !strings.HasPrefix(p.Type, "urn:ietf:params:acme:error:") || p.Detail == "" {
				t.Errorf("%s with %q: no problem that says something: %s", at, payload, a.body)
			}
		}
	})
}
