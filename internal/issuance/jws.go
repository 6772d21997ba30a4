package issuance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Account is a key pair registered at the CA. Without a URL, requests carry the
// public key instead.
type Account struct {
	Key crypto.Signer
	URL string
}

// sign makes the JWS of a request (RFC 8555 §6.2); a nil payload is that of
// POST-as-GET.
func sign(a Account, nonce, url string, payload []byte) ([]byte, error) {
	alg, err := algorithm(a.Key)
	if err != nil {
		return nil, err
	}
	opts := (&jose.SignerOptions{NonceSource: source(nonce)}).WithHeader("url", url)
	key := jose.JSONWebKey{Key: a.Key, KeyID: a.URL}
	opts.EmbedJWK = a.URL == ""
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		return nil, err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	return []byte(jws.FullSerialize()), nil
}

type source string

func (s source) Nonce() (string, error) { return string(s), nil }

// algorithm is the one that RFC 7518 §3.1 has for a key.
func algorithm(key crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256, nil
	case *ecdsa.PrivateKey:
		switch k.Params().BitSize {
		case 256:
			return jose.ES256, nil
		case 384:
			return jose.ES384, nil
		case 521:
			return jose.ES512, nil
		}
	}
	return "", fmt.Errorf("a key of type %T cannot sign for an account", key)
}

// Thumbprint names a public key (RFC 7638), as the key authorization of a challenge
// does (RFC 8555 §8.1).
func Thumbprint(key crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// EAB are the credentials that bind an account to a permission at the CA (RFC 8555
// §7.3.4). The key is a secret.
type EAB struct {
	KeyID string
	Key   []byte
	Alg   string // "HS256" (default), "HS384" or "HS512"
}

// ParseEABKey reads an HMAC key, base64url as CAs hand it out, with or without
// padding. The error never has the key in it.
func ParseEABKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	key, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, errors.New("the EAB HMAC key is not base64url (letters, digits, - and _): copy it again from your CA")
	}
	return key, nil
}

// bind makes the JWS that newAccount carries. It is not made by the JOSE library,
// which takes no keys that are shorter than their hash; some CAs hand out such.
func (e *EAB) bind(account crypto.PublicKey, newAccount string) (json.RawMessage, error) {
	hashes := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	alg := e.Alg
	if alg == "" {
		alg = "HS256"
	}
	h, ok := hashes[alg]
	if !ok {
		return nil, fmt.Errorf("unknown EAB algorithm %q: use HS256, HS384 or HS512", e.Alg)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: account})
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{"alg": alg, "kid": e.KeyID, "url": newAccount})
	if err != nil {
		return nil, err
	}
	protected, payload := b64(header), b64(jwk)
	mac := hmac.New(h, e.Key)
	mac.Write([]byte(protected + "." + payload))
	return json.Marshal(map[string]string{"protected": protected, "payload": payload, "signature": b64(mac.Sum(nil))})
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
