package dns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
	"vidimus/internal/issuance"
)

// newKey makes a key for an account or a certificate.
func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// client is an account at a Pebble that asks the zones' primary.
type client struct {
	ca      *issuance.CA
	account issuance.Account
}

func newClient(t *testing.T, z *peer.Zones) client {
	t.Helper()
	return newClientOf(t, peer.StartPebbleWith(t, peer.PebbleOptions{Env: peer.Quick, DNSServer: z.Primary}).Directory)
}

// newClientOf is an account at an ACME directory.
func newClientOf(t *testing.T, directory string) client {
	t.Helper()
	log, _ := logged(t)
	ca, err := issuance.Dial(ctx, issuance.Options{Directory: directory, NoVerifyTLS: true, UserAgent: "test", Log: log, Getenv: os.Getenv})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ca.Close)
	account, err := ca.Register(ctx, newKey(t), issuance.Registration{})
	if err != nil {
		t.Fatal(err)
	}
	return client{ca, account}
}

func (c client) obtain(t *testing.T, auth authenticator.Authenticator, kind string, names ...string) error {
	t.Helper()
	r := issuance.Request{Key: newKey(t), Authenticator: auth, Challenges: []string{kind}, Timeout: time.Minute}
	for _, n := range names {
		id, err := identifier.ParseDNS(n)
		if err != nil {
			t.Fatal(err)
		}
		r.Identifiers = append(r.Identifiers, id)
	}
	_, err := c.ca.Obtain(ctx, c.account, r)
	return err
}

func TestPebbleAcceptsEveryTypeOfAnswer(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	c := newClient(t, z)
	conf := config(z, z.Credentials(t))
	conf.StateDir = t.TempDir()
	for _, kind := range []string{"dns-01", "dns-account-01", "dns-persist-01"} {
		t.Run(kind, func(t *testing.T) {
			if err := c.obtain(t, newAuthenticator(t, conf), kind, kind+".example.org", "*."+kind+".example.org"); err != nil {
				t.Fatal(err)
			}
			if len(notes(t, conf.StateDir)) != 0 {
				t.Errorf("notes are left: %v", notes(t, conf.StateDir))
			}
		})
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.dns-01.example.org"); len(got) != 0 {
		t.Errorf("dns-01 left %q", got)
	}
	lasting := z.TXT(t, z.Primary, "_validation-persist.dns-persist-01.example.org")
	if len(lasting) != 1 || !strings.Contains(lasting[0], "; accounturi="+c.account.URL+"; policy=wildcard") {
		t.Errorf("dns-persist-01 left %q, want one value for the account and the wildcard", lasting)
	}
	// A second certificate needs nothing new.
	if err := c.obtain(t, newAuthenticator(t, conf), "dns-persist-01", "dns-persist-01.example.org"); err != nil {
		t.Error(err)
	}
	if got := z.TXT(t, z.Primary, "_validation-persist.dns-persist-01.example.org"); !slices.Equal(got, lasting) {
		t.Errorf("after the second certificate there is %q", got)
	}
}

func TestAFailedValidationLeavesNothing(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	elsewhere := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	c := newClient(t, elsewhere) // the CA sees other servers
	auth := newAuthenticator(t, config(z, z.Credentials(t)))
	err := c.obtain(t, auth, "dns-01", "www.example.org")
	var refused *issuance.AuthorizationError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want that the CA has not seen the answer", err)
	}
	if got := z.TXT(t, z.Primary, "_acme-challenge.www.example.org"); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
}
