package issuer

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"vidimus/internal/store"
)

// responderLife is how long the certificate of an OCSP responder is good for. As it
// can't be revoked (RFC 6960 §4.2.2.2.1), it is short.
const responderLife = 7 * 24 * time.Hour

// noCheck is the extension id-pkix-ocsp-nocheck: the responder's certificate itself is
// not to be asked about.
var noCheck = pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}

// CertifyResponder lets a key sign OCSP responses about what the intermediate has
// signed (RFC 6960 §4.2.2.2). The certificate is recorded as each one is; its key is
// nowhere but with the caller.
func (i *Issuer) CertifyResponder(ctx context.Context, by *Intermediate, key crypto.PublicKey) (*x509.Certificate, error) {
	c, err := i.prepareResponder(by, key)
	if err != nil {
		return nil, fmt.Errorf("preparing the certificate of an OCSP responder: %w", err)
	}
	if err := i.Store.BeginIssuance(ctx, c, ""); err != nil {
		return nil, fmt.Errorf("recording the intent to sign %s: %w", c.Serial, err)
	}
	if err := i.Finish(ctx, &c); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(c.DER)
}

func (i *Issuer) prepareResponder(by *Intermediate, key crypto.PublicKey) (store.Certificate, error) {
	now := i.now().UTC()
	serial := newSerial(now)
	begin := now.Add(-backdate).Truncate(time.Second)
	end := begin.Add(responderLife - time.Second)
	if end.After(by.CA.NotAfter) {
		end = by.CA.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: "OCSP responder " + hex.EncodeToString(serial[14:])},
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{noCheck},
	}
	der, err := i.rehearse(tmpl, kind{by: by}, key)
	if err != nil {
		return store.Certificate{}, err
	}
	tbs, _, err := split(der)
	if err != nil {
		return store.Certificate{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return store.Certificate{}, err
	}
	sum := sha256.Sum256(spki)
	return store.Certificate{Serial: hex.EncodeToString(serial), Issuer: i.Name, AuthorityKey: by.ID(),
		TBS: tbs, SPKI: sum[:], NotBefore: begin, NotAfter: end, Created: now}, nil
}
