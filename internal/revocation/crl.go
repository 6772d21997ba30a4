// Package revocation publishes which certificates are revoked: CRLs (RFC 5280 §5) and
// OCSP responses (RFC 6960). It records no revocation itself, and every answer is by
// what the database says at that moment, so that all processes that share it agree.
//
// Certificates are divided into shards, each with a CRL of its own, so that none grows
// beyond bounds. A certificate gets its shard before it is signed, as it names the URL.
package revocation

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"vidimus/internal/store"
)

// Signer is a CA certificate with its key, which signs the CRLs of what it has issued.
type Signer struct {
	Issuer string // name on record
	CA     *x509.Certificate
	Key    crypto.Signer

	// Certify makes a certificate by which a key may sign OCSP responses for the CA.
	Certify func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error)
}

// ID names the CA certificate on record: by its subject key identifier, hexadecimal.
func (s Signer) ID() string { return KeyID(s.CA) }

// KeyID is the subject key identifier of a CA certificate, hexadecimal.
func KeyID(ca *x509.Certificate) string { return hex.EncodeToString(ca.SubjectKeyId) }

// Options are how CRLs are made. The zero value means the defaults.
type Options struct {
	Validity time.Duration // of a CRL; default [DefaultValidity]
	Update   time.Duration // how old one gets; default half the validity
	Now      func() time.Time
}

// DefaultValidity is how long a CRL is good for when nothing else is configured.
const DefaultValidity = 24 * time.Hour

// Publisher signs CRLs when they are due: when a certificate has been revoked, and
// before they run out. They are kept in the database. It is safe for concurrent use, by
// several processes too.
type Publisher struct {
	options Options
	store   *store.Store
	signers map[string]Signer // by ID; not changed after NewPublisher

	signing sync.Mutex // held while one is signed, as the others then need not
}

// NewPublisher makes a publisher for CAs.
func NewPublisher(db *store.Store, o Options, signers ...Signer) *Publisher {
	if o.Validity == 0 {
		o.Validity = DefaultValidity
	}
	if o.Update == 0 {
		o.Update = o.Validity / 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Publisher{options: o, store: db, signers: make(map[string]Signer)}
	for _, s := range signers {
		p.signers[s.ID()] = s
	}
	return p
}

// Shard finds the shard at a path, with a CRL that names every certificate of it that
// was revoked before the call and has not expired; [store.ErrNotFound] when there is
// none. The usual call costs one look-up.
func (p *Publisher) Shard(ctx context.Context, path string) (store.Shard, error) {
	s, err := p.store.Shard(ctx, path)
	if _, known := p.signers[s.CA]; err == nil && !known && s.Number > 0 {
		return s, nil // it has left the configuration; its last CRL is better than none
	}
	if err != nil || !p.due(s) {
		return s, err
	}
	p.signing.Lock()
	defer p.signing.Unlock()
	// Another call, or another process, may have signed meanwhile.
	for range 3 {
		if s, err = p.store.Shard(ctx, path); err != nil || !p.due(s) {
			return s, err
		}
		if s, err = p.sign(ctx, s); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return s, fmt.Errorf("signing the CRL %s: %w", path, err)
	}
	return s, nil
}

// CRL is [Publisher.Shard] with the CRL itself, in DER.
func (p *Publisher) CRL(ctx context.Context, path string) ([]byte, error) {
	s, err := p.Shard(ctx, path)
	if err != nil {
		return nil, err
	}
	_, der, err := p.store.CRL(ctx, s.ID)
	return der, err
}

// due tells whether the CRL has to be signed anew before it is given out.
func (p *Publisher) due(s store.Shard) bool {
	age := p.options.Now().Sub(s.ThisUpdate)
	return s.Number == 0 || s.Changes != s.Seen || age >= p.options.Update || age < -time.Minute
}

// sign makes the CRL of a shard and records it. Of two processes that do so at once
// one gets [store.ErrConflict], and its CRL is never seen.
func (p *Publisher) sign(ctx context.Context, s store.Shard) (store.Shard, error) {
	ca, ok := p.signers[s.CA]
	if !ok {
		return s, fmt.Errorf("its CA certificate, with the key identifier %s, is not configured any more", s.CA)
	}
	// A certificate is named until after its end (RFC 5280 §3.3): the hour is for
	// clocks that are slow.
	now := p.options.Now().UTC()
	ended := now.Add(-time.Hour)
	revoked, err := p.store.Revocations(ctx, s.ID, ended)
	if err != nil {
		return s, err
	}
	lives, err := p.store.ShardLives(ctx, s.ID, ended)
	if err != nil {
		return s, err
	}
	before := s.Number
	// The clock makes numbers grow even if a backup of the database is restored.
	s.Number, s.Seen = max(before+1, now.Unix()), s.Changes
	s.ThisUpdate = now.Truncate(time.Second)
	s.NextUpdate = s.ThisUpdate.Add(p.options.Validity)
	s.Due = s.ThisUpdate.Add(p.options.Update)
	if !lives && now.Sub(s.Taken) > retireAfter {
		s.Due = time.Time{} // from now on when somebody asks
	}
	der, err := create(s, ca, revoked)
	if err != nil {
		return s, err
	}
	return s, p.store.SetCRL(ctx, s, before, der)
}

// retireAfter is how long nobody has taken places in a shard without a certificate
// that lives when its CRL is no longer signed ahead.
const retireAfter = 30 * 24 * time.Hour

func create(s store.Shard, ca Signer, revoked []store.Certificate) ([]byte, error) {
	tmpl := &x509.RevocationList{Number: big.NewInt(s.Number), ThisUpdate: s.ThisUpdate, NextUpdate: s.NextUpdate}
	for _, c := range revoked {
		serial, ok := new(big.Int).SetString(c.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("the serial number %q on record is not hexadecimal", c.Serial)
		}
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: c.Revoked, ReasonCode: int(c.Reason)})
	}
	if url := s.URL(); url != "" {
		point, err := distributionPoint(url)
		if err != nil {
			return nil, err
		}
		tmpl.ExtraExtensions = []pkix.Extension{point}
	}
	return x509.CreateRevocationList(rand.Reader, tmpl, ca.CA, ca.Key)
}

// distributionPoint is the extension that says which certificates a CRL is for: those
// that name the URL, and no CA certificates (RFC 5280 §5.2.5).
func distributionPoint(url string) (pkix.Extension, error) {
	var b cryptobyte.Builder
	tag := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag(0).Constructed(), func(b *cryptobyte.Builder) { // distributionPoint
			b.AddASN1(tag(0).Constructed(), func(b *cryptobyte.Builder) { // fullName
				b.AddASN1(tag(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
			})
		})
		b.AddASN1(tag(1), func(b *cryptobyte.Builder) { b.AddUint8(0xff) }) // onlyContainsUserCerts
	})
	der, err := b.Bytes()
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: der}, err
}

// Due tells whether a CRL is to be signed.
func (p *Publisher) Due(ctx context.Context) (bool, error) {
	for ca := range p.signers {
		shards, err := p.store.DueShards(ctx, ca, p.options.Now(), 1)
		if err != nil || len(shards) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// SignDue signs the CRLs that are due.
func (p *Publisher) SignDue(ctx context.Context) error {
	var errs []error
	for ca := range p.signers {
		shards, err := p.store.DueShards(ctx, ca, p.options.Now(), 100)
		errs = append(errs, err)
		for _, s := range shards {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			_, err := p.Shard(ctx, s.Path)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
