package client

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vidimus/integration/peer"
)

// kills is how often a renewal is killed.
const kills = 50

// TestRenewKeepsOldOrNewWhenKilled kills renewals at random moments. Nothing heals
// between a kill and the look at what it left.
func TestRenewKeepsOldOrNewWhenKilled(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	peer.Must(t, h.vidimus(t, append(h.standalone("a.example.org", "b.example.org"), "--deploy-hook", "true")...))
	took := h.duration(t)
	seed := rand.Uint64()
	t.Logf("seed %d, a renewal takes %v", seed, took)
	random := rand.New(rand.NewPCG(seed, 0))
	versions := map[int]bool{}
	for i := range kills {
		after := time.Duration(random.Int64N(int64(took) * 11 / 10))
		killAfter(t, h.vidimus(t, renewAll()...), after)
		versions[h.version(t, "a.example.org")] = true
		h.noOrphanKeys(t)
		peer.Must(t, h.vidimus(t, "certificates"))
		if certbot, err := exec.LookPath("certbot"); err == nil && i%10 == 9 {
			if out := peer.Must(t, h.command(certbot, []string{"certificates"})); !strings.Contains(out, "VALID") {
				t.Errorf("certbot says\n%s", out)
			}
		}
		if t.Failed() {
			t.Fatalf("after kill %d, %v after the start", i+1, after)
		}
	}
	if len(versions) < 3 {
		t.Errorf("the kills hit always the same moment: only %d versions were seen", len(versions))
	}
	before := h.version(t, "a.example.org")
	peer.Must(t, h.vidimus(t, renewAll()...))
	if v := h.version(t, "a.example.org"); v <= before {
		t.Errorf("version %d after %d", v, before)
	}
	h.noLeftovers(t)
	before = h.version(t, "a.example.org")
	peer.Must(t, h.certbot(t, renewAll()...))
	if v := h.version(t, "a.example.org"); v <= before {
		t.Errorf("certbot: version %d after %d", v, before)
	}
	h.agree(t)
}

// duration measures a renewal.
func (h *home) duration(t *testing.T) time.Duration {
	t.Helper()
	longest := time.Duration(0)
	for range 3 {
		start := time.Now()
		peer.Must(t, h.vidimus(t, renewAll()...))
		longest = max(longest, time.Since(start))
	}
	return longest
}

func killAfter(t *testing.T, cmd *exec.Cmd, after time.Duration) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // killed or, when it was quicker, done
}

