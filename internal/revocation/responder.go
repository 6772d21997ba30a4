package revocation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/internal/store"
)

// ResponseLife is how long an OCSP response is good for. The newest is never older
// than half of it.
const ResponseLife = 24 * time.Hour

// Responder answers OCSP requests (RFC 6960, RFC 5019, RFC 9654). Each answer is by
// what the database says at the time of the request: what is kept in memory are
// signatures, and one is used only while it says the same. So no answer is "good" once a
// revocation is committed, in whichever process. What is asked for is signed ahead from
// then on, by [Responder.Renew]; the first time it is signed at once.
//
// It signs with keys of its own, which are in memory only, certified by each CA for a
// week. It is safe for concurrent use.
type Responder struct {
	store *store.Store
	now   func() time.Time
	cas   map[string][]*delegate // by issuer
	cache cache
}

// NewResponder makes a responder for CAs; now may be nil.
func NewResponder(db *store.Store, now func() time.Time, signers ...Signer) (*Responder, error) {
	if now == nil {
		now = time.Now
	}
	r := &Responder{store: db, now: now, cas: make(map[string][]*delegate)}
	for _, s := range signers {
		hashed, err := hashCA(s.CA.RawSubject, s.CA.RawSubjectPublicKeyInfo)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", s.Issuer, err)
		}
		r.cas[s.Issuer] = append(r.cas[s.Issuer], &delegate{signer: s, hashed: hashed})
	}
	return r, nil
}

// Answer is an OCSP response on the way out.
type Answer struct {
	DER        []byte
	ThisUpdate time.Time // zero for what may not be cached
	NextUpdate time.Time
}

// Answer answers a request in DER about certificates of an issuer. Requests that can't
// be answered get an unsigned response that says why; an error is ours, and DER is to
// be sent all the same.
func (r *Responder) Answer(ctx context.Context, issuer string, request []byte) (Answer, error) {
	q, err := parseQuestion(request)
	if err != nil {
		return Answer{DER: ocsp.MalformedRequestErrorResponse}, nil
	}
	by := r.delegate(issuer, q)
	if by == nil {
		return Answer{DER: ocsp.UnauthorizedErrorResponse}, nil
	}
	statuses := make([]status, len(q.certs))
	cacheable := len(q.certs) == 1 && q.nonce == nil
	for i, id := range q.certs {
		if statuses[i], err = r.status(ctx, by, id); err != nil {
			return Answer{DER: ocsp.TryLaterErrorResponse}, fmt.Errorf("looking up a certificate: %w", err)
		}
		cacheable = cacheable && statuses[i].known // of what is unknown there is no end
	}
	now := r.now().UTC()
	if cacheable {
		if a, ok := r.cache.get(statuses[0], now); ok {
			return a, nil
		}
	}
	a, err := by.sign(ctx, statuses, q.nonce, now)
	if err != nil {
		return Answer{DER: ocsp.TryLaterErrorResponse}, fmt.Errorf("signing an OCSP response: %w", err)
	}
	if !cacheable {
		return Answer{DER: a.DER}, nil
	}
	r.cache.put(cached{answer: a, status: statuses[0], by: by, certificate: q.certs[0]})
	return a, nil
}

// Renew signs anew what is kept, has been asked for since it was signed, and will soon
// have lived half its life: so that whoever asks next need not wait for that. Call it
// every few minutes.
func (r *Responder) Renew(ctx context.Context) error {
	now := r.now().UTC()
	for _, e := range r.cache.ageing(now) {
		s, err := r.status(ctx, e.by, e.certificate)
		if err != nil {
			return fmt.Errorf("looking up a certificate: %w", err)
		}
		if !s.known {
			continue
		}
		a, err := e.by.sign(ctx, []status{s}, nil, now)
		if err != nil {
			return fmt.Errorf("signing an OCSP response: %w", err)
		}
		r.cache.put(cached{answer: a, status: s, by: e.by, certificate: e.certificate})
	}
	return nil
}

// delegate finds who answers: about certificates of one CA of the issuer.
func (r *Responder) delegate(issuer string, q question) *delegate {
	for _, d := range r.cas[issuer] {
		all := true
		for _, id := range q.certs {
			all = all && id.is(d.hashed)
		}
		if all {
			return d
		}
	}
	return nil
}

