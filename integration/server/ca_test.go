package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// hall is where a ceremony is held: a folder, vidimusd and openssl.
type hall struct {
	*testing.T
	dir, vidimusd, openssl string
}

func newHall(t *testing.T) *hall {
	return &hall{t, t.TempDir(), peer.Build(t, "vidimusd"), peer.Need(t, "openssl")}
}

const passphrase = "correct horse battery"

func (h *hall) command(secret string, args ...string) *exec.Cmd {
	c := exec.Command(h.vidimusd, append([]string{"ca"}, args...)...)
	c.Dir = h.dir
	if secret == "" {
		return c
	}
	r, w, err := os.Pipe()
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { r.Close() })
	w.WriteString(secret + "\n")
	w.Close()
	c.ExtraFiles = []*os.File{r}
	c.Args = append(c.Args, "--passphrase-fd", "3")
	return c
}

// ca holds a part of the ceremony, and returns its log.
func (h *hall) ca(args ...string) string {
	h.Helper()
	return peer.Must(h.T, h.command(passphrase, args...))
}

func (h *hall) ssl(args ...string) string {
	h.Helper()
	c := exec.Command(h.openssl, args...)
	c.Dir = h.dir
	return peer.Must(h.T, c)
}

// says checks that a text has each of the parts.
func (h *hall) says(text string, parts ...string) {
	h.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			h.Errorf("there is no %q in:\n%s", p, text)
		}
	}
}

func (h *hall) mode(file string, want os.FileMode) {
	h.Helper()
	if info, err := os.Stat(filepath.Join(h.dir, file)); err != nil || info.Mode() != want {
		h.Errorf("%s: %v, %v; want mode %v", file, info, err, want)
	}
}

func TestCeremonyMakesWhatOpenSSLVerifies(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("it needs no database: the run on SQLite is the same")
	}
	h := newHall(t)
	log := h.ca("root", "--name", "Example Root", "--organisation", "Example University", "--country", "DE", "--out", "root")
	h.mode("root.key", 0o600)
	h.ssl("pkey", "-in", "root.key", "-passin", "pass:"+passphrase, "-noout", "-check")
	print := strings.TrimSpace(h.ssl("x509", "-in", "root.pem", "-noout", "-fingerprint", "-sha256"))
	h.says(log, strings.ToUpper(print[strings.Index(print, "=")+1:]), "root.key (0600, encrypted)", "CN=Example Root,O=Example University,C=DE", "What to do next")
	text := h.ssl("x509", "-in", "root.pem", "-noout", "-text")
	h.says(text, "CA:TRUE", "Certificate Sign, CRL Sign", "ASN1 OID: secp384r1", "Issuer: C = DE, O = Example University, CN = Example Root")

	log = h.ca("intermediate", "--root", "root", "--name", "Example CA 1", "--out", "ca1", "--key", "p256", "--permit", "example.org",
		"--exclude", "secret.example.org", "--crl-url", "http://ca.example.org/root.crl", "--ca-url", "http://ca.example.org/root.cer")
	h.says(log, "CN=Example CA 1", "Signed by", "CN=Example Root", "secret.example.org", "from: ")
	h.mode("ca1.key", 0o600)
	h.ssl("verify", "-x509_strict", "-CAfile", "root.pem", "ca1.pem")
	h.says(h.ssl("x509", "-in", "ca1.pem", "-noout", "-text"), "CA:TRUE, pathlen:0", "TLS Web Server Authentication, TLS Web Client Authentication",
		"DNS:example.org", "DNS:secret.example.org", "IP:0.0.0.0/0.0.0.0", "URI:http://ca.example.org/root.crl", "CA Issuers - URI:http://ca.example.org/root.cer")

	h.says(peer.Must(t, h.command("", "csr", "--name", "Example CA 2", "--key", "rsa2048", "--out", "ca2")), "Public key SHA-256", "ca2.csr")
	h.ssl("req", "-in", "ca2.csr", "-noout", "-verify")
	h.ca("sign", "--root", "root", "--csr", "ca2.csr", "--path-len", "1", "--validity", "5y", "--out", "ca2")
	h.ssl("verify", "-x509_strict", "-CAfile", "root.pem", "ca2.pem")
	h.says(h.ssl("x509", "-in", "ca2.pem", "-noout", "-text"), "CA:TRUE, pathlen:1", "Subject: CN = Example CA 2", "Public-Key: (2048 bit)")
}

