package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// request makes a certificate request and its key in h.dir.
func (h *home) request(t *testing.T, form string, names ...string) (csr, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := new(x509.CertificateRequest)
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, k)
	if err != nil {
		t.Fatal(err)
	}
	if form == "PEM" {
		der = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	csr, key = filepath.Join(h.dir, "request"), filepath.Join(h.dir, "key.pem")
	for path, data := range map[string][]byte{csr: der, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return csr, key
}

// TestRequestIsCertifiedAsByCertbot compares the files that come of --csr, with
// numbers and at the paths given.
func TestRequestIsCertifiedAsByCertbot(t *testing.T) {
	t.Parallel()
	peer.Need(t, "certbot")
	p := peer.StartPebble(t, peer.Quick...)
	var listings [2]string
	for i, program := range []string{"certbot", "vidimus"} {
		h := newHome(t, p)
		make := h.certbot
		if program == "vidimus" {
			make = h.vidimus
		}
		csr, key := h.request(t, []string{"PEM", "DER"}[i], "a.example.org", "b.example.org")
		args := append(h.standalone("a.example.org", "b.example.org"), "--csr", csr)
		out := peer.Must(t, make(t, args...))
		out += peer.Must(t, make(t, args...))
		out += peer.Must(t, make(t, append(args, "--cert-path", filepath.Join(h.dir, "x", "c.pem"), "--chain-path", filepath.Join(h.dir, "i.pem"), "--fullchain-path", filepath.Join(h.dir, "f.pem"))...))
		for _, line := range strings.Split(out, "\n") {
			if strings.Contains(line, " is saved at: ") {
				path := strings.TrimSpace(line[strings.LastIndex(line, " "):])
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				listings[i] += strings.ReplaceAll(line, h.dir, "DIR") + " " + info.Mode().String() + "\n"
			}
		}
		leaf := h.pair(t, filepath.Join(h.dir, "0000_cert.pem"), key)
		if strings.Join(leaf.DNSNames, " ") != "a.example.org b.example.org" {
			t.Errorf("certified: %v", leaf.DNSNames)
		}
		if n := len(h.certs(t, filepath.Join(h.dir, "0001_chain.pem"))); n < 2 {
			t.Errorf("the full chain has %d certificates", n)
		}
		if left, _ := os.ReadDir(h.config("live")); len(left) > 0 {
			t.Error("there is a lineage")
		}
	}
	if listings[0] != listings[1] || !strings.Contains(listings[0], "DIR/0003_chain.pem") {
		t.Errorf("certbot saves\n%s\nvidimus saves\n%s", listings[0], listings[1])
	}
}

// TestAddresses has addresses certified, by option and by request, and renewed.
func TestAddresses(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	args := append(h.standalone("a.example.org"), "--ip-address", "127.0.0.1")
	peer.Must(t, h.vidimus(t, args...))
	out := peer.Must(t, h.vidimus(t, "certificates"))
	if !strings.Contains(out, "Domains: a.example.org 127.0.0.1") {
		t.Error(out)
	}
	peer.Must(t, h.vidimus(t, renewAll()...))
	if c := h.certs(t, h.config("live/a.example.org/cert.pem"))[0]; h.version(t, "a.example.org") != 2 || len(c.IPAddresses) != 1 {
		t.Errorf("renewed: %v %v", c.DNSNames, c.IPAddresses)
	}
	only := h.standalone("x")
	peer.Must(t, h.vidimus(t, append(only[:len(only)-2], "--ip-address", "127.0.0.1")...))
	if v := h.version(t, "127.0.0.1"); v != 1 {
		t.Errorf("version %d", v)
	}
	csr, key := h.request(t, "PEM", "127.0.0.1")
	peer.Must(t, h.vidimus(t, append(only[:len(only)-2], "--csr", csr)...))
	h.pair(t, filepath.Join(h.dir, "0000_cert.pem"), key)
}
