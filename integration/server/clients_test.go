package server

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// The zone of these tests, in which every name is at 127.0.0.1.
const zone = "uni.test"

func TestCertbotWithEAB(t *testing.T) {
	peer.Need(t, "certbot")
	v := peer.StartVidimusd(t)
	dir := t.TempDir()
	c := v.NewACMEID(t, "a.uni.test", "b.uni.test")
	run := func(args ...string) string { t.Helper(); return peer.Must(t, certbot(t, v, dir, c.Directory, args...)) }

	run("register", "--agree-tos", "-m", "a@uni.test", "--no-eff-email", "--eab-kid", c.KID, "--eab-hmac-key", c.HMACKey)
	// Nothing listens where http-01 would be validated: the names are granted.
	run("certonly", "--standalone", "-d", "a.uni.test,b.uni.test")
	file := filepath.Join(dir, "config/live/a.uni.test/cert.pem")
	full := filepath.Join(dir, "config/live/a.uni.test/fullchain.pem")
	first := verify(t, v, full, "a.uni.test", "b.uni.test")

	run("renew", "--force-renewal", "--no-random-sleep-on-renew")
	second := verify(t, v, full, "a.uni.test", "b.uni.test")
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Fatal("the renewal gave the same certificate")
	}
	// Certbot 2.1 on Python 3.11 falls over any problem document here ("can't set
	// attribute"), so what it was told is looked up on the other side.
	if out, status := peer.Run(t, certbot(t, v, dir, c.Directory, "certonly", "--standalone", "-d", "www.uni.test")); status == 0 ||
		!strings.Contains(v.Log.String(), "www.uni.test is not among the names of ACME-ID a.uni.test") {
		t.Errorf("a name outside the set: exit status %d\n%s", status, out)
	}
	run("revoke", "--cert-path", file, "--no-delete-after-revoke", "--reason", "superseded")
	if !revoked(t, v, second.SerialNumber) || revoked(t, v, first.SerialNumber) {
		t.Error("the CRL is not right")
	}

	// The credentials are used up.
	if out, status := peer.Run(t, certbot(t, v, t.TempDir(), c.Directory, "register", "--agree-tos", "-m", "a@uni.test", "--no-eff-email",
		"--eab-kid", c.KID, "--eab-hmac-key", c.HMACKey)); status == 0 {
		t.Errorf("a second registration with the same credentials:\n%s", out)
	}
	if !strings.Contains(v.Log.String(), "these credentials have been used") {
		t.Error("the log doesn't say why")
	}
	// The host that the ACME-ID is named for goes, and with it the account.
	v.Admin(t, nil, "host", "remove", "a.uni.test")
	if out, status := peer.Run(t, certbot(t, v, dir, c.Directory, "renew", "--force-renewal", "--no-random-sleep-on-renew")); status == 0 ||
		!strings.Contains(unfold(out), "has been invalid since") && !strings.Contains(unfold(out), "is not among the names of ACME-ID") {
		// The account is known for a second after it was read; the names are not.
		t.Errorf("renewal after its host was removed: exit status %d\n%s", status, out)
	}
}

func TestCertbotOnTheOpenDirectory(t *testing.T) {
	peer.Need(t, "certbot")
	v := peer.StartVidimusd(t)
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		return peer.Must(t, certbot(t, v, dir, v.DirectoryOpen, args...))
	}
	run("certonly", "--standalone", "--http-01-port", fmt.Sprint(v.HTTPPort), "-d", "c.uni.test", "--agree-tos", "-m", "a@uni.test", "--no-eff-email")
	file := filepath.Join(dir, "config/live/c.uni.test/fullchain.pem")
	verify(t, v, file, "c.uni.test")
	run("renew", "--force-renewal", "--no-random-sleep-on-renew")
	cert := verify(t, v, file, "c.uni.test")
	run("revoke", "--cert-path", file, "--key-path", filepath.Join(dir, "config/live/c.uni.test/privkey.pem"), "--delete-after-revoke")
	if !revoked(t, v, cert.SerialNumber) {
		t.Error("the CRL doesn't name the revoked certificate")
	}
	run("update_account", "-m", "b@uni.test")
	run("unregister")
}