func TestCeremonyCrossSignsAndRevokes(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("it needs no database: the run on SQLite is the same")
	}
	h := newHall(t)
	h.ca("root", "--name", "First Root", "--out", "first")
	h.ca("root", "--name", "Second Root", "--key", "rsa2048", "--out", "second")
	h.ca("intermediate", "--root", "first", "--name", "CA", "--permit", "example.org", "--out", "ca")
	h.ca("cross-sign", "--root", "second", "--certificate", "ca.pem", "--out", "ca-by-second")
	h.ssl("verify", "-x509_strict", "-CAfile", "first.pem", "ca.pem")
	h.ssl("verify", "-x509_strict", "-CAfile", "second.pem", "ca-by-second.pem")
	for _, what := range []string{"-subject", "-pubkey"} {
		if a, b := h.ssl("x509", "-in", "ca.pem", "-noout", what), h.ssl("x509", "-in", "ca-by-second.pem", "-noout", what); a != b {
			t.Errorf("%s differs: %s, %s", what, a, b)
		}
	}
	h.says(h.ssl("x509", "-in", "ca-by-second.pem", "-noout", "-text"), "DNS:example.org", "CA:TRUE, pathlen:0")

	h.says(h.ca("crl", "--root", "first", "--out", "1.crl"), "Number:", "1.crl")
	h.ssl("verify", "-crl_check", "-CAfile", "first.pem", "-CRLfile", h.pemCRL("1.crl"), "ca.pem")
	h.ca("crl", "--root", "first", "--previous", "1.crl", "--revoke", "ca.pem", "--reason", "cACompromise", "--out", "2.crl")
	h.says(h.ssl("crl", "-inform", "DER", "-in", "2.crl", "-noout", "-text", "-CAfile", "first.pem"), "X509v3 CRL Number: \n                2", "CA Compromise")
	c := exec.Command(h.openssl, "verify", "-crl_check", "-CAfile", "first.pem", "-CRLfile", h.pemCRL("2.crl"), "ca.pem")
	c.Dir = h.dir
	if out, status := peer.Run(t, c); status == 0 || !strings.Contains(out, "certificate revoked") {
		t.Errorf("openssl takes the revoked CA: %s", out)
	}
	for name, args := range map[string][]string{
		"twice":             {"crl", "--root", "first", "--previous", "2.crl", "--revoke", "ca.pem", "--out", "3.crl"},
		"by another":        {"crl", "--root", "second", "--previous", "2.crl", "--out", "3.crl"},
		"by itself":         {"cross-sign", "--root", "first", "--certificate", "first.pem", "--out", "self"},
		"below path length": {"intermediate", "--root", "ca", "--name", "Too Low", "--out", "low"},
		"outliving":         {"intermediate", "--root", "first", "--name", "Old", "--validity", "21y", "--out", "old"},
	} {
		if out, status := peer.Run(t, h.command(passphrase, args...)); status != 1 {
			t.Errorf("%s: status %d: %s", name, status, out)
		}
	}
}

// pemCRL is the CRL as openssl verify wants it.
func (h *hall) pemCRL(file string) string {
	h.ssl("crl", "-inform", "DER", "-in", file, "-out", file+".pem")
	return file + ".pem"
}

func TestCeremonyOverwritesNothingAndKeepsSecrets(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("it needs no database: the run on SQLite is the same")
	}
	h := newHall(t)
	h.ca("root", "--name", "Root", "--out", "root")
	before, err := os.ReadFile(filepath.Join(h.dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, secret string
		status       int
		args         []string
		says         string
	}{
		{"again", passphrase, 1, []string{"root", "--name", "Other", "--out", "root"}, "nothing is overwritten"},
		{"key there", "", 1, []string{"csr", "--name", "Other", "--out", "root"}, "nothing is overwritten"},
		{"wrong passphrase", "wrong passphrase", 1, []string{"intermediate", "--root", "root", "--name", "CA", "--out", "ca"}, "check the passphrase"},
		{"short passphrase", "abc", 1, []string{"root", "--name", "Other", "--out", "other"}, "too short"},
		{"no folder", passphrase, 1, []string{"root", "--name", "Other", "--out", "none/other"}, "there is no folder"},
		{"no name", passphrase, 2, []string{"root", "--out", "other"}, "name"},
		{"kind of key", passphrase, 2, []string{"root", "--name", "Other", "--key", "dsa", "--out", "other"}, "use one of"},
		{"validity", passphrase, 2, []string{"root", "--name", "Other", "--validity", "ever", "--out", "other"}, "such as 10y"},
		{"domain", passphrase, 2, []string{"intermediate", "--root", "root", "--name", "CA", "--permit", "*.example.org", "--out", "ca"}, "neither a domain"},
		{"https", passphrase, 2, []string{"intermediate", "--root", "root", "--name", "CA", "--crl-url", "https://example.org/x.crl", "--out", "ca"}, "http://"},
		{"no request", passphrase, 1, []string{"sign", "--root", "root", "--csr", "root.pem", "--out", "ca"}, "no certificate request"},
		{"unknown command", "", 2, []string{"rot"}, "unknown command"},
	} {
		out, status := peer.Run(t, h.command(tt.secret, tt.args...))
		if status != tt.status || !strings.Contains(out, tt.says) || tt.secret != "" && strings.Contains(out, tt.secret) && tt.secret != "wrong passphrase" {
			t.Errorf("%s: status %d, want %d with %q: %s", tt.name, status, tt.status, tt.says, out)
		}
	}
	after, err := os.ReadFile(filepath.Join(h.dir, "root.key"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the key was touched: %v", err)
	}
	if made, err := filepath.Glob(filepath.Join(h.dir, "*")); err != nil || len(made) != 2 {
		t.Errorf("there are %v, %v; want the root's two files", made, err)
	}
	if err := os.Chmod(filepath.Join(h.dir, "root.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, status := peer.Run(t, h.command(passphrase, "crl", "--root", "root", "--out", "x.crl")); status != 1 || !strings.Contains(out, "chmod 600") {
		t.Errorf("a key that is open to others: status %d: %s", status, out)
	}
}
