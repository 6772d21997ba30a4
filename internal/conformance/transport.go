package conformance

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
)

// transport are the rules of RFC 8555 §6 about requests as such. The account resource
// stands for all that are signed by an account.
var transport = []Case{
	must("6.1", "every URL of the directory is an https URL", httpsOnly),
	must("6.1", "a base64url value with trailing = is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) { j["signature"] = j["signature"].(string) + "==" }
	})),
	should("6.1", "the directory may be read by scripts of other origins (Access-Control-Allow-Origin: *)", func(c *check) {
		got := c.fetch("GET", c.o.Directory).header.Get("Access-Control-Allow-Origin")
		c.ok(got == "*", "Access-Control-Allow-Origin is %q", got)
	}),
	must("6.2", "a request with a signature that does not verify is refused", spoiled(func(m *message) { m.sign = stranger().sign })),
	must("6.2", "a request with a changed payload is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) { j["payload"] = b64([]byte(`{"status":"deactivated"}`)) }
	})),
	must("6.2", "a request that is not signed at all is refused", spoiled(func(m *message) {
		m.raw = func([]byte) []byte { return []byte(`{"contact":[]}`) }
	})),
	must("6.2", "an empty signature is refused", spoiled(func(m *message) { m.sign = func([]byte) []byte { return nil } })),
	must("6.2", "a JWS in compact serialization is refused", spoiled(func(m *message) {
		var parts []string
		m.edit = func(j map[string]any) {
			parts = []string{j["protected"].(string), j["payload"].(string), j["signature"].(string)}
		}
		m.raw = func([]byte) []byte { return []byte(strings.Join(parts, ".")) }
	})),
	must("6.2", "a JWS with several signatures is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) {
			one := map[string]any{"protected": j["protected"], "signature": j["signature"]}
			j["signatures"] = []any{one, one}
			delete(j, "protected")
			delete(j, "signature")
		}
	})),
	must("6.2", "a JWS with a list of one signature, in general serialization, is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) {
			j["signatures"] = []any{map[string]any{"protected": j["protected"], "signature": j["signature"]}}
			delete(j, "protected")
			delete(j, "signature")
		}
	})),
	must("6.2", "a JWS with an unprotected header is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) { j["header"] = map[string]any{"typ": "JOSE"} }
	})),
	must("6.2", "a JWS with its key ID only in the unprotected header is refused", spoiled(func(m *message) {
		kid := m.header["kid"]
		delete(m.header, "kid")
		m.edit = func(j map[string]any) { j["header"] = map[string]any{"kid": kid} }
	})),
	must("6.2", "a JWS without payload member (detached) is refused", spoiled(func(m *message) {
		m.edit = func(j map[string]any) { delete(j, "payload") }
	})),
	must("6.2", "the unencoded payload option (b64: false) is refused", spoiled(func(m *message) {
		m.header["b64"], m.header["crit"] = false, []string{"b64"}
	})),
	must("6.2", "a critical header parameter that is unknown is refused (RFC 7515 §4.1.11)", spoiled(func(m *message) {
		m.header["crit"], m.header["test.invalid/x"] = []string{"test.invalid/x"}, 1
	})),
	must("6.2", "alg none is refused as badSignatureAlgorithm, with status 400 and the list of algorithms", wrongAlgorithm("none", func([]byte) []byte { return nil })),
	must("6.2", "a MAC algorithm is refused as badSignatureAlgorithm, with status 400 and the list of algorithms", wrongAlgorithm("HS256", mac([]byte("0123456789abcdef0123456789abcdef")))),
	must("6.2", "an unknown algorithm is refused as badSignatureAlgorithm, with status 400 and the list of algorithms", wrongAlgorithm("XX999", nil)),
	must("6.2", "a JWS without alg is refused", spoiled(func(m *message) { delete(m.header, "alg") })),
	must("6.2", "ES256 is accepted", func(c *check) { c.post(c.account(), c.account().url, nil).want(http.StatusOK) }),
	should("6.2", "EdDSA with Ed25519 is accepted", edwards),
	must("6.2", "a header with both jwk and kid is refused", spoiled(func(m *message) { m.header["jwk"] = stranger().jwk() })),
	must("6.2", "a header with neither jwk nor kid is refused", spoiled(func(m *message) { delete(m.header, "kid") })),
	must("6.2", "jwk in the place of kid is refused", func(c *check) {
		a := c.account()
		c.post(a, a.url, nil, func(m *message) { delete(m.header, "kid"); m.header["jwk"] = a.jwk() }).refused()
	}),
	must("6.2", "newAccount with kid in the place of jwk is refused", func(c *check) {
		c.post(c.account(), c.dir.NewAccount, registration{"onlyReturnExisting": true}).refused()
	}),
	must("6.2", "the kid of an account that there is not is refused", func(c *check) {
		c.post(c.account(), c.dir.NewOrder, forNames("example.org"), func(m *message) { m.header["kid"] = c.account().url + "0000000" }).refused()
	}),
	must("6.2", "a request signed by another account's key than kid says is refused", func(c *check) {
		c.post(c.account(), c.account().url, nil, func(m *message) { m.sign = c.second().sign }).refused()
	}),
	must("6.2", "a weak key, if it is refused, is refused with status 400 as badPublicKey", weakKey),
	must("6.2", "another content type than application/jose+json gets status 415", func(c *check) {
		c.post(c.account(), c.account().url, nil, func(m *message) { m.contentType = "application/json" }).want(http.StatusUnsupportedMediaType)
	}),
	must("6.3", "GET of an account gets status 405 as malformed", func(c *check) { c.noGET(c.account().url) }),
	must("6.3", "GET of newAccount gets status 405 as malformed", func(c *check) { c.noGET(c.dir.NewAccount) }),
	must("6.3", "GET of newOrder gets status 405 as malformed", func(c *check) { c.noGET(c.dir.NewOrder) }),
	must("6.3", "GET of an order gets status 405 as malformed", func(c *check) {
		c.noGET(c.order(c.account(), forNames(c.domain())).url)
	}),
	must("6.3", "GET of an authorization gets status 405 as malformed", func(c *check) {
		c.noGET(c.order(c.account(), forNames(c.domain())).Authorizations[0])
	}),
	must("6.3", "GET of a certificate gets status 405 as malformed", func(c *check) { c.noGET(c.certificate().order.Certificate) }),
	must("6.3", "POST-as-GET of the directory is as good as GET", func(c *check) {
		c.post(c.account(), c.o.Directory, nil).want(http.StatusOK)
	}),
	must("6.3", "POST-as-GET of newNonce is as good as GET", func(c *check) {
		c.ok(c.post(c.account(), c.dir.NewNonce, nil).status < 300, "the server refuses it")
	}),
	must("6.3", "another account's order can't be read by POST-as-GET", func(c *check) {
		c.post(c.second(), c.order(c.account(), forNames(c.domain())).url, nil).refused()
	}),
	must("6.3", "another account can't be read by POST-as-GET", func(c *check) {
		c.post(c.second(), c.account().url, nil).refused()
	}),
	must("6.4", "a url in the header that is not the request's is refused as unauthorized", func(c *check) {
		c.post(c.account(), c.account().url, nil, func(m *message) { m.header["url"] = c.dir.NewOrder }).refused("unauthorized")
	}),
	must("6.4", "a url that differs in its query only is refused as unauthorized", func(c *check) {
		c.post(c.account(), c.account().url, nil, func(m *message) { m.header["url"] = m.url + "?x=1" }).refused("unauthorized")
	}),
	must("6.4", "a JWS without url is refused", spoiled(func(m *message) { delete(m.header, "url") })),
	must("6.4.1", "a url that is not a string is refused", spoiled(func(m *message) { m.header["url"] = []string{m.url} })),
	must("6.4.1", "a url in the unprotected header is no url", spoiled(func(m *message) {
		delete(m.header, "url")
		m.edit = func(j map[string]any) { j["header"] = map[string]any{"url": m.url} }
	})),
	must("6.5", "a nonce that the server has not given out gets status 400, badNonce and a fresh nonce", func(c *check) {
		c.badNonce(func(m *message) { m.header["nonce"] = b64([]byte("not from this server")) }, "badNonce")
	}),
	must("6.5", "a request without nonce gets status 400, badNonce and a fresh nonce", func(c *check) {
		c.badNonce(func(m *message) { delete(m.header, "nonce") }, "badNonce")
	}),
	must("6.5", "a nonce is good for one request only", replayedNonce),
	must("6.5", "the nonce of a badNonce answer is accepted in the retry", nonceOfRefusal),
	must("6.5.1", "nonces are base64url and no two are the same", noncesDiffer),
	must("6.5.2", "a nonce that is not base64url is refused as malformed", func(c *check) {
		c.badNonce(func(m *message) { m.header["nonce"] = "not/base64+url!=" }, "malformed")
	}),
}

