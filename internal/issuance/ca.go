// Package issuance speaks ACME (RFC 8555) to one CA: it registers accounts, takes
// an order from its beginning to a checked certificate, revokes, and asks for
// renewal information (RFC 9773). It stores nothing and prints nothing.
//
// The protocol's messages are those of acmez; this package decides what is sent
// when. What is not needed is not fetched: an order for one name at a fast CA takes
// the directory, a nonce, and six or seven requests.
package issuance

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
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
	url         string
	transport   *transport
	acme        *acme.Client
	meta        acme.DirectoryMeta
	renewalInfo string // URL; "" when the CA has none
	log         *slog.Logger
}

// Account is a key pair registered at the CA.
type Account struct {
	Key crypto.Signer
	URL string
}

func (a Account) acme() acme.Account {
	return acme.Account{PrivateKey: a.Key, Location: a.URL}
}

// Dial fetches the directory (RFC 8555 §7.1.1).
func Dial(ctx context.Context, o Options) (*CA, error) {
	if u, err := url.Parse(o.Directory); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the URL of an ACME directory: give --server https://…", o.Directory)
	}
	t, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	resp, body, err := t.get(ctx, o.Directory)
	if err != nil {
		return nil, reach(o.Directory, err)
	}
	fields, dir, err := parseDirectory(resp, body)
	if err != nil {
		return nil, fmt.Errorf("%s answered with %w; check --server", o.Directory, err)
	}
	ca := &CA{url: o.Directory, transport: t, renewalInfo: dir.RenewalInfo, log: o.Log}
	if dir.Meta != nil {
		ca.meta = *dir.Meta
	}
	// Knowing of renewal information, the library would fetch it with each
	// certificate.
	delete(fields, "renewalInfo")
	if t.directory, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	ca.acme = &acme.Client{
		Directory:   o.Directory,
		HTTPClient:  &http.Client{Transport: t},
		PollTimeout: -1, // we poll, see [CA.await]
	}
	return ca, nil
}

func parseDirectory(resp *http.Response, body []byte) (map[string]json.RawMessage, acme.Directory, error) {
	var dir acme.Directory
	var fields map[string]json.RawMessage
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case kind == "text/html":
		return nil, dir, errors.New("a web page (text/html), not an ACME directory")
	case resp.StatusCode != http.StatusOK:
		return nil, dir, fmt.Errorf("HTTP status %s, not an ACME directory", resp.Status)
	case json.Unmarshal(body, &dir) != nil || json.Unmarshal(body, &fields) != nil:
		return nil, dir, fmt.Errorf("something that is not JSON (%s), not an ACME directory", kind)
	case dir.NewNonce == "" || dir.NewAccount == "" || dir.NewOrder == "":
		return nil, dir, errors.New("JSON without newNonce, newAccount and newOrder, which is not an ACME directory")
	}
	return fields, dir, nil
}

// TermsOfService is the URL of what a subscriber agrees to; "" for none.
func (ca *CA) TermsOfService() string { return ca.meta.TermsOfService }

// NeedsEAB tells whether registration takes credentials from the CA (§7.3.4).
func (ca *CA) NeedsEAB() bool { return ca.meta.ExternalAccountRequired }

// Requests is the number of requests made so far.
func (ca *CA) Requests() int64 { return ca.transport.requests.Load() }

// Close lets go of the connections.
func (ca *CA) Close() { ca.transport.next.CloseIdleConnections() }

// Registration is what a new account is made with.
type Registration struct {
	Emails []string
	EAB    *EAB
}

// Find returns the account of a key that the CA knows (RFC 8555 §7.3.1). The error
// is an [*Error] of type accountDoesNotExist when it does not.
func (ca *CA) Find(ctx context.Context, key crypto.Signer) (Account, error) {
	got, err := ca.acme.GetAccount(ctx, acme.Account{PrivateKey: key})
	if err != nil {
		return Account{}, explain(ca.url, err)
	}
	return Account{key, got.Location}, nil
}

