package dns

import (
	"os"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

func TestVidimusdAcceptsEveryTypeOfAnswer(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	v := peer.StartVidimusd(t, "--resolver", z.Primary)
	v.Kill()
	data, err := os.ReadFile(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), "  # challenges: [http-01, dns-01, tls-alpn-01]", "  challenges: [dns-01, dns-account-01, dns-persist-01]", 1)
	if changed == string(data) {
		t.Fatal("the configuration does not mention challenges")
	}
	if err := os.WriteFile(v.Config, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
	c := newClientOf(t, v.DirectoryOpen)
	conf := config(z, z.Credentials(t))
	conf.StateDir = t.TempDir()
	for _, kind := range []string{"dns-01", "dns-account-01", "dns-persist-01"} {
		t.Run(kind, func(t *testing.T) {
			if err := c.obtain(t, newAuthenticator(t, conf), kind, kind+".example.org", "*."+kind+".example.org"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
