package issuance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"vidimus/internal/authenticator"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
)

// Request is a certificate to be ordered.
type Request struct {
	Identifiers   []identifier.Identifier // in the order they are to stand in the request
	Key           crypto.Signer
	Replaces      string                      // the renewal ID of the certificate it renews; "" for none
	Authenticator authenticator.Authenticator // not asked when the CA wants no proof
	Challenges    []string                    // preferred types, best first; empty means the authenticator's
	Timeout       time.Duration               // for the CA to issue, once all is proved
}

// Obtained is an issued certificate with its chain.
type Obtained struct {
	Cert  *x509.Certificate
	Chain []*x509.Certificate // its issuer first
}

// Obtain takes an order through RFC 8555 §7.4: order, proofs, finalization,
// download. What it returns was checked against the request.
func (ca *CA) Obtain(ctx context.Context, a Account, r Request) (*Obtained, error) {
	order, err := ca.newOrder(ctx, a, r)
	if err != nil {
		return nil, err
	}
	if order.Status == acme.StatusPending {
		if err := ca.authorize(ctx, a, order, r); err != nil {
			return nil, err
		}
	}
	csr, err := certificate.Request(r.Key, r.Identifiers)
	if err != nil {
		return nil, err
	}
	if order, err = ca.finalize(ctx, a, order, csr, r.Timeout); err != nil {
		return nil, err
	}
	chains, err := ca.acme.GetCertificateChain(ctx, a.acme(), order.Certificate)
	if err != nil {
		return nil, explain(ca.url, err)
	}
	return check(chains[0].ChainPEM, r)
}

// newOrder orders, as a replacement where the CA takes that (RFC 9773 §5). A
// replacement that the CA does not accept must not keep a name from its renewal.
func (ca *CA) newOrder(ctx context.Context, a Account, r Request) (acme.Order, error) {
	order := acme.Order{}
	for _, id := range r.Identifiers {
		order.Identifiers = append(order.Identifiers, acme.Identifier{Type: string(id.Type), Value: id.Value})
	}
	if ca.renewalInfo != "" {
		order.Replaces = r.Replaces
	}
	got, err := ca.acme.NewOrder(ctx, a.acme(), order)
	var p acme.Problem
	if order.Replaces != "" && errors.As(err, &p) && mayBeOfReplaces(p) {
		ca.log.Info("ordering without naming the certificate that is replaced", "reason", problemText(p))
		order.Replaces = ""
		got, err = ca.acme.NewOrder(ctx, a.acme(), order)
	}
	if err != nil {
		return got, explain(ca.url, err)
	}
	if got.Location == "" {
		return got, errors.New("the ACME server took the order without saying its URL")
	}
	return got, nil
}

// mayBeOfReplaces tells whether an order may do better without "replaces". RFC 9773
// §5 names 409 alreadyReplaced, but CAs also answer that they do not know the old
// certificate, in many ways, and some by breaking down. What says that the order
// itself is refused is left as it is.
func mayBeOfReplaces(p acme.Problem) bool {
	switch p.Type {
	case acme.ProblemTypeRateLimited, acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier,
		acme.ProblemTypeAccountDoesNotExist, acme.ProblemTypeExternalAccountRequired, acme.ProblemTypeUserActionRequired,
		acme.ProblemTypeBadNonce, acme.ProblemTypeBadSignatureAlgorithm, acme.ProblemTypeCAA, acme.ProblemTypeDNS:
		return false
	}
	return true
}

