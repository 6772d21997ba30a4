// Package client sets vidimus against real peers: Pebble as the CA, and Debian's
// certbot, which works on the same directory.
package client

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// home is a machine's state: Certbot's three directories.
type home struct {
	dir    string
	pebble *peer.Pebble
}

func newHome(t *testing.T, p *peer.Pebble) *home {
	t.Helper()
	return &home{t.TempDir(), p}
}

func (h *home) config(parts ...string) string {
	return filepath.Join(append([]string{h.dir, "config"}, parts...)...)
}

func (h *home) command(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, append(args, "--config-dir", h.config(), "--work-dir", filepath.Join(h.dir, "work"),
		"--logs-dir", filepath.Join(h.dir, "logs"), "-n")...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+h.pebble.CABundle, "HOME="+h.dir, "XDG_CONFIG_HOME="+h.dir)
	cmd.Dir = h.dir
	return cmd
}

// vidimus makes a command of ours; a lone string is split at spaces.
func (h *home) vidimus(t *testing.T, args ...string) *exec.Cmd {
	return h.command(peer.Build(t, "vidimus"), split(args))
}

func (h *home) certbot(t *testing.T, args ...string) *exec.Cmd {
	return h.command(peer.Need(t, "certbot"), split(args))
}

func split(args []string) []string {
	if len(args) == 1 {
		return strings.Fields(args[0])
	}
	return args
}

// standalone is certonly for names with the web server of the program itself.
func (h *home) standalone(names ...string) []string {
	args := []string{"certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", strconv.Itoa(h.pebble.HTTPPort),
		"--server", h.pebble.Directory, "--agree-tos", "-m", "admin@example.org", "--no-eff-email"}
	return append(args, "-d", strings.Join(names, ","))
}

func renewAll(more ...string) []string {
	return append([]string{"renew", "--force-renewal", "--no-random-sleep-on-renew"}, more...)
}

// version checks that the lineage in use is whole, and returns its version.
func (h *home) version(t *testing.T, name string) int {
	t.Helper()
	version := 0
	for _, kind := range []string{"cert", "privkey", "chain", "fullchain"} {
		target, err := os.Readlink(h.config("live", name, kind+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(target), kind), ".pem"))
		if err != nil || version != 0 && v != version {
			t.Fatalf("%s leads to %s, another link to version %d", kind, target, version)
		}
		version = v
	}
	leaf := h.pair(t, h.config("live", name, "cert.pem"), h.config("live", name, "privkey.pem"))
	chain := h.certs(t, h.config("live", name, "chain.pem"))
	full := h.certs(t, h.config("live", name, "fullchain.pem"))
	if err := leaf.CheckSignatureFrom(chain[0]); err != nil {
		t.Fatalf("the chain does not fit: %v", err)
	}
	if len(full) != 1+len(chain) || !full[0].Equal(leaf) || !full[1].Equal(chain[0]) {
		t.Fatal("fullchain.pem is not cert.pem and chain.pem")
	}
	return version
}

func (h *home) certs(t *testing.T, path string) []*x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := certificate.ParseChain(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return certs
}

// pair checks that a key is that of a certificate.
func (h *home) pair(t *testing.T, certPath, keyPath string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(keyPath)
	if err != nil {
		t.Fatal(err)
	}
	key, err := certificate.ParseKey(data)
	if err != nil {
		t.Fatalf("%s: %v", keyPath, err)
	}
	leaf := h.certs(t, certPath)[0]
	if !certificate.KeyMatches(leaf, key) {
		t.Fatalf("%s is not the key of %s", keyPath, certPath)
	}
	return leaf
}

func (h *home) serial(t *testing.T, name string) string {
	t.Helper()
	return h.certs(t, h.config("live", name, "cert.pem"))[0].SerialNumber.Text(16)
}

// serve is a web server for webroot tests.
func (h *home) serve(t *testing.T, root string) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", h.pebble.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.FileServer(http.Dir(root))}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
}

