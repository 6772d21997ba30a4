package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// split cuts a certificate into its to-be-signed part and the rest.
func split(der []byte) (tbs, rest []byte, err error) {
	in, inner := cryptobyte.String(der), cryptobyte.String(nil)
	var part cryptobyte.String
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Element(&part, asn1.SEQUENCE) {
		return nil, nil, errors.New("not a certificate")
	}
	return part, inner, nil
}

// algorithm cuts the signature algorithm out of a to-be-signed part (RFC 5280
// §4.1.2.3).
func algorithm(tbs []byte) (element []byte, err error) {
	in, inner := cryptobyte.String(tbs), cryptobyte.String(nil)
	var alg cryptobyte.String
	if !in.ReadASN1(&inner, asn1.SEQUENCE) ||
		!inner.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) || // version
		!inner.SkipASN1(asn1.INTEGER) || // serial number
		!inner.ReadASN1Element(&alg, asn1.SEQUENCE) {
		return nil, errors.New("not the to-be-signed part of a certificate")
	}
	return alg, nil
}

// joined is the certificate of a to-be-signed part, its algorithm and its signature.
func joined(tbs, algorithm, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(algorithm)
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// signature signs deterministically where the key allows it. The hash is the one
// that x509.CreateCertificate chooses for the kind of key.
func signature(key crypto.Signer, message []byte) ([]byte, error) {
	hash := crypto.SHA256
	switch pub := key.Public().(type) {
	case ed25519.PublicKey:
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P384():
			hash = crypto.SHA384
		case elliptic.P521():
			hash = crypto.SHA512
		}
	}
	h := hash.New()
	h.Write(message)
	if priv, ok := key.(*ecdsa.PrivateKey); ok {
		return priv.Sign(nil, h.Sum(nil), hash) // no randomness: RFC 6979
	}
	return key.Sign(rand.Reader, h.Sum(nil), hash)
}