func (r *Responder) status(ctx context.Context, by *delegate, id certID) (status, error) {
	s := status{id: id.raw}
	if id.serial.Sign() <= 0 || id.serial.BitLen() > 160 {
		return s, nil
	}
	c, err := r.store.CertificateStatus(ctx, hex.EncodeToString(id.serial.Bytes()))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s, nil
	case err != nil:
		return s, err
	}
	s.known = c.CA == by.signer.ID() && c.Signed
	s.revoked, s.reason = c.Revoked, c.Reason
	return s, nil
}

// delegate signs the responses about what one CA has issued.
type delegate struct {
	signer Signer
	hashed hashedCA

	mu          sync.Mutex
	key         crypto.Signer     // guarded by mu
	certificate *x509.Certificate // of key; nil before the first; guarded by mu
	failure     error             // why there is none; guarded by mu
	failed      time.Time         // guarded by mu
}

func (d *delegate) sign(ctx context.Context, statuses []status, nonce []byte, now time.Time) (Answer, error) {
	key, cert, err := d.current(ctx, now)
	if err != nil {
		return Answer{}, err
	}
	hashed, err := hashCA(cert.RawSubject, cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return Answer{}, err
	}
	keyHash := hashed[crypto.SHA1].key
	a := Answer{ThisUpdate: now.Truncate(time.Second)}
	a.NextUpdate = a.ThisUpdate.Add(ResponseLife)
	if a.NextUpdate.After(cert.NotAfter) {
		a.NextUpdate = cert.NotAfter
	}
	a.DER, err = response{responder: keyHash, produced: a.ThisUpdate, thisUpdate: a.ThisUpdate, nextUpdate: a.NextUpdate,
		statuses: statuses, nonce: nonce}.sign(key, cert.Raw)
	return a, err
}

// current is the key to sign with. There is a new one, with a new certificate, when
// half the life of the last is over.
func (d *delegate) current(ctx context.Context, now time.Time) (crypto.Signer, *x509.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.certificate; c != nil && now.After(c.NotBefore) && now.Before(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore)/2)) {
		return d.key, c, nil
	}
	if now.Sub(d.failed) > certifyAgain || now.Before(d.failed) {
		d.failure = d.certify(context.WithoutCancel(ctx))
		d.failed = now
	}
	if d.failure != nil && (d.certificate == nil || !now.Before(d.certificate.NotAfter)) {
		return nil, nil, d.failure
	}
	return d.key, d.certificate, nil
}

// certifyAgain is how long one failure to get a certificate stands for all requests.
const certifyAgain = 5 * time.Second

// certify makes a new key with its certificate. The caller holds d.mu.
func (d *delegate) certify(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert, err := d.signer.Certify(ctx, key.Public())
	if err != nil {
		return err
	}
	d.key, d.certificate = key, cert
	return nil
}

// cacheSize is how many responses are kept, of about a kilobyte each.
const cacheSize = 8192

// cache keeps responses: the newest in fresh, and when that is full, what was asked for
// lately in old.
type cache struct {
	mu         sync.Mutex
	fresh, old map[string]cached
}

type cached struct {
	answer      Answer
	status      status
	by          *delegate
	certificate certID
	asked       bool // for, since it was signed
}

// ageing lists what two fifths of whose life are over, and was asked for.
func (c *cache) ageing(now time.Time) (all []cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	take := func(e cached) {
		if a := e.answer; e.asked && now.Sub(a.ThisUpdate) > a.NextUpdate.Sub(a.ThisUpdate)*2/5 {
			all = append(all, e)
		}
	}
	for _, e := range c.fresh {
		take(e)
	}
	for id, e := range c.old {
		if _, newer := c.fresh[id]; !newer {
			take(e)
		}
	}
	return all
}

// get finds a response that says the same, and half of whose life is to come.
func (c *cache) get(s status, now time.Time) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, fresh := c.fresh[string(s.id)]
	if !fresh {
		var ok bool
		if e, ok = c.old[string(s.id)]; !ok {
			return Answer{}, false
		}
	}
	if !fresh || !e.asked {
		e.asked = true
		c.insert(e)
	}
	half := e.answer.ThisUpdate.Add(e.answer.NextUpdate.Sub(e.answer.ThisUpdate) / 2)
	same := e.status.known == s.known && e.status.revoked.Equal(s.revoked) && e.status.reason == s.reason && bytes.Equal(e.status.id, s.id)
	return e.answer, same && !now.Before(e.answer.ThisUpdate) && now.Before(half)
}

func (c *cache) put(e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(e)
}

func (c *cache) insert(e cached) {
	if len(c.fresh) >= cacheSize/2 || c.fresh == nil {
		c.old, c.fresh = c.fresh, make(map[string]cached)
	}
	c.fresh[string(e.status.id)] = e
}
