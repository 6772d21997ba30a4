// Package server holds the tests of vidimusd against the clients that people use.
package server

import (
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) {
	os.Exit(postgrestest.Main(m))
}

// verify checks that the PEM file holds a chain that is good for all names under the
// server's root, and returns the certificate.
func verify(t *testing.T, v *peer.Vidimusd, file string, names ...string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := certificate.ParseChain(data)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for _, c := range chain[1:] {
		above.AddCert(c)
	}
	for _, n := range names {
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: strings.Replace(n, "*", "any", 1), Roots: roots, Intermediates: above}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if len(chain[0].DNSNames) != len(names) {
		t.Errorf("the certificate is for %v, want %v", chain[0].DNSNames, names)
	}
	return chain[0]
}

// revoked tells whether the server's CRL names the certificate.
func revoked(t *testing.T, v *peer.Vidimusd, serial *big.Int) bool {
	t.Helper()
	resp, err := http.Get(v.CRL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range crl.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial) == 0 {
			return true
		}
	}
	return false
}

// certbot runs Debian's certbot in dir against the directory URL.
func certbot(t *testing.T, v *peer.Vidimusd, dir, directory string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(peer.Need(t, "certbot"), append(args, "-n", "--server", directory, "--config-dir", filepath.Join(dir, "config"),
		"--work-dir", filepath.Join(dir, "work"), "--logs-dir", filepath.Join(dir, "logs"))...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+v.CABundle)
	return cmd
}

// script writes an executable file.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.TrimLeft(text, "\n")), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
