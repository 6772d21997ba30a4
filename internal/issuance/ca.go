// Package issuance speaks ACME (RFC 8555) to one CA: it registers accounts, takes
// an order from its beginning to a checked certificate, revokes, and asks for
// renewal information (RFC 9773). It stores nothing and prints nothing.
//
// One [CA] serves many orders at the same time: they share one connection, a pool of
// nonces, and the CA's wishes about when to come back. A CA or a network that breaks
// down for a moment is asked again; where the lost answer may have had its effect, the
// CA is asked what became of it. What is not needed is not fetched: an order for one
// name at a fast CA takes the directory, a nonce, and six or seven requests.
package issuance

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"vidimus/internal/acme"
)

// Options say which CA to speak to, and how.
type Options struct {
	Directory   string // URL
	UserAgent   string
	NoVerifyTLS bool
	Log         *slog.Logger
	Getenv      func(string) string
}

// CA is a connection to an ACME server. Its methods may be used by many goroutines.
type CA struct {
	url       string
	dir       acme.Directory
	http      *http.Client
	userAgent string
	log       *slog.Logger

	// ordering has room for the order that is being placed. CAs lock an account's
	// orders themselves, and Pebble (2.10) comes to a standstill when, while it looks
	// for authorizations to reuse, one is read and another order is entered.
	ordering chan struct{}

	requests atomic.Int64
	nonces   nonces
	rest     rest
	health   health
}

// dialWithin bounds the time for the directory: until it is there, orders at other CAs
// wait too.
const dialWithin = 30 * time.Second

// Dial fetches the directory (RFC 8555 §7.1.1).
func Dial(ctx context.Context, o Options) (*CA, error) {
	if u, err := url.Parse(o.Directory); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the URL of an ACME directory: give --server https://…", o.Directory)
	}
	client, err := newClient(o)
	if err != nil {
		return nil, err
	}
	ca := &CA{url: o.Directory, http: client, userAgent: o.UserAgent, log: o.Log, ordering: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	r, err := ca.get(ctx, o.Directory)
	var p *acme.Problem
	if err != nil && !errors.As(err, &p) {
		return nil, reach(o.Directory, err)
	}
	if p != nil {
		return nil, fmt.Errorf("%s answered with HTTP status %d %s, not an ACME directory; check --server", o.Directory, p.Status, http.StatusText(p.Status))
	}
	if ca.dir, err = parseDirectory(r); err != nil {
		return nil, fmt.Errorf("%s answered with %w; check --server", o.Directory, err)
	}
	ca.nonces.put(r.header.Get("Replay-Nonce"))
	return ca, nil
}

func parseDirectory(r *reply) (dir acme.Directory, err error) {
	switch {
	case r.kind() == "text/html":
		return dir, errors.New("a web page (text/html), not an ACME directory")
	case r.decode(&dir) != nil:
		return dir, fmt.Errorf("something that is not JSON (%s), not an ACME directory", r.kind())
	case dir.NewNonce == "" || dir.NewAccount == "" || dir.NewOrder == "":
		return dir, errors.New("JSON without newNonce, newAccount and newOrder, which is not an ACME directory")
	}
	return dir, nil
}

// TermsOfService is the URL of what a subscriber agrees to; "" for none.
func (ca *CA) TermsOfService() string { return ca.dir.Meta.TermsOfService }

// NeedsEAB tells whether registration takes credentials from the CA (§7.3.4).
func (ca *CA) NeedsEAB() bool { return ca.dir.Meta.ExternalAccountRequired }

// Profiles lists the certificate profiles that the CA offers, with what it says of
// each (draft-ietf-acme-profiles §3).
func (ca *CA) Profiles() map[string]string { return ca.dir.Meta.Profiles }

// Requests is the number of requests made so far.
func (ca *CA) Requests() int64 { return ca.requests.Load() }

// Close lets go of the connections.
func (ca *CA) Close() { ca.http.CloseIdleConnections() }

// Registration is what a new account is made with.
type Registration struct {
	Emails []string
	EAB    *EAB
}

