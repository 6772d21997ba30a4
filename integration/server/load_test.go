package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// customer is a client that orders, proves, finalizes, downloads and revokes without an
// end. It keeps each order that it knows of, and comes back to it, whatever happens to
// the server, until the order has ended.
type customer struct {
	client  *acme.Client
	account acme.Account
	name    func(n int) string   // of the n-th order
	prove   func(acme.Challenge) // nil when no challenge is expected

	mu     sync.Mutex
	orders []*purchase // guarded by mu; what they point to is of the customer's goroutine, but for the fields that say so
	faults []string    // what the server must not do; guarded by mu
}

// purchase is an order that a customer knows of.
type purchase struct {
	order acme.Order
	csr   []byte
	chain []*x509.Certificate // as first downloaded; guarded by customer.mu
	ended bool

	asked, revoked bool // to be revoked, and confirmed; guarded by customer.mu
}

// newCustomer registers at the open directory, or with credentials at theirs.
func newCustomer(t *testing.T, v *peer.Vidimusd, seen *statuses, cred *peer.Credentials) *customer {
	t.Helper()
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	transport := watched{&http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, seen}
	c := &customer{client: &acme.Client{Directory: v.DirectoryOpen, PollInterval: 20 * time.Millisecond, PollTimeout: 20 * time.Second,
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: transport}}}
	account := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
	if cred != nil {
		c.client.Directory = cred.Directory
		if err := account.SetExternalAccountBinding(t.Context(), c.client, acme.EAB{KeyID: cred.KID, MACKey: cred.HMACKey}); err != nil {
			t.Fatal(err)
		}
	}
	if c.account, err = c.client.NewAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	return c
}

// watched counts answers with an error of the server.
type watched struct {
	http.RoundTripper
	seen *statuses
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	w.seen.count(resp, err)
	return resp, err
}

// shop orders until ctx is done, and leaves unfinished what it is at then.
func (c *customer) shop(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		p, err := c.place(ctx, c.name(n))
		if err != nil { // the server is down; an order whose answer is lost nobody finalizes
			pause(ctx)
			continue
		}
		for !p.ended && ctx.Err() == nil {
			if err := c.advance(ctx, p, n%4 == 0); err != nil {
				pause(ctx)
			}
		}
		for p.ended && n%3 == 0 && ctx.Err() == nil && c.revoke(ctx, p) != nil {
			pause(ctx)
		}
	}
}

// pause is between two tries while the server is down.
func pause(ctx context.Context) {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
	}
}

func (c *customer) place(ctx context.Context, name string) (*purchase, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := new(purchase)
	if p.csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key); err != nil {
		return nil, err
	}
	if p.order, err = c.client.NewOrder(ctx, c.account, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: name}}}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders = append(c.orders, p)
	return p, nil
}

// advance looks at where an order is, and does what is next. An order that is finalized
// twice is so at the same moment.
func (c *customer) advance(ctx context.Context, p *purchase, twice bool) (err error) {
	if p.order, err = c.client.GetOrder(ctx, c.account, p.order); err != nil {
		return err
	}
	switch p.order.Status {
	case acme.StatusPending:
		return c.authorize(ctx, p)
	case acme.StatusReady:
		var again sync.WaitGroup
		if twice {
			order := p.order
			again.Go(func() { c.client.FinalizeOrder(ctx, c.account, order, p.csr) })
		}
		_, err := c.client.FinalizeOrder(ctx, c.account, p.order, p.csr)
		again.Wait()
		return err
	case acme.StatusProcessing:
		pause(ctx)
		return nil
	case acme.StatusValid:
		return c.download(ctx, p)
	}
	c.fault("%s has ended as %s: %v", p.order.Location, p.order.Status, p.order.Error)
	p.ended = true
	return nil
}

func (c *customer) authorize(ctx context.Context, p *purchase) error {
	for _, url := range p.order.Authorizations {
		authz, err := c.client.GetAuthorization(ctx, c.account, url)
		if err != nil {
			return err
		}
		for _, ch := range authz.Challenges {
			if ch.Type == "http-01" && ch.Status == acme.StatusPending && c.prove != nil {
				c.prove(ch)
				if _, err := c.client.InitiateChallenge(ctx, c.account, ch); err != nil {
					return err
				}
			}
		}
		if _, err := c.client.PollAuthorization(ctx, c.account, authz); err != nil {
			return err
		}
	}
	return nil
}

// download gets the certificate, which is the same each time.
func (c *customer) download(ctx context.Context, p *purchase) error {
	chains, err := c.client.GetCertificateChain(ctx, c.account, p.order.Certificate)
	if err != nil {
		return err
	}
	chain, err := certificate.ParseChain(chains[0].ChainPEM)
	if err != nil {
		return err
	}
	c.mu.Lock()
	before := p.chain
	if before == nil {
		p.chain = chain
	}
	c.mu.Unlock()
	if before != nil && !bytes.Equal(before[0].Raw, chain[0].Raw) {
		c.fault("%s: another certificate than before", p.order.Certificate)
	}
	p.ended = true
	return nil
}

// revoke returns nil once the server has confirmed that the certificate is revoked.
func (c *customer) revoke(ctx context.Context, p *purchase) error {
	c.mu.Lock()
	p.asked = true
	c.mu.Unlock()
	err := c.client.RevokeCertificate(ctx, c.account, p.chain[0], nil, acme.ReasonSuperseded)
	var problem acme.Problem
	if err != nil && !(errors.As(err, &problem) && problem.Type == acme.ProblemTypeAlreadyRevoked) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.revoked = true
	return nil
}

// settle brings every order to its end, and every revocation; the server is up.
func (c *customer) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, p := range c.bought(func(*purchase) bool { return true }) {
		var err error
		for !p.ended && ctx.Err() == nil {
			if err = c.advance(ctx, p, false); err != nil {
				pause(ctx)
			}
		}
		if !p.ended {
			t.Fatalf("%s does not end: it is %s; %v", p.order.Location, p.order.Status, err)
		}
		if p.asked && !p.revoked {
			if err := c.revoke(ctx, p); err != nil {
				t.Errorf("a revocation that was asked for before: %v", err)
			}
		}
	}
}

// bought are the orders that fit.
func (c *customer) bought(fits func(*purchase) bool) (all []*purchase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.orders {
		if fits(p) {
			all = append(all, p)
		}
	}
	return all
}

func (c *customer) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}
