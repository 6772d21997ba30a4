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
	"math/big"
	"strings"
)

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

// bind makes the JWS that newAccount carries.
func (e *EAB) bind(account crypto.PublicKey, newAccount string) (json.RawMessage, error) {
	hashes := map[string]func() hash.Hash{"": sha256.New, "HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	h, ok := hashes[e.Alg]
	if !ok {
		return nil, fmt.Errorf("unknown EAB algorithm %q: use HS256, HS384 or HS512", e.Alg)
	}
	alg := e.Alg
	if alg == "" {
		alg = "HS256"
	}
	jwk, err := publicJWK(account)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{"alg": alg, "kid": e.KeyID, "url": newAccount})
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	protected, payload := b64(header), b64(jwk)
	mac := hmac.New(h, e.Key)
	mac.Write([]byte(protected + "." + payload))
	return json.Marshal(map[string]string{"protected": protected, "payload": payload, "signature": b64(mac.Sum(nil))})
}

// publicJWK is RFC 7517's form of a key.
func publicJWK(pub crypto.PublicKey) ([]byte, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return json.Marshal(map[string]string{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())})
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil {
			return nil, err
		}
		half := len(raw) / 2
		return json.Marshal(map[string]string{"kty": "EC", "crv": pub.Params().Name, "x": b64(raw[1 : 1+half]), "y": b64(raw[1+half:])})
	}
	return nil, fmt.Errorf("an account key of type %T is not supported", pub)
}