func TestLegoByEachChallenge(t *testing.T) {
	bin := peer.Need(t, "lego")
	named := peer.StartNamed(t, zone)
	v := peer.StartVidimusd(t, "--resolver", named.Address)
	for name, x := range map[string]struct {
		challenge []string
		domains   []string
	}{
		"http-01":     {[]string{"--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort)}, []string{"d.uni.test", "e.uni.test"}},
		"tls-alpn-01": {[]string{"--tls", "--tls.port", fmt.Sprintf("127.0.0.1:%d", v.TLSPort)}, []string{"f.uni.test"}},
		"dns-01":      {[]string{"--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", named.Address}, []string{"*.g.uni.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, domains := t.TempDir(), x.domains
			run := func(verb ...string) {
				t.Helper()
				args := append([]string{"--server", v.DirectoryOpen, "--path", dir, "--email", "a@uni.test", "--accept-tos"}, x.challenge...)
				for _, d := range domains {
					args = append(args, "--domains", d)
				}
				cmd := exec.Command(bin, append(args, verb...)...)
				cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+v.CABundle, "RFC2136_NAMESERVER="+named.Address,
					"RFC2136_TSIG_KEY="+named.KeyName, "RFC2136_TSIG_ALGORITHM=hmac-sha256.", "RFC2136_TSIG_SECRET="+named.KeyValue)
				peer.Must(t, cmd)
			}
			file := filepath.Join(dir, "certificates", strings.Replace(x.domains[0], "*", "_", 1)+".crt")
			run("run")
			first := verify(t, v, file, x.domains...)
			run("renew", "--days", "900", "--no-random-sleep")
			second := verify(t, v, file, x.domains...)
			if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
				t.Error("the renewal gave the same certificate")
			}
			domains = x.domains[:1] // revoke looks for a certificate of each
			run("revoke")
			if !revoked(t, v, second.SerialNumber) {
				t.Error("the CRL doesn't name the revoked certificate")
			}
		})
	}
}

func TestLegoWithEAB(t *testing.T) {
	bin := peer.Need(t, "lego")
	v := peer.StartVidimusd(t)
	c := v.NewACMEID(t, "h.uni.test")
	dir := t.TempDir()
	cmd := exec.Command(bin, "--server", c.Directory, "--path", dir, "--email", "a@uni.test", "--accept-tos", "--eab", "--kid", c.KID, "--hmac", c.HMACKey,
		"--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort), "--domains", "h.uni.test", "run")
	cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+v.CABundle)
	peer.Must(t, cmd)
	verify(t, v, filepath.Join(dir, "certificates/h.uni.test.crt"), "h.uni.test")
}

func TestUacmeOnTheOpenDirectory(t *testing.T) {
	v := peer.StartVidimusd(t)
	root := t.TempDir()
	h := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", v.HTTPPort), Handler: http.FileServer(http.Dir(root))}
	go h.ListenAndServe()
	t.Cleanup(func() { h.Close() })
	if err := os.MkdirAll(filepath.Join(root, ".well-known/acme-challenge"), 0o755); err != nil {
		t.Fatal(err)
	}
	hook := script(t, fmt.Sprintf(`
# begin|done|failed METHOD IDENTIFIER TOKEN AUTH
file='%s/.well-known/acme-challenge/'$4
[ "$2" = http-01 ] || exit 1
case $1 in
begin) printf %%s "$5" >"$file" ;;
*) rm -f "$file" ;;
esac
`, root))
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		peer.Must(t, uacme(t, v, append([]string{"-a", v.DirectoryOpen, "-c", dir, "-y"}, args...)...))
	}
	run("new", "a@uni.test")
	run("-h", hook, "issue", "i.uni.test", "j.uni.test")
	file := filepath.Join(dir, "i.uni.test/cert.pem")
	first := verify(t, v, file, "i.uni.test", "j.uni.test")
	run("-h", hook, "-f", "issue", "i.uni.test", "j.uni.test")
	second := verify(t, v, file, "i.uni.test", "j.uni.test")
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("the renewal gave the same certificate")
	}
	run("revoke", file)
	if !revoked(t, v, second.SerialNumber) {
		t.Error("the CRL doesn't name the revoked certificate")
	}
	run("newkey")
	run("deactivate")
}

// uacme makes a command that trusts the server. Its HTTP library reads the system's
// CA file and no other, so it gets one of its own, in a mount namespace.
func uacme(t *testing.T, v *peer.Vidimusd, args ...string) *exec.Cmd {
	t.Helper()
	bin := peer.Need(t, "uacme")
	const system = "/etc/ssl/certs/ca-certificates.crt"
	if os.Geteuid() != 0 {
		t.Skip("uacme can be made to trust a test CA only by root, in a mount namespace")
	}
	if _, err := os.Stat(system); err != nil {
		t.Fatalf("%v: the package ca-certificates is missing", err)
	}
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", `mount --bind "$0" ` + system + ` && exec "$@"`, v.CABundle, bin}, args...)...)
}

// unfold undoes certbot's folding of long lines.
func unfold(s string) string { return strings.Join(strings.Fields(s), " ") }