// Find returns the account of a key that the CA knows (RFC 8555 §7.3.1). The error
// is an [*Error] of type accountDoesNotExist when it does not.
func (ca *CA) Find(ctx context.Context, key crypto.Signer) (Account, error) {
	return ca.newAccount(ctx, key, acme.NewAccount{OnlyReturnExisting: true})
}

// Register makes an account (§7.3) and agrees to the terms of service.
func (ca *CA) Register(ctx context.Context, key crypto.Signer, r Registration) (Account, error) {
	in := acme.NewAccount{TermsOfServiceAgreed: true, Contact: mailto(r.Emails)}
	if r.EAB != nil {
		var err error
		if in.ExternalAccountBinding, err = r.EAB.bind(key.Public(), ca.dir.NewAccount); err != nil {
			return Account{}, err
		}
	}
	return ca.newAccount(ctx, key, in)
}

func (ca *CA) newAccount(ctx context.Context, key crypto.Signer, in acme.NewAccount) (Account, error) {
	r, err := ca.post(ctx, Account{Key: key}, ca.dir.NewAccount, in)
	var p *acme.Problem
	if errors.As(err, &p) && p.Status < 500 && r.repeated && !in.OnlyReturnExisting {
		// An attempt whose answer was lost may have made it, and used the EAB credentials up.
		if a, err := ca.Find(ctx, key); err == nil {
			return a, nil
		}
	}
	if err != nil {
		return Account{}, explain(ca.url, err)
	}
	at := r.header.Get("Location")
	if at == "" {
		return Account{}, errors.New("the ACME server registered the account without saying its URL")
	}
	return Account{key, resolve(ca.dir.NewAccount, at)}, nil
}

func mailto(emails []string) []string {
	urls := []string{}
	for _, e := range emails {
		urls = append(urls, "mailto:"+e)
	}
	return urls
}

// Details are what the CA knows of an account.
type Details struct {
	URL    string
	Status string
	Emails []string
}

// Show asks the CA about an account.
func (ca *CA) Show(ctx context.Context, a Account) (Details, error) {
	return ca.account(ctx, a, nil)
}

// SetEmails changes the e-mail addresses of an account (§7.3.2); none is none.
func (ca *CA) SetEmails(ctx context.Context, a Account, emails []string) (Details, error) {
	return ca.account(ctx, a, map[string]any{"contact": mailto(emails)})
}

// Deactivate ends an account for good (§7.3.6).
func (ca *CA) Deactivate(ctx context.Context, a Account) error {
	_, err := ca.account(ctx, a, map[string]any{"status": acme.Deactivated})
	return err
}

func (ca *CA) account(ctx context.Context, a Account, change any) (Details, error) {
	r, err := ca.post(ctx, a, a.URL, change)
	if err != nil {
		return Details{}, explain(ca.url, err)
	}
	var got acme.Account
	if err := r.decode(&got); err != nil {
		return Details{}, err
	}
	d := Details{URL: a.URL, Status: string(got.Status)}
	for _, c := range got.Contact {
		if e, ok := strings.CutPrefix(c, "mailto:"); ok {
			d.Emails = append(d.Emails, e)
		}
	}
	return d, nil
}

// Revoke revokes a certificate (§7.6) for an RFC 5280 §5.3.1 reason. It is signed
// with the certificate's key if that is given, else with the account's.
func (ca *CA) Revoke(ctx context.Context, a Account, cert *x509.Certificate, key crypto.Signer, reason int) error {
	if ca.dir.RevokeCert == "" {
		return fmt.Errorf("%s does not revoke certificates by ACME: ask your CA", ca.url)
	}
	if key != nil {
		a = Account{Key: key}
	}
	in := map[string]any{"certificate": b64(cert.Raw)}
	if reason != 0 {
		in["reason"] = reason
	}
	r, err := ca.post(ctx, a, ca.dir.RevokeCert, in)
	var p *acme.Problem
	if errors.As(err, &p) && p.Type == acme.AlreadyRevoked && r.repeated {
		return nil // by the attempt whose answer was lost
	}
	if err != nil {
		return explain(ca.url, err)
	}
	return nil
}