func (h *home) webroot(root string, names ...string) []string {
	return []string{"certonly", "--webroot", "-w", root, "-d", strings.Join(names, ","), "--server", h.pebble.Directory,
		"--agree-tos", "-m", "admin@example.org", "--no-eff-email"}
}

func isEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%s holds %v (%v)", dir, left, err)
	}
}

// TestObtainRenewRevoke is with Pebble as it is, with its rejected nonces and its
// random waits.
func TestObtainRenewRevoke(t *testing.T) {
	t.Parallel()
	for name, certonly := range map[string]func(*testing.T, *home) []string{
		"standalone": func(_ *testing.T, h *home) []string { return h.standalone("a.example.org", "b.example.org") },
		"webroot": func(t *testing.T, h *home) []string {
			root := t.TempDir()
			h.serve(t, root)
			t.Cleanup(func() { isEmpty(t, root) })
			return h.webroot(root, "a.example.org", "b.example.org")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHome(t, peer.StartPebble(t))
			out := peer.Must(t, h.vidimus(t, certonly(t, h)...))
			for _, want := range []string{"Account registered.", "Successfully received certificate.", "Certificate is saved at: " + h.config("live/a.example.org/fullchain.pem")} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%s", want, out)
				}
			}
			if v := h.version(t, "a.example.org"); v != 1 {
				t.Errorf("version %d", v)
			}
			out = peer.Must(t, h.vidimus(t, "renew --no-random-sleep-on-renew"))
			if !strings.Contains(out, "Certificate not yet due for renewal") {
				t.Errorf("a new certificate is renewed:\n%s", out)
			}
			peer.Must(t, h.vidimus(t, renewAll()...))
			if v := h.version(t, "a.example.org"); v != 2 {
				t.Errorf("version %d after a renewal", v)
			}
			out = peer.Must(t, h.vidimus(t, "revoke --cert-name a.example.org --reason superseded"))
			if !strings.Contains(out, "Congratulations! You have successfully revoked the certificate") {
				t.Errorf("revoke says\n%s", out)
			}
			if out = peer.Must(t, h.vidimus(t, "certificates")); !strings.Contains(out, "No certificates found.") {
				t.Errorf("after revocation there is\n%s", out)
			}
			isEmpty(t, h.config("archive"))
		})
	}
}

// listing is what a program's "certificates" prints.
func listing(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out.String())
	}
	return out.String()
}

func (h *home) agree(t *testing.T) {
	t.Helper()
	ours, theirs := listing(t, h.vidimus(t, "certificates")), listing(t, h.certbot(t, "certificates"))
	if ours != theirs || !strings.Contains(ours, "Certificate Name:") {
		t.Errorf("vidimus certificates:\n%s\ncertbot certificates:\n%s", ours, theirs)
	}
}

// TestEitherProgramGoesOn has each renew, revoke and register what the other made,
// over one directory.
func TestEitherProgramGoesOn(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	type maker = func(*testing.T, ...string) *exec.Cmd
	for _, method := range []string{"standalone", "webroot"} {
		for _, first := range []string{"certbot", "vidimus"} {
			t.Run(method+" by "+first, func(t *testing.T) {
				t.Parallel()
				h := newHome(t, peer.StartPebble(t, peer.Quick...))
				one, two := maker(h.certbot), maker(h.vidimus)
				if first == "vidimus" {
					one, two = two, one
				}
				certonly := h.standalone
				if method == "webroot" {
					root := t.TempDir()
					h.serve(t, root)
					t.Cleanup(func() { isEmpty(t, root) })
					certonly = func(names ...string) []string { return h.webroot(root, names...) }
				}
				peer.Must(t, one(t, certonly("a.example.org", "www.a.example.org")...))
				h.agree(t)
				for want, program := range []maker{2: two, 3: one, 4: two} {
					if program == nil {
						continue
					}
					peer.Must(t, program(t, renewAll()...))
					if v := h.version(t, "a.example.org"); v != want {
						t.Errorf("version %d, want %d", v, want)
					}
				}
				h.agree(t)
				peer.Must(t, two(t, certonly("b.example.org")...)) // with the account of the other
				h.agree(t)
				if accounts, _ := filepath.Glob(h.config("accounts/*/*/*")); len(accounts) != 1 {
					t.Errorf("accounts: %v", accounts)
				}
				peer.Must(t, one(t, "revoke", "--cert-name", "b.example.org", "--server", h.pebble.Directory))
				peer.Must(t, two(t, "delete", "--cert-name", "a.example.org"))
				isEmpty(t, h.config("archive"))
				isEmpty(t, h.config("renewal"))
			})
		}
	}
}

