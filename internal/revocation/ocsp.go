package revocation

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // for RFC 6960's CertIDs; nothing is signed with it
	"crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"vidimus/internal/acme"
)

// golang.org/x/crypto/ocsp, which the tests read responses with, neither reads nor
// answers a nonce and takes the time from the machine; hence this file.

const (
	maxNonce    = 128 // bytes (RFC 9654 §2.1)
	maxQuestion = 16  // certificates in one request
)

var (
	oidBasic   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidWithSHA = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2} // ecdsa-with-SHA256

	hashes = map[string]crypto.Hash{
		"1.3.14.3.2.26":          crypto.SHA1,
		"2.16.840.1.101.3.4.2.1": crypto.SHA256,
		"2.16.840.1.101.3.4.2.2": crypto.SHA384,
		"2.16.840.1.101.3.4.2.3": crypto.SHA512,
	}
)

// question is an OCSP request (RFC 6960 §4.1).
type question struct {
	certs []certID
	nonce []byte // nil for none
}

// certID names a certificate by its issuer's name and key and its serial number.
type certID struct {
	raw      []byte      // as the client wrote it, for the answer
	hash     crypto.Hash // 0 when it is none that is known
	nameHash []byte
	keyHash  []byte
	serial   *big.Int
}

// parseQuestion reads a request. A signature on it is not looked at: answers are the
// same for everybody.
func parseQuestion(der []byte) (q question, err error) {
	in, request, tbs, list := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil), cryptobyte.String(nil)
	if !in.ReadASN1(&request, cbasn1.SEQUENCE) || !in.Empty() ||
		!request.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!request.SkipOptionalASN1(explicit(0)) || !request.Empty() ||
		!tbs.SkipOptionalASN1(explicit(0)) || // version
		!tbs.SkipOptionalASN1(explicit(1)) || // requestorName
		!tbs.ReadASN1(&list, cbasn1.SEQUENCE) {
		return q, errors.New("not an OCSP request")
	}
	for !list.Empty() {
		if len(q.certs) == maxQuestion {
			return q, fmt.Errorf("more than %d certificates in one request", maxQuestion)
		}
		id, err := readCertID(&list)
		if err != nil {
			return q, err
		}
		q.certs = append(q.certs, id)
	}
	if len(q.certs) == 0 {
		return q, errors.New("no certificate in the request")
	}
	q.nonce, err = readExtensions(&tbs, 2)
	if err == nil && !tbs.Empty() {
		err = errors.New("more behind the request")
	}
	return q, err
}

func explicit(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

func readCertID(list *cryptobyte.String) (id certID, err error) {
	var one, element, inner, algorithm, nameHash, keyHash cryptobyte.String
	var oid asn1.ObjectIdentifier
	id.serial = new(big.Int)
	if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1Element(&element, cbasn1.SEQUENCE) {
		return id, errors.New("no CertID in the request")
	}
	id.raw = element
	if !element.ReadASN1(&inner, cbasn1.SEQUENCE) ||
		!inner.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!algorithm.SkipOptionalASN1(cbasn1.NULL) || !algorithm.Empty() ||
		!inner.ReadASN1(&nameHash, cbasn1.OCTET_STRING) || !inner.ReadASN1(&keyHash, cbasn1.OCTET_STRING) ||
		!inner.ReadASN1Integer(id.serial) || !inner.Empty() {
		return id, errors.New("a CertID that can't be read")
	}
	id.hash, id.nameHash, id.keyHash = hashes[oid.String()], nameHash, keyHash
	if _, err := readExtensions(&one, 0); err != nil || !one.Empty() {
		return id, errors.New("extensions of a CertID that can't be read")
	}
	return id, nil
}

// readExtensions reads the extensions under a tag, if there are any, and finds the
// nonce in them.
func readExtensions(in *cryptobyte.String, tag uint8) (nonce []byte, err error) {
	var outer, list cryptobyte.String
	var present bool
	if !in.ReadOptionalASN1(&outer, &present, explicit(tag)) || present && (!outer.ReadASN1(&list, cbasn1.SEQUENCE) || !outer.Empty()) {
		return nil, errors.New("extensions that can't be read")
	}
	for !list.Empty() {
		var one, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&oid) ||
			one.PeekASN1Tag(cbasn1.BOOLEAN) && !one.ReadASN1Boolean(&critical) ||
			!one.ReadASN1(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, errors.New("an extension that can't be read")
		}
		switch {
		case oid.Equal(oidNonce):
			var n cryptobyte.String
			if nonce != nil || !value.ReadASN1(&n, cbasn1.OCTET_STRING) || !value.Empty() || len(n) == 0 || len(n) > maxNonce {
				return nil, fmt.Errorf("the nonce is not one of 1 to %d bytes", maxNonce)
			}
			nonce = n
		case critical:
			return nil, fmt.Errorf("the critical extension %s is not known here", oid)
		}
	}
	return nonce, nil
}

