// Package dns holds the tests of the DNS authenticators against real name servers.
package dns

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/authenticator"
	"vidimus/internal/authenticator/dns"
	"vidimus/internal/identifier"
)

func TestMain(m *testing.M) {
	if os.Getenv("VIDIMUS_TEST_PRESENT") != "" {
		presentAndHang()
	}
	if os.Getenv("VIDIMUS_TEST_PROGRAM") != "" {
		startAndHang()
	}
	os.Exit(m.Run())
}

// config is how to update the zones by RFC 2136.
func config(z *peer.Zones, credentials string) dns.Config {
	options := map[string]string{"dns_rfc2136_credentials": credentials}
	return dns.Config{Plugin: "dns-rfc2136", Option: func(n string) string { return options[n] },
		Resolver: z.Primary, AuthorityPort: z.Port}
}

// with sets one more option.
func with(c dns.Config, name, value string) dns.Config {
	old := c.Option
	c.Option = func(n string) string {
		if n == name {
			return value
		}
		return old(n)
	}
	return c
}

func newAuthenticator(t *testing.T, c dns.Config) authenticator.Authenticator {
	t.Helper()
	a, err := dns.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// challenge is a dns-01 challenge; its value is the digest of key.
func challenge(name, key string) authenticator.Challenge {
	base, wildcard := strings.CutPrefix(name, "*.")
	return authenticator.Challenge{Identifier: identifier.Identifier{Type: identifier.DNS, Value: base}, Type: "dns-01",
		Token: key, KeyAuthorization: key + ".thumbprint", Wildcard: wildcard}
}

// logged keeps what is logged.
func logged(t *testing.T) (*slog.Logger, *peer.Output) {
	out := new(peer.Output)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logged:\n%s", out)
		}
	})
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), out
}

// notes lists the notes of values to be removed.
func notes(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var ctx = context.Background()
