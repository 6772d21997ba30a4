package account

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// jwk is a private key as RFC 7518 §6.2 and §6.3 have it.
type jwk struct {
	Type  string `json:"kty"`
	Curve string `json:"crv,omitempty"`
	X     string `json:"x,omitempty"`
	Y     string `json:"y,omitempty"`
	D     string `json:"d"`
	N     string `json:"n,omitempty"`
	E     string `json:"e,omitempty"`
	P     string `json:"p,omitempty"`
	Q     string `json:"q,omitempty"`
	DP    string `json:"dp,omitempty"`
	DQ    string `json:"dq,omitempty"`
	QI    string `json:"qi,omitempty"`
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func marshalKey(key crypto.Signer) ([]byte, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		pub, err := key.PublicKey.Bytes() // 4, X, Y: SEC 1 §2.3.3
		if err != nil {
			return nil, err
		}
		d, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		half := len(pub) / 2
		return json.Marshal(jwk{Type: "EC", Curve: key.Params().Name, X: b64(pub[1 : 1+half]), Y: b64(pub[1+half:]), D: b64(d)})
	case *rsa.PrivateKey:
		key.Precompute()
		return json.Marshal(jwk{Type: "RSA", N: b64(key.N.Bytes()), E: b64(big.NewInt(int64(key.E)).Bytes()),
			D: b64(key.D.Bytes()), P: b64(key.Primes[0].Bytes()), Q: b64(key.Primes[1].Bytes()),
			DP: b64(key.Precomputed.Dp.Bytes()), DQ: b64(key.Precomputed.Dq.Bytes()), QI: b64(key.Precomputed.Qinv.Bytes())})
	}
	return nil, fmt.Errorf("an account key of type %T is not supported", key)
}

// maxKeyBits keeps a hostile file from costing minutes of arithmetic.
const maxKeyBits = 16384

// parseKey reads an RSA or EC private key.
func parseKey(data []byte) (crypto.Signer, error) {
	var k jwk
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, err
	}
	switch k.Type {
	case "EC":
		curve, ok := curves[k.Curve]
		if !ok {
			return nil, fmt.Errorf("unknown elliptic curve %q", k.Curve)
		}
		d, err := base64.RawURLEncoding.DecodeString(k.D)
		if err != nil {
			return nil, errors.New("\"d\" is not base64url")
		}
		size := (curve.Params().BitSize + 7) / 8
		if len(d) > size {
			return nil, errors.New("\"d\" is too long for its curve")
		}
		key, err := ecdsa.ParseRawPrivateKey(curve, append(make([]byte, size-len(d)), d...))
		if err != nil {
			return nil, err
		}
		return key, nil
	case "RSA":
		return parseRSA(k)
	}
	return nil, fmt.Errorf("a key of type %q is neither EC nor RSA", k.Type)
}

func parseRSA(k jwk) (crypto.Signer, error) {
	var nums [5]*big.Int
	for i, s := range []string{k.N, k.E, k.D, k.P, k.Q} {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(b) == 0 || len(b) > maxKeyBits/8 {
			return nil, errors.New("a number of the RSA key is missing or not base64url")
		}
		nums[i] = new(big.Int).SetBytes(b)
	}
	if nums[1].BitLen() > 31 {
		return nil, errors.New("the RSA key's exponent is too large")
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: nums[0], E: int(nums[1].Int64())}, D: nums[2], Primes: nums[3:5]}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	return key, nil
}
