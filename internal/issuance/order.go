package issuance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/authenticator"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

// Request is a certificate to be ordered.
type Request struct {
	Identifiers   []identifier.Identifier     // in the order they are to stand in the request
	Key           crypto.Signer               // nil with a CSR
	CSR           []byte                      // DER; nil to make one
	MustStaple    bool                        // RFC 7633
	Replaces      string                      // the renewal ID of the certificate it renews; "" for none
	Authenticator authenticator.Authenticator // not asked when the CA wants no proof
	Challenges    []string                    // preferred types, best first; empty means the authenticator's
	// PreferredProfile is asked for if the CA offers it, RequiredProfile always.
	PreferredProfile string
	RequiredProfile  string
	PreferredChain   string        // the common name at the top of the chain to take; "" is the CA's choice
	AllowSubset      bool          // leave out names that the CA does not certify
	Trial            bool          // give the authorizations back afterwards
	Timeout          time.Duration // for the CA to issue, once all is proved
	// Waiting is called when the order has done nothing but wait for some time, so that
	// another one can be begun. What it returns is called when the order goes on, and may
	// hold it up. Nil is an order that is alone.
	Waiting func() (resume func())
}

// longWait is when an order is said to be waiting.
const longWait = time.Second

// patiently does what may take long.
func (r *Request) patiently(f func() error) error {
	if r.Waiting == nil {
		return f()
	}
	var mu sync.Mutex
	var resume func()
	ended := false
	timer := time.AfterFunc(longWait, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			resume = r.Waiting()
		}
	})
	err := f()
	timer.Stop()
	mu.Lock()
	ended = true
	mu.Unlock()
	if resume != nil {
		resume()
	}
	return err
}

// Obtained is an issued certificate with its chain.
type Obtained struct {
	Cert    *x509.Certificate
	Chain   []*x509.Certificate // its issuer first
	LeftOut []Failure           // with AllowSubset
	// Unpreferred says that there was no chain that leads to PreferredChain.
	Unpreferred bool
}

// Obtain takes an order through RFC 8555 §7.4: order, proofs, finalization,
// download. What it returns was checked against the request.
func (ca *CA) Obtain(ctx context.Context, a Account, r Request) (*Obtained, error) {
	var left []Failure
	for {
		got, err := ca.obtain(ctx, a, r)
		if err == nil {
			got.LeftOut = left
			return got, nil
		}
		refused := refusedNames(err)
		kept := slices.DeleteFunc(slices.Clone(r.Identifiers), func(id identifier.Identifier) bool {
			return slices.ContainsFunc(refused, func(f Failure) bool { return f.Name == id.Value })
		})
		if !r.AllowSubset || r.CSR != nil || len(refused) == 0 || len(kept) == 0 || len(kept) == len(r.Identifiers) {
			return nil, err
		}
		left = append(left, refused...)
		r.Identifiers = kept
	}
}

// refusedNames lists the names that an order failed for, if it failed for some.
func refusedNames(err error) []Failure {
	var ae *AuthorizationError
	if errors.As(err, &ae) {
		return ae.Failures
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Names
	}
	return nil
}

func (ca *CA) obtain(ctx context.Context, a Account, r Request) (got *Obtained, err error) {
	order, err := ca.newOrder(ctx, a, r)
	if err != nil {
		return nil, err
	}
	if r.Trial {
		defer ca.giveBack(context.WithoutCancel(ctx), a, order.Authorizations)
	}
	if order.Status == acme.Pending {
		if err := ca.authorize(ctx, a, order, r); err != nil {
			return nil, err
		}
	}
	csr := r.CSR
	if csr == nil {
		if csr, err = certificate.Request(r.Key, r.Identifiers, r.MustStaple); err != nil {
			return nil, err
		}
	}
	err = r.patiently(func() error { return ca.finalize(ctx, a, order, csr, r.Timeout) })
	if err != nil {
		return nil, err
	}
	return ca.download(ctx, a, order.Certificate, r)
}

// resource is an order with its URL.
type resource struct {
	acme.Order
	at string
}

