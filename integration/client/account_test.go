package client

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// TestAccountThatTheCALost checks the way out when a CA does not know an account any
// more.
func TestAccountThatTheCALost(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	with := func(verb string, more ...string) []string {
		return append([]string{verb, "--server", p.Directory}, more...)
	}
	peer.Must(t, h.vidimus(t, with("register", "--agree-tos")...))
	found, _ := filepath.Glob(h.config("accounts/*/*/*/regr.json"))
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	data = regexp.MustCompile(`my-account/[^"]+`).ReplaceAll(data, []byte("my-account/lost"))
	if err := os.WriteFile(found[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{with("show_account"), with("update_account", "-m", "a@example.org")} {
		if out, status := peer.Run(t, h.vidimus(t, args...)); status != 1 || !strings.Contains(out, "'unregister' forgets it here") {
			t.Errorf("%v: exit status %d\n%s", args, status, out)
		}
	}
	if out := peer.Must(t, h.vidimus(t, with("unregister")...)); !strings.Contains(out, "The CA does not know this account") {
		t.Error(out)
	}
	peer.Must(t, h.vidimus(t, with("register", "--agree-tos")...))
}
