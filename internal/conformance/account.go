package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
)

// account is a key, and the URL of its account once there is one.
type account struct {
	key *ecdsa.PrivateKey
	url string
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return key
}

// stranger has a key and no account.
func stranger() *account { return &account{key: newKey()} }

func (a *account) sign(input []byte) []byte { return signWith(a.key)(input) }

// jwk is the public key (RFC 7517).
func (a *account) jwk() map[string]string {
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		panic("conformance: " + err.Error())
	}
	return map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// thumbprint is that of RFC 7638; JSON sorts the members of a map as it wants them.
func (a *account) thumbprint() string {
	sum := sha256.Sum256(toJSON(a.jwk()))
	return b64(sum[:])
}

// registration is the payload of a newAccount request.
type registration map[string]any

// registration agrees to the terms, and binds the account where that is wanted.
func (c *check) registration(a *account) registration {
	r := registration{"termsOfServiceAgreed": true}
	if c.dir.Meta.Bound {
		if len(c.eab) == 0 {
			c.skip("one more account is needed, and there are no more EAB credentials; give --eab-kid and --eab-hmac-key-file once more")
		}
		r["externalAccountBinding"] = c.binding(a, c.eab[0])
		c.eab = c.eab[1:]
	}
	return r
}

// binding is an external account binding (RFC 8555 §7.3.4).
func (c *check) binding(a *account, with Credentials, changes ...change) any {
	m := &message{header: map[string]any{"alg": "HS256", "kid": with.KID, "url": c.dir.NewAccount}, payload: toJSON(a.jwk()), sign: mac(with.Key)}
	for _, change := range changes {
		change(m)
	}
	return rawJSON(m.jws())
}

// rawJSON is marshalled as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// register makes an account for the key.
func (c *check) register(a *account) *answer {
	ans := c.post(a, c.dir.NewAccount, c.registration(a)).want(http.StatusCreated)
	a.url = ans.header.Get("Location")
	c.ok(a.url != "", "newAccount answers without a Location")
	return ans
}

// fresh is an account that the case may change.
func (c *check) fresh() *account {
	a := stranger()
	c.register(a)
	return a
}

// account is the one that most cases share. They leave it as it is.
func (c *check) account() *account {
	if c.shared == nil {
		c.shared = c.fresh()
	}
	return c.shared
}

// second is another account, that cases share too.
func (c *check) second() *account {
	if c.other == nil {
		c.other = c.fresh()
	}
	return c.other
}