// noLeftovers checks that no temporary file is left, after a run that was not killed.
func (h *home) noLeftovers(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(h.config(), func(path string, d fs.DirEntry, err error) error {
		if name := filepath.Base(path); strings.HasSuffix(name, ".tmp") || strings.HasPrefix(name, ".vidimus-") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// noOrphanKeys checks that each private key below the directory stands beside the
// certificate it belongs to.
func (h *home) noOrphanKeys(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(h.config(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(data, []byte("PRIVATE KEY")) {
			return nil
		}
		cert := filepath.Join(filepath.Dir(path), strings.Replace(filepath.Base(path), "privkey", "cert", 1))
		if cert == path {
			t.Errorf("a private key in %s", path)
			return nil
		}
		h.pair(t, cert, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFirstCertificateKilledCanBeHadAgain kills the making of a new lineage.
func TestFirstCertificateKilledCanBeHadAgain(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	start := time.Now()
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	took := time.Since(start)
	seed := rand.Uint64()
	t.Logf("seed %d, a certificate takes %v", seed, took)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		h := newHome(t, p)
		killAfter(t, h.vidimus(t, h.standalone("a.example.org")...), time.Duration(random.Int64N(int64(took))))
		if _, err := os.Stat(h.config()); err != nil {
			continue // killed before it did anything
		}
		h.noOrphanKeys(t)
		peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
		if v := h.version(t, "a.example.org"); v != 1 {
			t.Errorf("version %d", v)
		}
		h.noLeftovers(t)
	}
}

// TestDeployHookRunsAfterAKill kills vidimus while its hook runs, and between the
// two steps before it, which a hook directory in the way makes long.
func TestDeployHookRunsAfterAKill(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	started, done, gate := filepath.Join(h.dir, "started"), filepath.Join(h.dir, "done"), filepath.Join(h.dir, "gate")
	hook := "touch " + started + "; while [ ! -e " + gate + " ]; do sleep 0.01; done; echo \"$RENEWED_LINEAGE\" >> " + done
	os.WriteFile(gate, nil, 0o644)
	peer.Must(t, h.vidimus(t, append(h.standalone("a.example.org"), "--deploy-hook", hook)...))
	os.Remove(gate)
	os.Remove(started)
	os.Remove(done)

	cmd := h.vidimus(t, renewAll()...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peer.Eventually(t, "the hook has begun", func() bool { _, err := os.Stat(started); return err == nil })
	serial := h.serial(t, "a.example.org")
	cmd.Process.Kill()
	cmd.Wait()
	os.WriteFile(gate, nil, 0o644) // the hook of the dead program may end too
	peer.Eventually(t, "the orphaned hook has ended", func() bool { _, err := os.Stat(done); return err == nil })
	os.Remove(done)

	out := peer.Must(t, h.vidimus(t, "renew", "--no-random-sleep-on-renew"))
	if data, _ := os.ReadFile(done); string(data) != h.config("live/a.example.org")+"\n" {
		t.Errorf("the hook has not run again (%q):\n%s", data, out)
	}
	if h.serial(t, "a.example.org") != serial {
		t.Error("another certificate was ordered")
	}
	os.Remove(done)
	peer.Must(t, h.vidimus(t, "renew", "--no-random-sleep-on-renew"))
	if _, err := os.Stat(done); err == nil {
		t.Error("the hook ran once more, for nothing")
	}
}

// TestStoredVersionIsUsedNotOrderedAgain is about a kill after the new version was
// stored and before the links changed.
func TestStoredVersionIsUsedNotOrderedAgain(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	done := filepath.Join(h.dir, "done")
	peer.Must(t, h.vidimus(t, append(h.standalone("a.example.org"), "--deploy-hook", "echo x >> "+done)...))
	peer.Must(t, h.vidimus(t, renewAll()...))
	serial := h.serial(t, "a.example.org")
	for _, kind := range []string{"cert", "privkey", "chain", "fullchain"} {
		link := h.config("live/a.example.org", kind+".pem")
		os.Remove(link)
		os.Symlink("../../archive/a.example.org/"+kind+"1.pem", link)
	}
	os.Remove(done)
	peer.Must(t, h.vidimus(t, "renew", "--no-random-sleep-on-renew"))
	if v := h.version(t, "a.example.org"); v != 2 || h.serial(t, "a.example.org") != serial {
		t.Errorf("version %d is in use", v)
	}
	if data, _ := os.ReadFile(done); string(data) != "x\n" {
		t.Errorf("the deploy hook ran %d times", bytes.Count(data, []byte("x")))
	}
}

// many is a home with lineages that are due, and with an account.
func many(t *testing.T, h *home, n int) (names []string) {
	t.Helper()
	for i := range n {
		names = append(names, fmt.Sprintf("m%02d.example.org", i))
	}
	peer.Must(t, h.vidimus(t, "register", "--server", h.pebble.Directory, "--agree-tos", "-m", "admin@example.org", "--no-eff-email"))
	peer.WriteLineages(t, h.config(), h.pebble.Directory, h.pebble.HTTPPort, names...)
	return names
}

// versions checks that all lineages are whole, and returns which versions are in use.
func (h *home) versions(t *testing.T, names []string) map[string]int {
	t.Helper()
	versions := map[string]int{}
	for _, name := range names {
		v, err := peer.Whole(h.config(), name)
		if err != nil {
			t.Errorf("the lineage %s is not whole: %v", name, err)
		}
		versions[name] = v
	}
	return versions
}

// TestParallelRenewalKilled kills the renewal of many lineages at random moments.
// What a kill left is looked at before anything can heal it; then a renewal without
// force has the deploy hooks run that the kill kept back, and orders nothing that
// was renewed already.
func TestParallelRenewalKilled(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...))
	names := many(t, h, 30)
	hooked := filepath.Join(h.dir, "hooked")
	hook := []string{"--deploy-hook", `echo "$(basename $RENEWED_LINEAGE) $(basename $(readlink $RENEWED_LINEAGE/cert.pem))" >> ` + hooked}
	start := time.Now()
	peer.Must(t, h.vidimus(t, renewAll(hook...)...))
	took := time.Since(start)
	seed := rand.Uint64()
	t.Logf("seed %d, a renewal takes %v", seed, took)
	random := rand.New(rand.NewPCG(seed, 0))
	before, some := h.versions(t, names), 0
	for i := range 20 {
		after := time.Duration(random.Int64N(int64(took)))
		killAfter(t, h.vidimus(t, renewAll(hook...)...), after)
		left := h.versions(t, names)
		h.noOrphanKeys(t)
		if i%5 == 0 {
			h.agree(t)
		}
		renewed := 0
		for name, v := range left {
			if v > before[name] {
				renewed++
			}
		}
		if renewed > 0 && renewed < len(names) {
			some++
		}
		out := peer.Must(t, h.vidimus(t, append(hook, "renew", "--no-random-sleep-on-renew")...))
		before = h.versions(t, names)
		h.checkHooked(t, hooked, before)
		if strings.Contains(out, "Renewing an existing certificate") {
			t.Error("a certificate was ordered that was not due")
		}
		if t.Failed() {
			t.Fatalf("kill %d, %v after the start; the renewal after it said\n%s", i+1, after, out)
		}
	}
	if some == 0 {
		t.Error("no kill came when some lineages were renewed and others not")
	}
	h.agree(t)
}

// checkHooked checks that the deploy hook ran for each version that is in use.
func (h *home) checkHooked(t *testing.T, file string, versions map[string]int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range versions {
		if line := fmt.Sprintf("%s cert%d.pem\n", name, v); !strings.Contains(string(data), line) {
			t.Errorf("the deploy hook for version %d of %s has not run", v, name)
		}
	}
}

// TestInterruptedParallelRenewal interrupts as a person does with Ctrl-C, or systemd
// when it stops a service: it ends soon, runs the post hook and leaves all whole.
func TestInterruptedParallelRenewal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			h := newHome(t, peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...))
			names := many(t, h, 40)
			renewed, gate, post := filepath.Join(h.dir, "renewed"), filepath.Join(h.dir, "gate"), filepath.Join(h.dir, "post")
			hook := "echo x >> " + renewed + "; while [ ! -e " + gate + " ]; do sleep 0.01; done"
			cmd := h.vidimus(t, renewAll("--deploy-hook", hook, "--post-hook", "echo x >> "+post)...)
			out := peer.Start(t, cmd)
			peer.Eventually(t, "a deploy hook runs", func() bool { _, err := os.Stat(renewed); return err == nil })
			cmd.Process.Signal(sig)
			os.WriteFile(gate, nil, 0o644)
			cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != 1 {
				t.Errorf("exit status %d (%v)\n%s", status, cmd.ProcessState, out)
			}
			versions := h.versions(t, names)
			h.noOrphanKeys(t)
			if data, _ := os.ReadFile(post); string(data) != "x\n" {
				t.Errorf("the post hook ran %d times\n%s", bytes.Count(data, []byte("x")), out)
			}
			peer.Must(t, h.vidimus(t, "renew", "--no-random-sleep-on-renew"))
			for name, v := range h.versions(t, names) {
				if v != 2 {
					t.Errorf("%s: version %d after the interruption, %d after the next renewal, want 2", name, versions[name], v)
				}
			}
		})
	}
}