// TestSameConfAsCertbot gives both programs the same command lines.
func TestSameConfAsCertbot(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	p := peer.StartPebble(t, peer.Quick...)
	for _, more := range []string{
		"",
		"--key-type rsa --rsa-key-size 3072 --reuse-key",
		"--elliptic-curve secp384r1 --preferred-challenges http",
		"--cert-name other --pre-hook true --post-hook=true --no-autorenew",
	} {
		t.Run(more, func(t *testing.T) {
			var confs [2]string
			for i, program := range []string{"certbot", "vidimus"} {
				h := newHome(t, p)
				make := h.certbot
				if program == "vidimus" {
					make = h.vidimus
				}
				// A deploy hook has what is hard to quote.
				args := append(h.standalone("a.example.org", "b.example.org"), "--deploy-hook", `echo "it, works" # 100%`)
				peer.Must(t, make(t, append(args, strings.Fields(more)...)...))
				files, _ := filepath.Glob(h.config("renewal", "*.conf"))
				data, err := os.ReadFile(files[0])
				if err != nil {
					t.Fatal(err)
				}
				confs[i] = strings.ReplaceAll(string(data), h.dir, "DIR")
				confs[i] = dropLine(dropLine(confs[i], "version = "), "account = ")
			}
			if confs[0] != confs[1] {
				t.Errorf("certbot writes\n%s\nvidimus writes\n%s", confs[0], confs[1])
			}
		})
	}
}

// TestSameWebrootConfAsCertbot is about what is written as lists and as a section.
func TestSameWebrootConfAsCertbot(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	// Certbot saves the directories of names that had to be proved only, and those
	// of several names in the order in which the CA asked for them.
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...)
	one, two := t.TempDir(), t.TempDir()
	(&home{pebble: p}).serve(t, one)
	os.Symlink(filepath.Join(one, ".well-known"), filepath.Join(two, ".well-known"))
	os.MkdirAll(filepath.Join(one, ".well-known", "acme-challenge"), 0o755)
	for _, args := range [][]string{
		{"-w", one, "-d", "a.example.org"},
		{"-w", one, "-d", "a.example.org", "-w", two, "-d", "b.example.org"},
	} {
		var confs [2]string
		for i, program := range []string{"certbot", "vidimus"} {
			h := newHome(t, p)
			make := h.certbot
			if program == "vidimus" {
				make = h.vidimus
			}
			peer.Must(t, make(t, append([]string{"certonly", "--webroot", "--server", p.Directory, "--agree-tos", "--register-unsafely-without-email"}, args...)...))
			data, err := os.ReadFile(h.config("renewal/a.example.org.conf"))
			if err != nil {
				t.Fatal(err)
			}
			confs[i] = dropLine(dropLine(strings.ReplaceAll(string(data), h.dir, "DIR"), "version = "), "account = ")
		}
		if confs[0] != confs[1] {
			t.Errorf("certbot writes\n%s\nvidimus writes\n%s", confs[0], confs[1])
		}
	}
}

func dropLine(text, prefix string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, prefix) {
			l = prefix + "…"
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}