// newOrder orders, as a replacement where the CA takes that (RFC 9773 §5). A
// replacement that the CA does not accept must not keep a name from its renewal.
func (ca *CA) newOrder(ctx context.Context, a Account, r Request) (*resource, error) {
	in := acme.NewOrder{Identifiers: r.Identifiers}
	if ca.dir.RenewalInfo != "" {
		in.Replaces = r.Replaces
	}
	var err error
	if in.Profile, err = ca.profile(r); err != nil {
		return nil, err
	}
	got, err := ca.post(ctx, a, ca.dir.NewOrder, in)
	var p *acme.Problem
	if in.Replaces != "" && errors.As(err, &p) && mayBeOfReplaces(p) {
		ca.log.Info("ordering without naming the certificate that is replaced", "reason", problemText(p))
		in.Replaces = ""
		got, err = ca.post(ctx, a, ca.dir.NewOrder, in)
	}
	if err != nil {
		return nil, explain(ca.url, err)
	}
	order := &resource{at: got.header.Get("Location")}
	if err := got.decode(&order.Order); err != nil {
		return nil, err
	}
	if order.at == "" {
		return nil, errors.New("the ACME server took the order without saying its URL")
	}
	order.at = resolve(ca.dir.NewOrder, order.at)
	return order, nil
}

// profile is the one to ask for (draft-ietf-acme-profiles §4).
func (ca *CA) profile(r Request) (string, error) {
	offered := ca.Profiles()
	if name := r.RequiredProfile; name != "" {
		if _, ok := offered[name]; ok {
			return name, nil
		}
		if len(offered) == 0 {
			return "", fmt.Errorf("the CA has no profiles, so none called %q: leave --required-profile out, or choose another CA with --server", name)
		}
		return "", fmt.Errorf("the CA has no profile %q: choose --required-profile from %s", name, strings.Join(slices.Sorted(maps.Keys(offered)), ", "))
	}
	if _, ok := offered[r.PreferredProfile]; ok {
		return r.PreferredProfile, nil
	}
	return "", nil
}

// mayBeOfReplaces tells whether an order may do better without "replaces". RFC 9773
// §5 names 409 alreadyReplaced, but CAs also answer that they do not know the old
// certificate, in many ways, and some by breaking down. What says that the order
// itself is refused is left as it is.
func mayBeOfReplaces(p *acme.Problem) bool {
	switch p.Type {
	case acme.RateLimited, acme.RejectedIdentifier, acme.UnsupportedIdentifier,
		acme.AccountDoesNotExist, acme.ExternalAccountRequired, acme.UserActionRequired,
		acme.BadNonce, acme.BadSignatureAlgorithm, acme.CAA, acme.DNS:
		return false
	}
	return true
}

// Polling begins after about as long as a fast CA takes, and backs off.
const (
	firstPoll = 5 * time.Millisecond
	nextPoll  = 12 * time.Millisecond
	lastPoll  = 4 * time.Second
)

// await polls a resource until done: as good as at once, and from then on when the CA's
// Retry-After says or, for one that says nothing, at growing intervals.
func (ca *CA) await(ctx context.Context, fetch func(context.Context) (*reply, error), timeout time.Duration, done func(*reply) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := sleep(ctx, firstPoll); err != nil {
		return err
	}
	for wait := nextPoll; ; wait = min(wait*8/5, lastPoll) {
		r, err := fetch(ctx)
		if err == nil {
			var ok bool
			if ok, err = done(r); ok {
				return nil
			}
		}
		if err == nil {
			next := wait
			if at, ok := r.retryAfter(); ok && time.Until(at) > 0 {
				next = time.Until(at)
			}
			err = sleep(ctx, next)
		}
		switch {
		case err == nil:
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
			return fmt.Errorf("the CA did not come to a result within %v: try again later", timeout)
		default:
			return explain(ca.url, err)
		}
	}
}

// finalize sends the certificate request and waits until the certificate is issued.
func (ca *CA) finalize(ctx context.Context, a Account, order *resource, csr []byte, timeout time.Duration) error {
	if timeout <= 0 {
		timeout = issuanceTimeout
	}
	payload := map[string]string{"csr": b64(csr)}
	for range maxFinalize {
		r, err := ca.post(ctx, a, order.Finalize, payload)
		switch {
		case err == nil:
			if err := r.decode(&order.Order); err != nil {
				return err
			}
		case r == nil || !r.repeated && !isType(err, acme.OrderNotReady):
			return explain(ca.url, err)
		default:
			// An earlier attempt, whose answer was lost, may have been taken; and an order
			// that is not ready yet becomes so (§7.4).
			order.Status = ""
		}
		waiting := func(s acme.Status) bool { return s == acme.Processing || s == acme.Pending }
		if s := order.Status; waiting(s) || s == "" {
			fetch := func(ctx context.Context) (*reply, error) { return ca.post(ctx, a, order.at, nil) }
			err = ca.await(ctx, fetch, timeout, func(r *reply) (bool, error) {
				err := r.decode(&order.Order)
				return !waiting(order.Status), err
			})
			if err != nil {
				return fmt.Errorf("waiting for the certificate: %w", err)
			}
		}
		switch order.Status {
		case acme.Valid:
			if order.Certificate == "" {
				return errors.New("the CA says that the certificate is issued, but not where it is: report this to your CA")
			}
			return nil
		case acme.Ready: // once more
		default:
			return orderError(ca.url, order)
		}
	}
	return errors.New("the CA says again and again that the order is ready, and that it is not")
}

