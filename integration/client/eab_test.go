package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// TestBothHalves registers at vidimusd with EAB credentials, from a file, and has
// pre-authorised names certified without any challenge.
func TestBothHalves(t *testing.T) {
	t.Parallel()
	v := peer.StartVidimusd(t)
	c := v.NewACMEID(t, "web.client.example.org", "www.client.example.org")
	h := newHome(t, &peer.Pebble{Directory: c.Directory, CABundle: v.CABundle, HTTPPort: peer.FreePort(t)})
	key := filepath.Join(h.dir, "hmac")
	if err := os.WriteFile(key, []byte(c.HMACKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	register := []string{"register", "--server", c.Directory, "--agree-tos", "-m", "admin@example.org", "--eab-kid", c.KID, "--eab-hmac-key-file", key}
	peer.Must(t, h.vidimus(t, register...))
	out, status := peer.Run(t, h.vidimus(t, register...))
	if status != 1 || !strings.Contains(out, "There is an existing account") {
		t.Errorf("registering again: exit status %d\n%s", status, out)
	}
	peer.Must(t, h.vidimus(t, "certonly", "--server", c.Directory, "-d", strings.Join(c.Names, ",")))
	peer.Must(t, h.vidimus(t, renewAll()...))
	if v := h.version(t, c.Names[0]); v != 2 {
		t.Errorf("version %d", v)
	}
	out, status = peer.Run(t, h.vidimus(t, "certonly", "--server", c.Directory, "-d", "foreign.example.org"))
	if status != 1 || !strings.Contains(out, "foreign.example.org") {
		t.Errorf("a name of others: exit status %d\n%s", status, out)
	}
	peer.Must(t, h.vidimus(t, "revoke", "--cert-name", c.Names[0]))

	// The credentials worked once.
	other := newHome(t, h.pebble)
	if out, status := peer.Run(t, other.vidimus(t, register...)); status != 1 {
		t.Errorf("used credentials: exit status %d\n%s", status, out)
	}
	log, err := os.ReadFile(filepath.Join(h.dir, "logs", "letsencrypt.log"))
	if err != nil || strings.Contains(string(log), c.HMACKey) {
		t.Errorf("the HMAC key is in the log (%v)", err)
	}
}
