package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// TestProgramsExcludeEachOther has each program try while the other one is at work.
func TestProgramsExcludeEachOther(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	p := peer.StartPebble(t, peer.Quick...)
	type maker = func(*home, ...string) *exec.Cmd
	makers := map[string]maker{
		"certbot": func(h *home, args ...string) *exec.Cmd { return h.certbot(t, args...) },
		"vidimus": func(h *home, args ...string) *exec.Cmd { return h.vidimus(t, args...) },
	}
	for _, holder := range []string{"vidimus", "certbot"} {
		h := newHome(t, p)
		begun, gate := filepath.Join(h.dir, "begun"), filepath.Join(h.dir, "gate")
		hook := "touch " + begun + "; while [ ! -e " + gate + " ]; do sleep 0.01; done"
		cmd := makers[holder](h, append(h.standalone("a.example.org"), "--deploy-hook", hook)...)
		peer.Start(t, cmd)
		peer.Eventually(t, holder+" runs its hook", func() bool { _, err := os.Stat(begun); return err == nil })
		for other, make := range makers {
			out, status := peer.Run(t, make(h, "certificates"))
			if status != 1 || !strings.Contains(out, "Another instance of Certbot is already running.") {
				t.Errorf("%s while %s runs: exit status %d\n%s", other, holder, status, out)
			}
		}
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", holder, err)
		}
		peer.Must(t, makers["vidimus"](h, "certificates"))
	}
}