// spoiled makes a case: the shared account fetches itself by a message that is
// spoiled, which must be refused.
func spoiled(by change) func(*check) {
	return func(c *check) {
		a := c.account()
		c.post(a, a.url, nil, by, func(m *message) { m.keepNonce = true }).refused()
	}
}

func httpsOnly(c *check) {
	for _, u := range []string{c.o.Directory, c.dir.NewNonce, c.dir.NewAccount, c.dir.NewOrder, c.dir.RevokeCert, c.dir.KeyChange} {
		c.ok(strings.HasPrefix(u, "https://"), "%q is not an https URL", u)
	}
}

func wrongAlgorithm(alg string, sign func([]byte) []byte) func(*check) {
	return func(c *check) {
		a := c.account()
		ans := c.post(a, a.url, nil, func(m *message) {
			m.header["alg"] = alg
			if sign != nil {
				m.sign = sign
			}
		}).refusedWith(http.StatusBadRequest, "badSignatureAlgorithm")
		c.ok(len(ans.problem().Algorithms) > 0, `the problem has no "algorithms"`)
	}
}

// edwards looks up an account, which there is not, by a key of Ed25519.
func edwards(c *check) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	c.ok(err == nil, "%v", err)
	c.post(stranger(), c.dir.NewAccount, registration{"onlyReturnExisting": true}, func(m *message) {
		m.header["alg"], m.header["jwk"] = "EdDSA", map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
		m.sign = signWith(private)
	}).refused("accountDoesNotExist")
}

