package client

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// apart runs a program and returns what it printed on its two outputs.
func apart(cmd *exec.Cmd) (stdout, stderr string) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String()
}

// TestNamesThatAreLeftOutAreTold checks that nobody finds out from clients that a
// certificate lacks a name.
func TestNamesThatAreLeftOutAreTold(t *testing.T) {
	t.Parallel()
	p := peer.StartPebbleWith(t, peer.PebbleOptions{Env: peer.Quick, Blocked: []string{"blocked.example.org"}})
	h := newHome(t, p)
	out, errs := apart(h.vidimus(t, append(h.standalone("a.example.org", "blocked.example.org"), "--allow-subset-of-names", "-q")...))
	if out != "" || !strings.Contains(errs, "blocked.example.org is left out of the certificate: ") {
		t.Errorf("standard output:\n%s\nstandard error:\n%s", out, errs)
	}
	if h.version(t, "a.example.org") != 1 {
		t.Error("there is no certificate without it")
	}
}

// TestQuietTellsWhatTheCAFound checks that the mail from cron is enough to know what to
// do.
func TestQuietTellsWhatTheCAFound(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	args := append(h.webroot(t.TempDir(), "a.example.org"), "-q") // which nobody serves
	out, errs := apart(h.vidimus(t, args...))
	if out != "" || !strings.Contains(errs, "Domain: a.example.org\n  Type:   connection\n") || !strings.Contains(errs, "Some challenges have failed.") {
		t.Errorf("standard output:\n%s\nstandard error:\n%s", out, errs)
	}
}

// TestJSONStaysJSON renews with hooks that print: standard output is for programs, and
// what hooks say is told beside it.
func TestJSONStaysJSON(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...)
	h := newHome(t, p)
	root := t.TempDir()
	h.serve(t, root)
	auth, cleanup, _ := httpHooks(t, root)
	peer.Must(t, h.vidimus(t, "certonly", "--manual", "--manual-auth-hook", auth, "--manual-cleanup-hook", cleanup, "--preferred-challenges", "http",
		"-d", "a.example.org", "--server", p.Directory, "--agree-tos", "--register-unsafely-without-email", "--deploy-hook", "echo deployed"))
	out, errs := apart(h.vidimus(t, renewAll("--json")...))
	var results []struct{ Name, Outcome string }
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != 1 || results[0].Outcome != "success" {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"Hook '--manual-auth-hook' for a.example.org ran with output:\n placed ", "Hook 'deploy-hook' ran with output:\n deployed\n"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is missing in\n%s", want, errs)
		}
	}
}

// TestHooksAreToldInOrder checks that both outputs in one file read as what happened.
func TestHooksAreToldInOrder(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	out := peer.Must(t, h.vidimus(t, renewAll("--pre-hook", "echo before", "--deploy-hook", "echo deployed >&2")...))
	at := -1
	for _, want := range []string{"Hook 'pre-hook' ran with output:\n before\n", "Processing ", "Hook 'deploy-hook' ran with error output:\n deployed\n", "Congratulations"} {
		next := strings.Index(out, want)
		if next <= at {
			t.Fatalf("%q is missing or out of order in\n%s", want, out)
		}
		at = next
	}
}

// TestManyNames has a hundred names certified, and checks that an error about them
// stays readable.
func TestManyNames(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("n%03d.example.org", i))
	}
	peer.Must(t, h.vidimus(t, h.standalone(names...)...))
	if got := len(h.certs(t, h.config("live/n000.example.org/cert.pem"))[0].DNSNames); got != len(names) {
		t.Errorf("%d names", got)
	}
	_, errs := apart(h.vidimus(t, append(h.standalone(append(names, "more.example.org")...), "-q")...))
	if !strings.Contains(errs, "(n000.example.org and 99 more domains): give --expand") {
		t.Error(errs)
	}
}
