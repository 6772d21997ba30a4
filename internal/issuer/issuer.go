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
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/identifier"
	"vidimus/internal/lint"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
)

// backdate is how far a certificate begins before it is made, for clients whose
// clock is slow.
const backdate = time.Hour

// Issuer is a CA whose keys are at hand. Its fields are not changed after New.
type Issuer struct {
	Name          string          // in the configuration, in URLs and on record
	Intermediates []*Intermediate // New sorts them by From
	Validity      time.Duration   // of a certificate without a profile
	Profiles      []Profile       // the first is the default; none means that orders have no profile
	ShardSize     int             // how many certificates share a CRL; 0 means [revocation.DefaultShardSize]

	Linter *lint.Linter // each certificate passes it before it is signed; nil for none

	Store *store.Store
	Now   func() time.Time // nil means time.Now

	plain  *Profile
	moulds *moulds
}

// New completes an issuer whose exported fields are set, keys included.
func New(i Issuer) (*Issuer, error) {
	if len(i.Intermediates) == 0 {
		return nil, fmt.Errorf("issuer %s: there is no CA certificate", i.Name)
	}
	i.plain, i.moulds = &Profile{Validity: i.Validity}, new(moulds)
	i.Intermediates = slices.Clone(i.Intermediates)
	slices.SortStableFunc(i.Intermediates, func(a, b *Intermediate) int { return a.From.Compare(b.From) })
	for n, m := range i.Intermediates {
		if err := m.open(); err != nil {
			return nil, fmt.Errorf("issuer %s: %w", i.Name, err)
		}
		m.shards = &revocation.Shards{Issuer: i.Name, CA: m.ID(), Base: m.CRLBase, Size: i.ShardSize, Store: i.Store, Now: i.Now}
		if i.Intermediate(m.ID()) != i.Intermediates[n] {
			return nil, fmt.Errorf("issuer %s: two CA certificates have the key of %q", i.Name, m.CA.Subject)
		}
	}
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
	Person      string    // login of who asks for it without ACME
	Form        []byte    // by which they do, see [store.Certificate]
	Client      int64     // see [store.Store.Client]; 0 when it is not known
	Predecessor string    // serial of the certificate that it replaces, or ""
	Profile     *Profile  // nil means that of an issuer without profiles
	Staple      bool      // the TLS feature status_request is asked for
	NotBefore   time.Time // as the order asks for, see [Issuer.CheckPeriod]; zero when it does not
	NotAfter    time.Time
}

// Issue records the intent, signs, and records the certificate.
// [store.ErrConflict] means that the order was not ready, that another order has
// replaced the predecessor, or that the form has been used, an [acme.Problem] that the profile forbids the certificate,
// a [lint.Refusal] that the profile itself is wrong; nothing is signed then. On any
// other error the intent may stand, for [Issuer.Finish] later.
func (i *Issuer) Issue(ctx context.Context, r Request) (store.Certificate, error) {
	c, err := i.prepare(ctx, r)
	if err != nil {
		return c, fmt.Errorf("preparing the certificate: %w", err)
	}
	if err := i.Store.BeginIssuance(ctx, c, r.Predecessor); err != nil {
		return c, fmt.Errorf("recording the intent to sign %s: %w", c.Serial, err)
	}
	err = i.Finish(ctx, &c)
	if errors.Is(err, store.ErrConflict) {
		err = i.finished(ctx, &c)
	}
	return c, err
}

// Finish signs what is on record and records the certificate. [store.ErrConflict] means
// that this has been done.
func (i *Issuer) Finish(ctx context.Context, c *store.Certificate) error {
	der, err := i.sign(c)
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

// finished reads a certificate that somebody else has finished: who looks after what a
// crash cut short took it for such.
func (i *Issuer) finished(ctx context.Context, c *store.Certificate) error {
	got, err := i.Store.Certificate(ctx, c.Serial)
	if err == nil && got.DER == nil {
		err = store.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("reading the certificate %s back: %w", c.Serial, err)
	}
	c.DER, c.Issued = got.DER, got.Issued
	return nil
}

// prepare makes the record of a certificate that is not signed yet.
func (i *Issuer) prepare(ctx context.Context, r Request) (store.Certificate, error) {
	by := i.Current()
	if by == nil {
		return store.Certificate{}, fmt.Errorf("no CA of issuer %s signs yet; the first begins at %s", i.Name, i.Oldest().From.Format(time.RFC3339))
	}
	if r.Profile == nil {
		r.Profile = i.Plain()
	}
	tmpl, err := i.template(r, by)
	if err != nil {
		return store.Certificate{}, err
	}
	shard, err := by.shards.Next(ctx)
	if err != nil {
		return store.Certificate{}, err
	}
	url := shard.URL()
	if url != "" {
		tmpl.CRLDistributionPoints = []string{url}
	}
	der, err := i.rehearse(tmpl, kind{by, r.Profile, r.Staple, url}, r.PublicKey)
	if err != nil {
		return store.Certificate{}, err
	}
	tbs, _, err := split(der)
	if err != nil {
		return store.Certificate{}, err
	}
	spki := sha256.Sum256(r.SPKI)
	return store.Certificate{
		Serial: hex.EncodeToString(tmpl.SerialNumber.Bytes()), Issuer: i.Name, AuthorityKey: by.ID(), Shard: shard.ID,
		Order: r.Order, Account: r.Account, Client: r.Client, Person: r.Person, Form: r.Form, Names: r.Identifiers,
		TBS: tbs, SPKI: spki[:], NotBefore: tmpl.NotBefore, NotAfter: tmpl.NotAfter, Created: i.now().UTC(),
	}, nil
}

// sign makes the certificate of its record, by the key that it was prepared for, and
// checks it.
func (i *Issuer) sign(c *store.Certificate) ([]byte, error) {
	alg, err := algorithm(c.TBS)
	if err != nil {
		return nil, err
	}
	id := c.AuthorityKey
	if id == "" { // recorded by an older vidimusd
		der, err := joined(c.TBS, alg, nil)
		if err != nil {
			return nil, err
		}
		unsigned, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		id = hex.EncodeToString(unsigned.AuthorityKeyId)
	}
	by := i.Intermediate(id)
	if by == nil {
		return nil, fmt.Errorf("it was prepared for a CA with the key identifier %s; put that one back into the configuration of issuer %s", id, i.Name)
	}
	sig, err := signature(by.Key, c.TBS)
	if err != nil {
		return nil, err
	}
	der, err := joined(c.TBS, alg, sig)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(cert.AuthorityKeyId, by.CA.SubjectKeyId) {
		return nil, errors.New("it was prepared for another CA")
	}
	return der, cert.CheckSignatureFrom(by.CA)
}