// Register makes an account (§7.3) and agrees to the terms of service.
func (ca *CA) Register(ctx context.Context, key crypto.Signer, r Registration) (Account, error) {
	a := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true, Contact: mailto(r.Emails)}
	if r.EAB != nil {
		dir, err := ca.acme.GetDirectory(ctx)
		if err != nil {
			return Account{}, explain(ca.url, err)
		}
		if a.ExternalAccountBinding, err = r.EAB.bind(key.Public(), dir.NewAccount); err != nil {
			return Account{}, err
		}
	}
	got, err := ca.acme.NewAccount(ctx, a)
	if err != nil {
		return Account{}, explain(ca.url, err)
	}
	if got.Location == "" {
		return Account{}, errors.New("the ACME server registered the account without saying its URL")
	}
	return Account{key, got.Location}, nil
}

func mailto(emails []string) []string {
	var urls []string
	for _, e := range emails {
		urls = append(urls, "mailto:"+e)
	}
	return urls
}

// Details are what the CA knows of an account.
type Details struct {
	URL    string
	Emails []string
}

// Show asks the CA about an account.
func (ca *CA) Show(ctx context.Context, a Account) (Details, error) {
	got, err := ca.acme.GetAccount(ctx, a.acme())
	if err != nil {
		return Details{}, explain(ca.url, err)
	}
	d := Details{URL: got.Location}
	for _, c := range got.Contact {
		if e, ok := strings.CutPrefix(c, "mailto:"); ok {
			d.Emails = append(d.Emails, e)
		}
	}
	return d, nil
}

// Deactivate ends an account for good (§7.3.6).
func (ca *CA) Deactivate(ctx context.Context, a Account) error {
	dead := a.acme()
	dead.Status = acme.StatusDeactivated
	if _, err := ca.acme.UpdateAccount(ctx, dead); err != nil {
		return explain(ca.url, err)
	}
	return nil
}

// Revoke revokes a certificate (§7.6) for an RFC 5280 §5.3.1 reason. It is signed
// with the certificate's key if that is given, else with the account's.
func (ca *CA) Revoke(ctx context.Context, a Account, cert *x509.Certificate, key crypto.Signer, reason int) error {
	if key == nil {
		key = a.Key
	}
	if err := ca.acme.RevokeCertificate(ctx, a.acme(), cert, key, reason); err != nil {
		return explain(ca.url, err)
	}
	return nil
}

// Window is when a CA wants a certificate renewed (RFC 9773 §4.2).
type Window struct {
	Start, End  time.Time
	Explanation string    // a URL
	AskAgain    time.Time // not before then
}

// ErrNoRenewalInfo says that the CA has no renewal information.
var ErrNoRenewalInfo = errors.New("the CA offers no renewal information")

// RenewalInfo asks when the certificate with the identifier (RFC 9773 §4.1) is to be
// renewed.
func (ca *CA) RenewalInfo(ctx context.Context, id string) (Window, error) {
	if ca.renewalInfo == "" || id == "" {
		return Window{}, ErrNoRenewalInfo
	}
	at := strings.TrimSuffix(ca.renewalInfo, "/") + "/" + id
	resp, body, err := ca.transport.get(ctx, at)
	if err != nil {
		return Window{}, reach(ca.url, err)
	}
	var info struct {
		SuggestedWindow struct{ Start, End time.Time }
		ExplanationURL  string
	}
	if resp.StatusCode != http.StatusOK {
		return Window{}, fmt.Errorf("renewal information: HTTP status %s", resp.Status)
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return Window{}, fmt.Errorf("renewal information: %w", err)
	}
	w := Window{Start: info.SuggestedWindow.Start, End: info.SuggestedWindow.End, Explanation: info.ExplanationURL}
	if w.Start.IsZero() || !w.End.After(w.Start) {
		return Window{}, errors.New("renewal information: its window ends before it begins")
	}
	w.AskAgain, _ = ca.transport.takeRetryAfter(at)
	return w, nil
}