// weakKey registers an RSA key of 1024 bits. A server may take it.
func weakKey(c *check) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		c.skip("no such key can be made here: %v", err)
	}
	payload := registration{"termsOfServiceAgreed": true}
	if c.dir.Meta.Bound {
		payload = registration{"onlyReturnExisting": true}
	}
	ans := c.post(stranger(), c.dir.NewAccount, payload, func(m *message) {
		m.header["alg"] = "RS256"
		m.header["jwk"] = map[string]string{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
		m.sign = signWith(key)
	})
	if ans.status < 300 || ans.problem().short() == "accountDoesNotExist" {
		c.skip("the server does not refuse an RSA key of 1024 bits here")
	}
	ans.refusedWith(http.StatusBadRequest, "badPublicKey")
}

func (c *check) noGET(url string) {
	c.fetch("GET", url).refusedWith(http.StatusMethodNotAllowed, "malformed")
}

// badNonce sends a request with a nonce that won't do.
func (c *check) badNonce(by change, kind string) {
	a := c.account()
	ans := c.post(a, a.url, nil, by, func(m *message) { m.keepNonce = true }).refusedWith(http.StatusBadRequest, kind)
	c.ok(kind != "badNonce" || ans.header.Get("Replay-Nonce") != "", "the answer has no Replay-Nonce")
}

func replayedNonce(c *check) {
	a := c.account()
	var used string
	c.post(a, a.url, nil, func(m *message) { used = m.header["nonce"].(string) }).want(http.StatusOK)
	c.badNonce(func(m *message) { m.header["nonce"] = used }, "badNonce")
}

func nonceOfRefusal(c *check) {
	a := c.account()
	c.badNonce(func(m *message) { m.header["nonce"] = b64([]byte("not from this server")) }, "badNonce")
	c.post(a, a.url, nil).want(http.StatusOK) // with the nonce of the answer before
}

func noncesDiffer(c *check) {
	had := make(map[string]bool)
	for range 20 {
		n := c.fetch("HEAD", c.dir.NewNonce).header.Get("Replay-Nonce")
		_, err := base64.RawURLEncoding.DecodeString(n)
		c.ok(n != "" && err == nil, "%q is not base64url", n)
		c.ok(!had[n], "the nonce %q came twice", n)
		had[n] = true
	}
}
