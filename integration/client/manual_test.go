package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// httpHooks are hooks for http-01 as people write them for Certbot: they place a file
// below root, and write down what they were told.
func httpHooks(t *testing.T, root string) (auth, cleanup, log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	auth, cleanup = filepath.Join(dir, "auth.sh"), filepath.Join(dir, "cleanup.sh")
	for path, text := range map[string]string{
		auth: `mkdir -p ` + root + `/.well-known/acme-challenge
printf %s "$CERTBOT_VALIDATION" >` + root + `/.well-known/acme-challenge/$CERTBOT_TOKEN
echo "auth $CERTBOT_DOMAIN $CERTBOT_REMAINING_CHALLENGES $CERTBOT_ALL_DOMAINS" >>` + log + `
echo "placed $CERTBOT_TOKEN"`,
		cleanup: `rm ` + root + `/.well-known/acme-challenge/$CERTBOT_TOKEN
echo "cleanup $CERTBOT_DOMAIN ${CERTBOT_AUTH_OUTPUT%% *}" >>` + log,
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return auth, cleanup, log
}

// TestManualHooksOfEitherProgram has each program renew, with its hooks, what the other
// one obtained, and compares what they keep about it.
func TestManualHooksOfEitherProgram(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...)
	root := t.TempDir()
	(&home{pebble: p}).serve(t, root)
	auth, cleanup, log := httpHooks(t, root)
	// One time in a hundred Pebble reuses a proof of control even with PEBBLE_AUTHZREUSE=0;
	// its log tells how many it has asked for.
	proofs := func() int { return strings.Count(p.Log.String(), "authorizations in the db") }
	var confs [2]string
	for i, program := range []string{"certbot", "vidimus"} {
		h, before := newHome(t, p), proofs()
		one, two := h.certbot, h.vidimus
		if program == "vidimus" {
			one, two = two, one
		}
		out := peer.Must(t, one(t, "certonly", "--manual", "--manual-auth-hook", auth, "--manual-cleanup-hook", cleanup, "--preferred-challenges", "http",
			"-d", "a.example.org", "--server", p.Directory, "--agree-tos", "--register-unsafely-without-email"))
		for _, want := range []string{"Hook '--manual-auth-hook' for a.example.org ran with output:\n placed ", "Successfully received certificate."} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
		data, err := os.ReadFile(h.config("renewal/a.example.org.conf"))
		if err != nil {
			t.Fatal(err)
		}
		confs[i] = dropLine(dropLine(strings.ReplaceAll(string(data), h.dir, "DIR"), "version = "), "account = ")
		peer.Must(t, two(t, renewAll()...))
		if v := h.version(t, "a.example.org"); v != 2 {
			t.Errorf("version %d", v)
		}
		asked := proofs() - before
		want := strings.Repeat("auth a.example.org 0 a.example.org\ncleanup a.example.org placed\n", asked)
		if told, _ := os.ReadFile(log); asked == 0 || string(told) != want {
			t.Errorf("Pebble asked for %d proofs; the hooks were told\n%s", asked, told)
		}
		os.Remove(log)
		isEmpty(t, filepath.Join(root, ".well-known/acme-challenge"))
	}
	if confs[0] != confs[1] {
		t.Errorf("certbot writes\n%s\nvidimus writes\n%s", confs[0], confs[1])
	}
}

// TestManualByHand is the dialogue, with a person who does what is asked for.
func TestManualByHand(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	root := t.TempDir()
	h.serve(t, root)
	out, term := h.onTerminal(t, "certonly", "--manual", "-d", "a.example.org", "--server", p.Directory)
	term.answer("Enter email address or hit Enter to skip.", "")
	term.answer("Please read the Terms of Service", "y")
	term.expect("Press Enter to Continue")
	shown := strings.Fields(out.String())
	var value, url string
	for i, word := range shown {
		if word == "data:" {
			value = shown[i+1]
		}
		if strings.HasPrefix(word, "http://a.example.org/.well-known/") {
			url = word
		}
	}
	file := filepath.Join(root, strings.TrimPrefix(url, "http://a.example.org/"))
	os.MkdirAll(filepath.Dir(file), 0o755)
	if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
	term.answer("Press Enter to Continue", "")
	if status := term.wait(); status != 0 {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	for _, want := range []string{"Create a file containing just this data", "This certificate will not be renewed automatically."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	// Nobody is there to ask when it is due.
	report, status := peer.Run(t, h.vidimus(t, renewAll()...))
	if status != 1 || !strings.Contains(report, "--manual-auth-hook") {
		t.Errorf("exit status %d\n%s", status, report)
	}
}
