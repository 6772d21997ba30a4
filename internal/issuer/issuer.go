// Package issuer signs certificates with the organisation's own CA. It decides what
// a certificate looks like, never who may have it.
//
// Nothing is signed before the intent is durable: [Issuer.Issue] records the exact
// bytes to be signed, signs them, then records the signature. Signatures are
// deterministic (RFC 6979), so finishing an issuance that a crash cut short yields
// the very certificate that may already have been signed, not a second one.
package issuer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
)

// backdate is how far a certificate begins before it is made, for clients whose
// clock is slow.
const backdate = time.Hour

// Issuer is a CA whose key is at hand. Its fields are not changed after New.
type Issuer struct {
	Name     string              // in the configuration, in URLs and on record
	CA       *x509.Certificate   // what the certificates are signed with
	Chain    []*x509.Certificate // CA and what is above it, without the root
	Root     *x509.Certificate
	Validity time.Duration // of a certificate
	CRLURL   string        // into each certificate (RFC 5280 §4.2.1.13); "" for none
	CAURL    string        // where CA is served, into each certificate (§4.2.2.1); "" for none

	Store *store.Store
	Now   func() time.Time // nil means time.Now

	key       crypto.Signer
	throwaway crypto.Signer     // signs what only its to-be-signed part is wanted of
	parent    *x509.Certificate // CA, with the throwaway's public key
}

// New completes an issuer whose exported fields are set with the key of i.CA.
func New(i Issuer, key crypto.Signer) (*Issuer, error) {
	if !certificate.KeyMatches(i.CA, key) {
		return nil, fmt.Errorf("issuer %s: the key is not that of the certificate %q", i.Name, i.CA.Subject)
	}
	if !i.CA.IsCA || i.CA.KeyUsage&x509.KeyUsageCertSign == 0 || i.CA.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, fmt.Errorf("issuer %s: the certificate %q may not sign certificates and CRLs", i.Name, i.CA.Subject)
	}
	if len(i.CA.SubjectKeyId) == 0 {
		return nil, fmt.Errorf("issuer %s: the certificate %q has no subject key identifier", i.Name, i.CA.Subject)
	}
	i.key = key
	var err error
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		i.throwaway, err = ecdsa.GenerateKey(pub.Curve, rand.Reader)
	case *rsa.PublicKey:
		i.throwaway, err = rsa.GenerateKey(rand.Reader, 2048)
	case ed25519.PublicKey:
		_, i.throwaway, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("issuer %s: a key of type %T can't be used", i.Name, pub)
	}
	if err != nil {
		return nil, err
	}
	parent := *i.CA
	parent.PublicKey = i.throwaway.Public()
	i.parent = &parent
	return &i, nil
}

func (i *Issuer) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}

// Request says what to certify, for whom.
type Request struct {
	Identifiers []identifier.Identifier // sorted, distinct
	PublicKey   crypto.PublicKey
	SPKI        []byte // DER of PublicKey
	Order       int64  // 0 for the server's own certificate
	Account     int64
	Predecessor string // serial of the certificate that it replaces, or ""
}

// Issue records the intent, signs, and records the certificate.
// [store.ErrConflict] means that the order was not ready, or that another order has
// replaced the predecessor; nothing is signed then. On any other error the intent
// may stand, for [Issuer.Finish] later.
func (i *Issuer) Issue(ctx context.Context, r Request) (store.Certificate, error) {
	c, err := i.prepare(r)
	if err != nil {
		return c, fmt.Errorf("preparing the certificate: %w", err)
	}
	if err := i.Store.BeginIssuance(ctx, c, r.Predecessor); err != nil {
		return c, fmt.Errorf("recording the intent to sign %s: %w", c.Serial, err)
	}
	err = i.Finish(ctx, &c)
	return c, err
}

// Finish signs what is on record and records the certificate. It may be called again
// for the same record.
func (i *Issuer) Finish(ctx context.Context, c *store.Certificate) error {
	der, err := i.sign(c.TBS)
	if err != nil {
		return fmt.Errorf("signing %s: %w", c.Serial, err)
	}
	now := i.now()
	if err := i.Store.FinishIssuance(ctx, c.Serial, der, now); err != nil {
		return fmt.Errorf("recording the certificate %s: %w", c.Serial, err)
	}
	c.DER, c.Issued = der, now
	return nil
}

// prepare makes the record of a certificate that is not signed yet.
func (i *Issuer) prepare(r Request) (store.Certificate, error) {
	now := i.now().UTC()
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x3f | 0x40 // positive, and always 16 bytes (RFC 5280 §4.1.2.2)

	tmpl := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		NotBefore:             now.Add(-backdate).Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	// Both ends are part of the validity (RFC 5280 §4.1.2.5).
	tmpl.NotAfter = tmpl.NotBefore.Add(i.Validity - time.Second)
	if tmpl.NotAfter.After(i.CA.NotAfter) {
		return store.Certificate{}, fmt.Errorf("the issuing CA %q ends at %s, before a certificate of %s would; give issuer %s a new CA",
			i.CA.Subject, i.CA.NotAfter.Format(time.RFC3339), i.Validity, i.Name)
	}
	for _, id := range r.Identifiers {
		if id.Type == identifier.IP {
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(id.Value))
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, id.Value)
		}
	}
	if i.CRLURL != "" {
		tmpl.CRLDistributionPoints = []string{i.CRLURL}
	}
	if i.CAURL != "" {
		tmpl.IssuingCertificateURL = []string{i.CAURL}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.parent, r.PublicKey, i.throwaway)
	if err != nil {
		return store.Certificate{}, err
	}
	tbs, _, err := split(der)
	if err != nil {
		return store.Certificate{}, err
	}
	spki := sha256.Sum256(r.SPKI)
	return store.Certificate{
		Serial: hex.EncodeToString(serial), Issuer: i.Name, Order: r.Order, Account: r.Account, Names: r.Identifiers,
		TBS: tbs, SPKI: spki[:], NotBefore: tmpl.NotBefore, NotAfter: tmpl.NotAfter, Created: now,
	}, nil
}

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

// sign makes the certificate of its to-be-signed part, and checks it.
func (i *Issuer) sign(tbs []byte) ([]byte, error) {
	alg, err := algorithm(tbs)
	if err != nil {
		return nil, err
	}
	sig, err := signature(i.key, tbs)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(alg)
		b.AddASN1BitString(sig)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	// What was recorded under another CA of the same name must not be let out.
	if !bytes.Equal(cert.AuthorityKeyId, i.CA.SubjectKeyId) {
		return nil, errors.New("it was prepared for another CA")
	}
	return der, cert.CheckSignatureFrom(i.CA)
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

// CRLs makes the publisher of the issuer's CRLs.
func (i *Issuer) CRLs() *revocation.Publisher {
	return revocation.NewPublisher(revocation.Signer{Issuer: i.Name, CA: i.CA, Key: i.key}, i.Store, i.Now)
}
