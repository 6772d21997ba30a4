package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"sync/atomic"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/durable"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
)

// ownCertificate is the certificate of the server itself, issued by itself and kept
// in one file with its key, so that a restart doesn't need another.
type ownCertificate struct {
	issuer *issuer.Issuer
	ids    []identifier.Identifier // sorted
	path   string                  // PEM, 0600: key, certificate, chain
	now    func() time.Time

	current atomic.Pointer[tls.Certificate]
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.current.Load(), nil
}

// keepFresh loads the certificate, or issues one when there is none, it is for other
// names or by another CA, revoked, less than a third of its life is left, or its life is
// to come, as the clock was ahead when it was issued.
func (o *ownCertificate) keepFresh(ctx context.Context) error {
	if c := o.current.Load(); c != nil && o.good(ctx, c.Leaf) {
		return nil
	}
	if c, err := tls.LoadX509KeyPair(o.path, o.path); err == nil && o.good(ctx, c.Leaf) {
		o.current.Store(&c)
		return nil
	}
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		return err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	c, err := o.issuer.Issue(ctx, issuer.Request{Identifiers: o.ids, PublicKey: key.Public(), SPKI: spki})
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	data, err := certificate.MarshalKey(key)
	if err != nil {
		return err
	}
	by := o.issuer.SignerOf(leaf)
	data = append(data, certificate.MarshalChain(append([]*x509.Certificate{leaf}, by.Chains[0]...)...)...)
	if err := durable.WriteFile(o.path, data, 0o600); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return err
	}
	o.current.Store(&pair)
	return nil
}

func (o *ownCertificate) good(ctx context.Context, leaf *x509.Certificate) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	by := o.issuer.SignerOf(leaf)
	now := o.now()
	return !leaf.NotBefore.After(now) && leaf.NotAfter.Sub(now) > life/3 && by != nil && leaf.CheckSignatureFrom(by.CA) == nil &&
		slices.Equal(certificate.Identifiers(leaf), o.ids) && !o.revoked(ctx, leaf)
}

// revoked tells whether operators have revoked it. If that can't be read it stays.
func (o *ownCertificate) revoked(ctx context.Context, leaf *x509.Certificate) bool {
	c, err := o.issuer.Store.CertificateStatus(ctx, hex.EncodeToString(leaf.SerialNumber.Bytes()))
	return err == nil && !c.Revoked.IsZero()
}