// is tells whether a certificate of the CA is meant.
func (id certID) is(ca hashedCA) bool {
	h, ok := ca[id.hash]
	return ok && bytes.Equal(h.name, id.nameHash) && bytes.Equal(h.key, id.keyHash)
}

// hashedCA are the hashes by which CertIDs name a CA.
type hashedCA map[crypto.Hash]struct{ name, key []byte }

func hashCA(rawSubject, rawSPKI []byte) (hashedCA, error) {
	in, spki := cryptobyte.String(rawSPKI), cryptobyte.String(nil)
	var key []byte
	if !in.ReadASN1(&spki, cbasn1.SEQUENCE) || !spki.SkipASN1(cbasn1.SEQUENCE) || !spki.ReadASN1BitStringAsBytes(&key) {
		return nil, errors.New("the public key of the CA can't be read")
	}
	all := make(hashedCA)
	for _, h := range hashes {
		name, k := h.New(), h.New()
		name.Write(rawSubject)
		k.Write(key)
		all[h] = struct{ name, key []byte }{name.Sum(nil), k.Sum(nil)}
	}
	return all, nil
}

// status is what is answered about one certificate.
type status struct {
	id      []byte // CertID in DER
	known   bool   // false: unknown
	revoked time.Time
	reason  acme.RevocationReason
}

// response is what is signed (RFC 6960 §4.2.1).
type response struct {
	responder  []byte // SHA-1 of its public key
	produced   time.Time
	thisUpdate time.Time
	nextUpdate time.Time
	statuses   []status
	nonce      []byte
}

func (r response) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.responder) })
		b.AddASN1GeneralizedTime(r.produced)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, s := range r.statuses {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { r.addStatus(b, s) })
			}
		})
		if r.nonce == nil {
			return
		}
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidNonce)
					b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.nonce) })
				})
			})
		})
	})
	return b.Bytes()
}

func (r response) addStatus(b *cryptobyte.Builder, s status) {
	b.AddBytes(s.id)
	switch {
	case !s.known:
		b.AddASN1(cbasn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	case s.revoked.IsZero():
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	default:
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(s.revoked)
			if s.reason != 0 { // as in CRLs, none is better than "unspecified" (RFC 5280 §5.3.1)
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.reason)) })
			}
		})
	}
	b.AddASN1GeneralizedTime(r.thisUpdate)
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(r.nextUpdate) })
}

// sign completes the response, with the certificate of the key, which is on P-256.
func (r response) sign(key crypto.Signer, certificate []byte) ([]byte, error) {
	data, err := r.marshal()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	sig, err := key.Sign(nil, sum[:], crypto.SHA256) // deterministic (RFC 6979)
	if err != nil {
		return nil, err
	}
	var basic cryptobyte.Builder
	basic.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(data)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidWithSHA) })
		b.AddASN1BitString(sig)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(certificate) })
		})
	})
	inner, err := basic.Bytes()
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0) // successful
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasic)
				b.AddASN1OctetString(inner)
			})
		})
	})
	return b.Bytes()
}
