package acmehttp_test

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/internal/acmehttp"
	"vidimus/internal/validation"
)

// gate is a resolver that answers once it is open.
type gate struct {
	validation.Loopback
	open chan struct{}
}

func (g gate) Lookup(ctx context.Context, name string, t uint16) (validation.Answer, error) {
	select {
	case <-g.open:
		return g.Loopback.Lookup(ctx, name, t)
	case <-ctx.Done():
		return validation.Answer{}, ctx.Err()
	}
}

// TestTheClockStepsWhileAuthorizationsPend: by an hour it does no harm; by more than an
// order lives the order has expired, and is said to have.
func TestTheClockStepsWhileAuthorizationsPend(t *testing.T) {
	for _, tt := range []struct {
		step   time.Duration
		during bool // while the validation runs, and not before it
		order  string
		authz  string
	}{
		{time.Hour, false, "ready", "valid"},
		{-time.Hour, false, "ready", "valid"},
		{time.Hour, true, "ready", "valid"},
		{-time.Hour, true, "ready", "valid"},
		{8 * 24 * time.Hour, false, "invalid", "invalid"},
		{8 * 24 * time.Hour, true, "invalid", "valid"},
	} {
		t.Run(fmt.Sprint(tt.step, tt.during), func(t *testing.T) {
			var ahead atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			g := gate{open: make(chan struct{})}
			var key *ecdsa.PrivateKey
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]+"."+thumbprint(t, key))
			}))
			defer site.Close()
			c := newServer(t, func(c *acmehttp.Config) {
				c.Now, c.Runner.Now = now, now
				c.Runner.Validator.Resolver = g
				c.Runner.Validator.HTTPPort = site.Listener.Addr().(*net.TCPAddr).Port
			}).registered()
			key = c.key
			var o order
			place := c.post("/new-order", orderFor("www.example.org"))
			place.want(201).json(&o)
			var authz struct {
				Status     string
				Challenges []struct{ Type, URL string }
			}
			c.post(o.Authorizations[0], "").want(200).json(&authz)
			if tt.during {
				c.post(authz.Challenges[0].URL, "{}").want(200)
				ahead.Add(int64(tt.step))
			} else {
				ahead.Add(int64(tt.step))
				c.post(authz.Challenges[0].URL, "{}").want(200)
			}
			close(g.open)
			c.post(o.Authorizations[0], "").want(200).json(&authz)
			c.post(place.header.Get("Location"), "").want(200).json(&o)
			if authz.Status != tt.authz || o.Status != tt.order {
				t.Errorf("the authorization is %s, the order %s; want %s and %s", authz.Status, o.Status, tt.authz, tt.order)
			}
			if a := c.post(o.Finalize, csr(t, newKey(t), "www.example.org")); tt.order == "ready" {
				a.want(200)
			} else {
				a.problem("orderNotReady", 403)
			}
		})
	}
}