// authorize proves control of the names that the CA has no proof of yet.
func (ca *CA) authorize(ctx context.Context, a Account, order acme.Order, r Request) (err error) {
	var pending []acme.Authorization
	var challenges []acme.Challenge
	for _, at := range order.Authorizations {
		authz, err := ca.acme.GetAuthorization(ctx, a.acme(), at)
		if err != nil {
			return explain(ca.url, err)
		}
		switch authz.Status {
		case acme.StatusValid:
		case acme.StatusPending:
			c, err := choose(authz, r)
			if err != nil {
				return err
			}
			pending, challenges = append(pending, authz), append(challenges, c)
		default:
			return fmt.Errorf("the authorization of %s is %s: try again for a new one", authz.Identifier.Value, authz.Status)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	defer func() { err = errors.Join(err, r.Authenticator.Cleanup(context.WithoutCancel(ctx))) }()
	if err := r.Authenticator.Present(ctx, toPresent(challenges)); err != nil {
		return err
	}
	return ca.validate(ctx, a, pending, challenges, r)
}

// choose picks the challenge to answer.
func choose(authz acme.Authorization, r Request) (acme.Challenge, error) {
	if r.Authenticator == nil {
		return acme.Challenge{}, fmt.Errorf("the CA wants a proof of control of %s: choose how with --standalone or --webroot", authz.Identifier.Value)
	}
	types := r.Authenticator.Types()
	if len(r.Challenges) > 0 {
		types = slices.DeleteFunc(slices.Clone(r.Challenges), func(t string) bool { return !slices.Contains(types, t) })
	}
	for _, t := range types {
		for _, c := range authz.Challenges {
			if c.Type == t {
				return c, nil
			}
		}
	}
	name := authz.Identifier.Value
	if authz.Wildcard {
		name = "*." + name
	}
	var offered []string
	for _, c := range authz.Challenges {
		offered = append(offered, c.Type)
	}
	return acme.Challenge{}, fmt.Errorf("the CA wants %s for %s, which the chosen authenticator cannot answer (it answers %s)",
		strings.Join(offered, " or "), name, strings.Join(types, ", "))
}

func toPresent(challenges []acme.Challenge) []authenticator.Challenge {
	var out []authenticator.Challenge
	for _, c := range challenges {
		out = append(out, authenticator.Challenge{
			Identifier: identifier.Identifier{Type: identifier.Type(c.Identifier.Type), Value: c.Identifier.Value},
			Type:       c.Type, Token: c.Token, KeyAuthorization: c.KeyAuthorization,
		})
	}
	return out
}

// validate asks the CA to look at the answers, all at the same time, and waits for
// what it finds.
func (ca *CA) validate(ctx context.Context, a Account, pending []acme.Authorization, challenges []acme.Challenge, r Request) error {
	for _, c := range challenges {
		if _, err := ca.acme.InitiateChallenge(ctx, a.acme(), c); err != nil {
			return explain(ca.url, err)
		}
	}
	var failures []Failure
	first := firstPoll // one wait serves all
	for i, authz := range pending {
		at := authz.Location
		err := ca.await(ctx, at, first, authorizationTimeout, func() (done bool, err error) {
			authz, err = ca.acme.GetAuthorization(ctx, a.acme(), at)
			return authz.Status != acme.StatusPending, err
		})
		if err != nil {
			return fmt.Errorf("waiting for the validation of %s: %w", challenges[i].Identifier.Value, err)
		}
		first = 0
		if authz.Status != acme.StatusValid {
			failures = append(failures, failureOf(authz, challenges[i]))
		}
	}
	if len(failures) > 0 {
		return &AuthorizationError{failures, r.Authenticator.Hint()}
	}
	return nil
}

func failureOf(authz acme.Authorization, chosen acme.Challenge) Failure {
	f := Failure{Name: authz.Identifier.Value, Type: "unknown", Detail: "the authorization is " + authz.Status}
	for _, c := range authz.Challenges {
		if c.Error != nil && (c.Type == chosen.Type || f.Type == "unknown") {
			f.Type, f.Detail = shortType(c.Error.Type), oneLine(c.Error.Detail)
		}
	}
	return f
}

// authorizationTimeout bounds the wait for one validation; CAs look from several
// places and try again for about half a minute.
const authorizationTimeout = 2 * time.Minute

// Polling begins after about as long as a fast CA takes, and backs off.
const (
	firstPoll = 12 * time.Millisecond
	lastPoll  = 4 * time.Second
)

// await polls the resource at url until done: after first, and from then on when the
// CA's Retry-After says or, for one that says nothing, at growing intervals.
func (ca *CA) await(ctx context.Context, url string, first, timeout time.Duration, poll func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ca.transport.takeRetryAfter(url) // said before there was anything to wait for
	next := first
	for wait := firstPoll; ; wait = min(wait*8/5, lastPoll) {
		timer := time.NewTimer(next)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("the CA did not come to a result within %v: try again later", timeout)
			}
			return ctx.Err()
		}
		done, err := poll()
		if err != nil {
			return explain(ca.url, err)
		}
		if done {
			return nil
		}
		next = wait
		if at, ok := ca.transport.takeRetryAfter(url); ok {
			next = max(time.Until(at), firstPoll)
		}
	}
}

// finalize sends the certificate request and waits until the certificate is issued.
func (ca *CA) finalize(ctx context.Context, a Account, order acme.Order, csr []byte, timeout time.Duration) (acme.Order, error) {
	at := order.Location
	for range maxFinalize {
		got, err := ca.acme.FinalizeOrder(ctx, a.acme(), order, csr)
		got.Location = at
		var p acme.Problem
		if errors.As(err, &p) {
			return got, explain(ca.url, err)
		}
		// An order that the CA has not made ready yet is to be finalized again (§7.4).
		notReady := got.Status == acme.StatusPending || got.Status == acme.StatusReady
		if notReady || got.Status == acme.StatusProcessing {
			busy := got.Status
			err = ca.await(ctx, at, firstPoll, timeout, func() (bool, error) {
				got, err = ca.acme.GetOrder(ctx, a.acme(), got)
				return got.Status != busy || got.Status == acme.StatusReady, err
			})
			if err != nil {
				return got, fmt.Errorf("waiting for the certificate: %w", err)
			}
		}
		switch got.Status {
		case acme.StatusValid:
			return got, nil
		case acme.StatusReady:
			order = got
		default:
			return got, orderError(ca.url, got, err)
		}
	}
	return order, errors.New("the CA says again and again that the order is ready, and that it is not")
}

// maxFinalize bounds how often a request is sent to a CA of two minds.
const maxFinalize = 5

func orderError(server string, order acme.Order, err error) error {
	if order.Error != nil {
		return explain(server, *order.Error)
	}
	if err != nil {
		return explain(server, err)
	}
	return fmt.Errorf("the CA gave the order up without saying why; it is %s", order.Status)
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
	switch {
	case len(certs) < 2:
		return nil, errors.New("the CA sent the certificate without its issuer's")
	case !certificate.KeyMatches(leaf, r.Key):
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
