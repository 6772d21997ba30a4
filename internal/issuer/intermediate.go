package issuer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/revocation"
)

// Intermediate is a CA certificate of an issuer with its key: one of those that have
// signed, sign, or will sign. Its fields are not changed after New.
type Intermediate struct {
	CA     *x509.Certificate
	Chains [][]*x509.Certificate // CA and what is above it, without the root; the first is the default
	Root   *x509.Certificate     // above the default chain
	From   time.Time             // it signs certificates from then on; zero means that it always may
	// Key is that of CA, in a file or elsewhere. An ECDSA key elsewhere would sign with
	// randomness: what a crash cut short would then have another signature when it is
	// finished, over the same bytes.
	Key   crypto.Signer
	CAURL string // where CA is served, into each certificate (RFC 5280 §4.2.2.1); "" for none

	CRLBase string // what the path of a CRL follows in each certificate (§4.2.1.13); "" for none
	OCSPURL string // where OCSP requests are answered, into each certificate (§4.2.2.1); "" for none

	shards    *revocation.Shards
	throwaway crypto.Signer     // signs what only its to-be-signed part is wanted of
	parent    *x509.Certificate // CA, with the throwaway's public key
}

// ID names the key that signs: its subject key identifier in hexadecimal. It is what
// certificates are recorded under, whatever certificates the key has.
func (m *Intermediate) ID() string { return revocation.KeyID(m.CA) }

// ShortID is the beginning of the ID, for URLs.
func (m *Intermediate) ShortID() string {
	id := m.ID()
	return id[:min(len(id), 16)]
}

// open checks that the certificate may sign and is the key's, and makes what is
// needed to prepare certificates.
func (m *Intermediate) open() error {
	switch {
	case !certificate.KeyMatches(m.CA, m.Key):
		return fmt.Errorf("the key is not that of the certificate %q", m.CA.Subject)
	case !m.CA.IsCA || m.CA.KeyUsage&x509.KeyUsageCertSign == 0 || m.CA.KeyUsage&x509.KeyUsageCRLSign == 0:
		return fmt.Errorf("the certificate %q may not sign certificates and CRLs", m.CA.Subject)
	case len(m.CA.SubjectKeyId) == 0:
		return fmt.Errorf("the certificate %q has no subject key identifier", m.CA.Subject)
	}
	var err error
	switch pub := m.Key.Public().(type) {
	case *ecdsa.PublicKey:
		m.throwaway, err = ecdsa.GenerateKey(pub.Curve, rand.Reader)
	case *rsa.PublicKey:
		m.throwaway, err = rsa.GenerateKey(rand.Reader, 2048)
	case ed25519.PublicKey:
		_, m.throwaway, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("a key of type %T can't be used", pub)
	}
	if err != nil {
		return err
	}
	parent := *m.CA
	parent.PublicKey = m.throwaway.Public()
	m.parent = &parent
	return nil
}

// Current is the intermediate that signs now: of those whose time has come the one
// that began last. It is nil before the first begins.
func (i *Issuer) Current() *Intermediate {
	now := i.now()
	for _, m := range slices.Backward(i.Intermediates) {
		if !m.From.After(now) {
			return m
		}
	}
	return nil
}

// Oldest is the intermediate that began first.
func (i *Issuer) Oldest() *Intermediate { return i.Intermediates[0] }

// Intermediate finds an intermediate by its ID; nil when there is none.
func (i *Issuer) Intermediate(id string) *Intermediate {
	for _, m := range i.Intermediates {
		if m.ID() == id {
			return m
		}
	}
	return nil
}

// SignerOf finds the intermediate that signed cert, by its authority key identifier;
// nil when that was none of this issuer.
func (i *Issuer) SignerOf(cert *x509.Certificate) *Intermediate {
	return i.Intermediate(hex.EncodeToString(cert.AuthorityKeyId))
}

// OpenCRLs sees to it that each intermediate has a CRL, and that what was signed before
// there were shards is in one.
func (i *Issuer) OpenCRLs(ctx context.Context) error {
	for _, m := range i.Intermediates {
		if err := m.shards.Open(ctx); err != nil {
			return fmt.Errorf("issuer %s: opening its CRLs: %w", i.Name, err)
		}
	}
	return nil
}

// Signers are what signs the CRLs and OCSP responses of the issuer.
func (i *Issuer) Signers() []revocation.Signer {
	var all []revocation.Signer
	for _, m := range i.Intermediates {
		all = append(all, revocation.Signer{Issuer: i.Name, CA: m.CA, Key: m.Key,
			Certify: func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
				return i.CertifyResponder(ctx, m, key)
			}})
	}
	return all
}
