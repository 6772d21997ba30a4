// Package revocation publishes which certificates are revoked: a CRL for each
// issuer (RFC 5280 §5). It records no revocation itself.
package revocation

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"sync"
	"time"

	"vidimus/internal/store"
)

// Life is how long a CRL is good for. A new one is signed when a certificate has
// been revoked, and when half of its life is over.
const Life = 24 * time.Hour

// Signer is what signs the CRLs of an issuer.
type Signer struct {
	Issuer       string // name on record
	AuthorityKey string // on record with what CA has signed
	CA           *x509.Certificate
	Key          crypto.Signer
}

// Publisher keeps the newest CRL of one issuer. It is safe for concurrent use.
type Publisher struct {
	signer Signer
	store  *store.Store
	now    func() time.Time

	mu   sync.Mutex
	der  []byte // the newest CRL, nil before the first; guarded by mu
	mark int64  // the revocations that it has seen; guarded by mu
	made time.Time
}

// NewPublisher makes a publisher for an issuer.
func NewPublisher(s Signer, db *store.Store, now func() time.Time) *Publisher {
	if now == nil {
		now = time.Now
	}
	return &Publisher{signer: s, store: db, now: now}
}

// CRL returns a CRL in DER that names every certificate revoked before the call and
// not expired. It signs a new one only when something has changed: the usual call
// costs one look-up.
func (p *Publisher) CRL(ctx context.Context) ([]byte, error) {
	mark, err := p.store.RevocationMark(ctx, p.signer.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reading revocations: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if age := now.Sub(p.made); p.der != nil && p.mark >= mark && age >= 0 && age < Life/2 {
		return p.der, nil
	}
	der, err := p.sign(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("signing the CRL of issuer %s: %w", p.signer.Issuer, err)
	}
	p.der, p.mark, p.made = der, mark, now
	return der, nil
}

func (p *Publisher) sign(ctx context.Context, now time.Time) ([]byte, error) {
	// A certificate is named until after its end (RFC 5280 §3.3): the hour is for
	// clocks that are slow.
	revoked, err := p.store.Revocations(ctx, p.signer.Issuer, p.signer.AuthorityKey, now.Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	number, err := p.store.NextCRLNumber(ctx, p.signer.Issuer)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.RevocationList{
		Number:     big.NewInt(number),
		ThisUpdate: now.UTC().Truncate(time.Second),
		NextUpdate: now.UTC().Add(Life).Truncate(time.Second),
	}
	for _, c := range revoked {
		serial, ok := new(big.Int).SetString(c.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("the serial number %q on record is not hexadecimal", c.Serial)
		}
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: c.Revoked, ReasonCode: int(c.Reason)})
	}
	return x509.CreateRevocationList(rand.Reader, tmpl, p.signer.CA, p.signer.Key)
}
