package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

func (h *home) conf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(h.config("renewal", name+".conf"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestDryRunSavesNothing tries a new certificate, and one that is there.
func TestDryRunSavesNothing(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=100")...)
	h := newHome(t, p)
	hooks := []string{"--pre-hook", "touch " + h.dir + "/pre", "--post-hook", "touch " + h.dir + "/post", "--deploy-hook", "touch " + h.dir + "/deploy"}
	args := append(h.standalone("a.example.org"), hooks...)
	out := peer.Must(t, h.vidimus(t, append(args, "--dry-run")...))
	for _, want := range []string{"Simulating a certificate request for a.example.org\n", "The dry run was successful.\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for name, want := range map[string]bool{"pre": true, "post": true, "deploy": false, "config/live": false, "config/archive": false, "config/renewal": false} {
		if _, err := os.Stat(filepath.Join(h.dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v", name, !want)
		}
	}
	if !strings.Contains(p.Log.String(), "DEACTIVATED") && !strings.Contains(strings.ToLower(p.Log.String()), "deactivat") {
		t.Log("Pebble does not say that the authorization was given back")
	}
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	before := h.conf(t, "a.example.org")
	out = peer.Must(t, h.vidimus(t, append(args, "--dry-run", "--run-deploy-hooks", "--key-type", "rsa", "--cert-name", "a.example.org")...))
	if !strings.Contains(out, "Simulating renewal of an existing certificate for a.example.org\n") || h.version(t, "a.example.org") != 1 || h.conf(t, "a.example.org") != before {
		t.Errorf("something changed:\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "deploy")); err != nil {
		t.Error("--run-deploy-hooks runs none")
	}
}

// TestTrustedCertificateIsNotReplacedByATestCertificate takes a server for one that is
// for tests by its URL, as Certbot does.
func TestTrustedCertificateIsNotReplacedByATestCertificate(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	trap := append(h.standalone("a.example.org"), "--force-renewal", "--server", p.Directory+"?staging")
	out, status := peer.Run(t, h.vidimus(t, trap...))
	if status != 1 || !strings.Contains(out, "--break-my-certs") || h.version(t, "a.example.org") != 1 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	out, status = peer.Run(t, h.vidimus(t, renewAll("--server", p.Directory+"?staging")...))
	if status != 1 || !strings.Contains(out, "--break-my-certs") || h.version(t, "a.example.org") != 1 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	peer.Must(t, h.vidimus(t, append(trap, "--break-my-certs")...))
	if out := peer.Must(t, h.vidimus(t, "certificates")); h.version(t, "a.example.org") != 2 || !strings.Contains(out, "(INVALID: TEST_CERT)") {
		t.Error(out)
	}
}

// TestReconfigure changes what a lineage is renewed with, only if it works.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...)
	h := newHome(t, p)
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	before := h.conf(t, "a.example.org")
	name := []string{"reconfigure", "--cert-name", "a.example.org"}
	for want, more := range map[string][]string{
		"so nothing was changed":                         {"--webroot", "-w", t.TempDir()},
		"to change the ACME account or server":           {"--server", "https://ca.example.org/dir"},
		"cannot be used to modify the domains":           {"-d", "b.example.org"},
		"--dry-run currently only works":                 {"--dry-run"},
		"unable to find deploy-hook command nonexistent": {"--deploy-hook", "nonexistent"},
	} {
		out, status := peer.Run(t, h.vidimus(t, append(name, more...)...))
		if status == 0 || !strings.Contains(out, want) || h.conf(t, "a.example.org") != before {
			t.Errorf("%v: exit status %d\n%s", more, status, out)
		}
	}
	if out := peer.Must(t, h.vidimus(t, name...)); !strings.Contains(out, "No changes were made to the renewal configuration.") {
		t.Error(out)
	}
	root, ran := t.TempDir(), filepath.Join(h.dir, "ran")
	h.serve(t, root)
	out := peer.Must(t, h.vidimus(t, append(name, "--webroot", "-w", root, "--deploy-hook", "echo $RENEWED_DOMAINS >>"+ran, "--run-deploy-hooks")...))
	if !strings.Contains(out, "Successfully updated configuration.\nChanges will apply when the certificate renews.") {
		t.Error(out)
	}
	after := h.conf(t, "a.example.org")
	for _, want := range []string{"authenticator = webroot\n", "webroot_path = " + root + ",\n", "renew_hook = echo $RENEWED_DOMAINS >>"} {
		if !strings.Contains(after, want) {
			t.Errorf("%q is missing in\n%s", want, after)
		}
	}
	peer.Must(t, h.vidimus(t, renewAll()...))
	if told, _ := os.ReadFile(ran); string(told) != "a.example.org\na.example.org\n" || h.version(t, "a.example.org") != 2 {
		t.Errorf("deploy hooks: %s", told)
	}
}

// TestAccountOverItsLife changes the address of an account and looks at it, beside
// another one at the same CA.
func TestAccountOverItsLife(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h, other := newHome(t, p), newHome(t, p)
	at := []string{"--server", p.Directory}
	with := func(verb string, more ...string) []string { return append(append([]string{verb}, at...), more...) }
	out, status := peer.Run(t, h.vidimus(t, with("update_account", "-m", "new@example.org")...))
	if status != 1 || !strings.Contains(out, "Could not find an existing account for server "+p.Directory) {
		t.Errorf("exit status %d\n%s", status, out)
	}
	peer.Must(t, h.vidimus(t, with("register", "--agree-tos")...)) // no address is needed
	for _, step := range []struct{ args, says, shows string }{
		{"-m new@example.org", "Your e-mail address was updated to new@example.org.", "Email contact: new@example.org"},
		{"-m a@example.org,b@example.org", "updated to a@example.org,b@example.org.", "Email contacts: a@example.org, b@example.org"},
		{"--register-unsafely-without-email", "Any contact information associated with this account has been removed.", "Email contact: none"},
	} {
		if out := peer.Must(t, h.vidimus(t, with("update_account", strings.Fields(step.args)...)...)); !strings.Contains(out, step.says) {
			t.Errorf("%s says\n%s", step.args, out)
		}
		out := peer.Must(t, h.vidimus(t, with("show_account")...))
		if !strings.Contains(out, step.shows) || !strings.Contains(out, "  Account Thumbprint: ") {
			t.Errorf("after %s:\n%s", step.args, out)
		}
	}
	if out, status := peer.Run(t, h.vidimus(t, with("update_account")...)); status != 2 {
		t.Errorf("exit status %d\n%s", status, out)
	}

	// The account of another server, brought over by copying, makes two of them.
	peer.Must(t, other.vidimus(t, with("register", "--agree-tos", "-m", "other@example.org")...))
	found, _ := filepath.Glob(other.config("accounts/*/*/*"))
	if err := os.CopyFS(strings.Replace(found[0], other.dir, h.dir, 1), os.DirFS(found[0])); err != nil {
		t.Fatal(err)
	}
	id := filepath.Base(found[0])
	if out, status := peer.Run(t, h.vidimus(t, with("show_account")...)); status != 1 || !strings.Contains(out, "choose with --account one of ") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if out := peer.Must(t, h.vidimus(t, with("show_account", "--account", id)...)); !strings.Contains(out, "other@example.org") {
		t.Error(out)
	}
	listing, term := h.onTerminal(t, with("unregister")...)
	term.answer("Please choose an account", "1")
	term.answer("irrevocably deactivate", "d")
	if status := term.wait(); status != 0 {
		t.Errorf("exit status %d\n%s", status, listing)
	}
	if left, _ := filepath.Glob(h.config("accounts/*/*/*")); len(left) != 1 {
		t.Errorf("accounts: %v", left)
	}
}

// TestMoreLineages makes one beside another, keeps one, changes its names and gets one
// without a name that can't be proved.
func TestMoreLineages(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	one := h.standalone("a.example.org")
	peer.Must(t, h.vidimus(t, one...))
	peer.Must(t, h.vidimus(t, append(one, "--duplicate")...))
	if v := h.version(t, "a.example.org-0001"); v != 1 {
		t.Errorf("version %d", v)
	}
	if out := peer.Must(t, h.vidimus(t, append(one, "--keep")...)); !strings.Contains(out, "no action taken") {
		t.Error(out)
	}
	out, status := peer.Run(t, h.vidimus(t, append(one, "-d", "b.example.org")...))
	if status != 1 || !strings.Contains(out, "--duplicate") || !strings.Contains(out, "--expand") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	peer.Must(t, h.vidimus(t, append(h.standalone("b.example.org"), "--cert-name", "a.example.org", "--renew-with-new-domains")...))
	if c := h.certs(t, h.config("live/a.example.org/cert.pem"))[0]; strings.Join(c.DNSNames, " ") != "b.example.org" {
		t.Errorf("names: %v", c.DNSNames)
	}
	// The lineage says how control is proved.
	peer.Must(t, h.vidimus(t, "certonly", "--cert-name", "a.example.org", "--server", p.Directory, "--force-renewal"))
	if v := h.version(t, "a.example.org"); v != 3 {
		t.Errorf("version %d", v)
	}

	root := t.TempDir()
	h.serve(t, root)
	ran := filepath.Join(h.dir, "ran")
	out = peer.Must(t, h.vidimus(t, "certonly", "--webroot", "-w", root, "-d", "c.example.org", "-w", t.TempDir(), "-d", "d.example.org",
		"--server", p.Directory, "--allow-subset-of-names", "--deploy-hook", "echo $RENEWED_DOMAINS >"+ran))
	c := h.certs(t, h.config("live/c.example.org/cert.pem"))[0]
	if told, _ := os.ReadFile(ran); strings.Join(c.DNSNames, " ") != "c.example.org" || string(told) != "c.example.org\n" {
		t.Errorf("names: %v, hooks: %s\n%s", c.DNSNames, told, out)
	}
}

// TestMustStapleAndProfiles end up in the certificate and in the lineage.
func TestMustStapleAndProfiles(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	peer.Must(t, h.vidimus(t, append(h.standalone("a.example.org"), "--must-staple", "--preferred-profile", "nonexistent", "--preferred-chain", "nobody", "--issuance-timeout", "30")...))
	conf := h.conf(t, "a.example.org")
	for _, want := range []string{"must_staple = True\npreferred_profile = nonexistent\npreferred_chain = nobody\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("%q is missing in\n%s", want, conf)
		}
	}
	out, status := peer.Run(t, h.vidimus(t, append(h.standalone("b.example.org"), "--required-profile", "nonexistent")...))
	if status != 1 || !strings.Contains(out, "nonexistent") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// TestLineagesOfPluginsThatAreNotHere fail alone, and can be given another plugin.
func TestLineagesOfPluginsThatAreNotHere(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	for name, plugin := range map[string]string{"a.example.org": "nginx\ninstaller = nginx", "b.example.org": "dns-hetzner:dns-hetzner\ndns_hetzner:dns_hetzner_credentials = /x.ini", "c.example.org": ""} {
		peer.Must(t, h.vidimus(t, h.standalone(name)...))
		if plugin != "" {
			conf := strings.Replace(h.conf(t, name), "authenticator = standalone", "authenticator = "+plugin, 1)
			if err := os.WriteFile(h.config("renewal", name+".conf"), []byte(conf), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, status := peer.Run(t, h.vidimus(t, renewAll()...))
	for _, want := range []string{`the authenticator "nginx" is not known here`, `the authenticator "dns-hetzner:dns-hetzner" is not known here`, "c.example.org/fullchain.pem (success)", "2 renew failure(s), 0 parse failure(s)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if status != 1 || h.version(t, "c.example.org") != 2 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	root := t.TempDir()
	h.serve(t, root)
	peer.Must(t, h.vidimus(t, "reconfigure", "--cert-name", "a.example.org", "--webroot", "-w", root))
	peer.Must(t, h.vidimus(t, renewAll("--cert-name", "a.example.org")...))
	if h.version(t, "a.example.org") != 2 {
		t.Error("not renewed")
	}
}