// maxFinalize bounds how often a request is sent to a CA of two minds.
const maxFinalize = 5

// issuanceTimeout is Certbot's.
const issuanceTimeout = 90 * time.Second

func isType(err error, t acme.ProblemType) bool {
	var p *acme.Problem
	return errors.As(err, &p) && p.Type == t
}

func orderError(server string, order *resource) error {
	if order.Error != nil {
		return explain(server, order.Error)
	}
	return fmt.Errorf("the CA gave the order up without saying why; it is %s", order.Status)
}

// download fetches the certificate, and other chains for it if one is preferred
// (§7.4.2).
func (ca *CA) download(ctx context.Context, a Account, at string, r Request) (*Obtained, error) {
	got, err := ca.post(ctx, a, at, nil)
	if err != nil {
		return nil, explain(ca.url, err)
	}
	first, err := check(got.body, r)
	if err != nil || r.PreferredChain == "" || first.top() == r.PreferredChain {
		return first, err
	}
	tops := []string{first.top()}
	for _, alt := range alternates(got.header.Values("Link")) {
		other, err := ca.post(ctx, a, resolve(at, alt), nil)
		if err != nil {
			ca.log.Info("another chain cannot be downloaded", "error", err)
			continue
		}
		o, err := check(other.body, r)
		if err != nil {
			ca.log.Info("another chain is of no use", "error", err)
			continue
		}
		if o.top() == r.PreferredChain {
			return o, nil
		}
		tops = append(tops, o.top())
	}
	ca.log.Warn("no chain leads to the preferred one; using the CA's first", "preferred", r.PreferredChain, "offered", tops)
	first.Unpreferred = true
	return first, nil
}

// top is the common name of the issuer of the chain's last certificate.
func (o *Obtained) top() string {
	return o.Chain[len(o.Chain)-1].Issuer.CommonName
}

// maxAlternates bounds the chains that are looked at.
const maxAlternates = 10

var alternate = regexp.MustCompile(`<([^>]*)>\s*;[^,<]*\brel="?alternate"?`)

// alternates lists the URLs of the Link headers that have this relation (RFC 8288).
func alternates(links []string) (urls []string) {
	for _, l := range links {
		for _, m := range alternate.FindAllStringSubmatch(l, maxAlternates) {
			urls = append(urls, m[1])
		}
	}
	return urls[:min(len(urls), maxAlternates)]
}

// check makes sure that what the CA sent is what was asked for, before anything is
// stored: key, names, validity, and a chain in which each certificate signs the one
// before.
func check(chainPEM []byte, r Request) (*Obtained, error) {
	certs, err := certificate.ParseChain(bytes.TrimSpace(chainPEM))
	if err != nil {
		return nil, fmt.Errorf("the CA's answer holds no certificate: %w", err)
	}
	leaf := certs[0]
	matches := func() bool { return certificate.KeyMatches(leaf, r.Key) }
	if r.CSR != nil {
		matches = func() bool { return certificate.RequestMatches(leaf, r.CSR) }
	}
	switch {
	case len(certs) < 2:
		return nil, errors.New("the CA sent the certificate without its issuer's")
	case !matches():
		return nil, errors.New("the CA sent a certificate for another key; nothing was saved")
	case !slices.Equal(certificate.Identifiers(leaf), identifier.Sorted(r.Identifiers)):
		return nil, fmt.Errorf("the CA sent a certificate for %v instead of %v; nothing was saved",
			identifier.Values(certificate.Identifiers(leaf)), identifier.Values(identifier.Sorted(r.Identifiers)))
	case !leaf.NotAfter.After(time.Now()):
		return nil, fmt.Errorf("the CA sent a certificate that expired on %s; nothing was saved", leaf.NotAfter.Format(time.DateOnly))
	}
	for i := range len(certs) - 1 {
		if err := certs[i].CheckSignatureFrom(certs[i+1]); err != nil {
			return nil, fmt.Errorf("the chain that the CA sent is broken at %q: %w", certs[i].Subject, err)
		}
	}
	return &Obtained{Cert: leaf, Chain: certs[1:]}, nil
}
