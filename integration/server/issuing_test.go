package server

import (
	"bytes"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// reconfigure changes the server's configuration, which must then be right.
func reconfigure(t *testing.T, v *peer.Vidimusd, old, with string) {
	t.Helper()
	text, err := os.ReadFile(v.Config)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("there is no %q in %s: %v", old, v.Config, err)
	}
	if err := os.WriteFile(v.Config, []byte(strings.Replace(string(text), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	peer.Must(t, exec.Command(peer.Build(t, "vidimusd"), "check", "--config", v.Config))
}

// A new intermediate takes over, cross-signed by another root, and with it come
// profiles; certificates of the first stay good, and are revoked by its key.
func TestIntermediatesRollOverUnderAClient(t *testing.T) {
	v := peer.StartVidimusd(t)
	c := v.NewACMEID(t, "a.uni.test")
	dir := t.TempDir()
	vidimus := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(peer.Build(t, "vidimus"), append(args, "-n", "--server", c.Directory, "--config-dir", filepath.Join(dir, "config"),
			"--work-dir", filepath.Join(dir, "work"), "--logs-dir", filepath.Join(dir, "logs"))...)
		cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+v.CABundle)
		return peer.Must(t, cmd)
	}
	live := filepath.Join(dir, "config/live/a.uni.test")
	vidimus("register", "--agree-tos", "-m", "a@uni.test", "--eab-kid", c.KID, "--eab-hmac-key", c.HMACKey)
	vidimus("certonly", "--standalone", "-d", "a.uni.test")
	first := verify(t, v, filepath.Join(live, "fullchain.pem"), "a.uni.test")

	v.Kill()
	ca := func(args ...string) {
		t.Helper()
		cmd := exec.Command(peer.Build(t, "vidimusd"), append([]string{"ca"}, args...)...)
		cmd.Dir = filepath.Join(v.Dir, "ca")
		peer.Must(t, cmd)
	}
	ca("intermediate", "--root", "root", "--name", "Next CA", "--key", "rsa2048", "--out", "next")
	ca("root", "--name", "Other Root", "--no-passphrase", "--out", "other")
	ca("cross-sign", "--root", "other", "--certificate", "next.pem", "--out", "next-by-other")
	reconfigure(t, v, "    certificate: ca/main.pem\n    key: ca/main.key\n", `    intermediates:
      - {certificate: ca/main.pem, key: ca/main.key}
      - {certificate: ca/next.pem, key: ca/next.key, chains: [ca/next-by-other.pem], from: `+time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)+`}
    profiles:
      - name: classic
      - {name: short, validity: 7d}
`)
	v.Start(t)
	vidimus("renew", "--force-renewal", "--no-random-sleep-on-renew")
	second := verify(t, v, filepath.Join(live, "fullchain.pem"), "a.uni.test")
	if first.Issuer.CommonName != "Vidimus Dev Issuing CA main" || second.Issuer.CommonName != "Next CA" {
		t.Errorf("signed by %q, then %q", first.Issuer, second.Issuer)
	}
	for _, cert := range []*x509.Certificate{first, second} {
		if got := fetch(t, cert.IssuingCertificateURL[0]); !isIssuer(got, cert) {
			t.Errorf("%s is not the issuer of the certificate that names it", cert.IssuingCertificateURL[0])
		}
	}

	vidimus("certonly", "--standalone", "-d", "a.uni.test", "--force-renewal", "--preferred-chain", "Other Root", "--required-profile", "short")
	chain, err := certificate.LoadChain(filepath.Join(live, "fullchain.pem"))
	if err != nil || len(chain) != 2 || chain[1].Issuer.CommonName != "Other Root" {
		t.Fatalf("the chain preferred is %d certificates, %v", len(chain), err)
	}
	if life := chain[0].NotAfter.Sub(chain[0].NotBefore) + time.Second; life != 7*24*time.Hour {
		t.Errorf("the profile short gives %s", life)
	}

	old := filepath.Join(t.TempDir(), "first.pem")
	if err := os.WriteFile(old, certificate.MarshalChain(first), 0o644); err != nil {
		t.Fatal(err)
	}
	vidimus("revoke", "--cert-path", old, "--no-delete-after-revoke")
	if crl, err := x509.ParseRevocationList(fetch(t, first.CRLDistributionPoints[0])); err != nil ||
		!bytes.Equal(crl.AuthorityKeyId, first.AuthorityKeyId) || len(crl.RevokedCertificateEntries) != 1 {
		t.Errorf("the first CA's CRL: %v, %v", crl, err)
	}
	if crl, err := x509.ParseRevocationList(fetch(t, second.CRLDistributionPoints[0])); err != nil ||
		!bytes.Equal(crl.AuthorityKeyId, second.AuthorityKeyId) || len(crl.RevokedCertificateEntries) != 0 {
		t.Errorf("the second CA's CRL: %v, %v", crl, err)
	}
}

func isIssuer(der []byte, cert *x509.Certificate) bool {
	ca, err := x509.ParseCertificate(der)
	return err == nil && cert.CheckSignatureFrom(ca) == nil
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return body
}

func TestEABCredentialsServeToTryThingsFirst(t *testing.T) {
	peer.Need(t, "certbot")
	v := peer.StartVidimusd(t)
	c := v.NewACMEID(t, "a.uni.test")
	staging := strings.Replace(c.Directory, "/main/", "/main-staging/", 1)
	for _, directory := range []string{staging, staging, c.Directory} {
		dir := t.TempDir()
		peer.Must(t, certbot(t, v, dir, directory, "certonly", "--standalone", "-d", "a.uni.test", "--agree-tos", "-m", "a@uni.test", "--no-eff-email",
			"--eab-kid", c.KID, "--eab-hmac-key", c.HMACKey))
		chain, err := certificate.LoadChain(filepath.Join(dir, "config/live/a.uni.test/fullchain.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if untrusted := strings.HasPrefix(chain[0].Issuer.CommonName, "(STAGING) "); untrusted != (directory == staging) {
			t.Errorf("%s issues by %q", directory, chain[0].Issuer)
		}
	}
}
