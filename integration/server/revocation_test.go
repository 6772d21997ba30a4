package server

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// host is a machine with vidimus, with an account bound to an ACME-ID.
type host struct {
	t   *testing.T
	v   *peer.Vidimusd
	dir string
	url string
}

func newHost(t *testing.T, v *peer.Vidimusd, names ...string) *host {
	t.Helper()
	c := v.NewACMEID(t, names...)
	h := &host{t, v, t.TempDir(), c.Directory}
	h.run("register", "--agree-tos", "-m", "a@uni.test", "--eab-kid", c.KID, "--eab-hmac-key", c.HMACKey)
	return h
}

func (h *host) command(args ...string) *exec.Cmd {
	args = append(args, "-n", "--server", h.url, "--config-dir", filepath.Join(h.dir, "config"),
		"--work-dir", filepath.Join(h.dir, "work"), "--logs-dir", filepath.Join(h.dir, "logs"))
	cmd := exec.Command(peer.Build(h.t, "vidimus"), args...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+h.v.CABundle)
	return cmd
}

func (h *host) run(args ...string) string {
	h.t.Helper()
	return peer.Must(h.t, h.command(args...))
}

// live is the path of a file of a lineage.
func (h *host) live(name, file string) string { return filepath.Join(h.dir, "config/live", name, file) }

// obtain gets a certificate for a name that is granted.
func (h *host) obtain(name string) []*x509.Certificate {
	h.t.Helper()
	h.run("certonly", "--standalone", "--force-renewal", "--cert-name", name, "-d", name)
	return h.chain(name)
}

func (h *host) chain(name string) []*x509.Certificate {
	h.t.Helper()
	chain, err := certificate.LoadChain(h.live(name, "fullchain.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	return chain
}

// get fetches a URL, and its header.
func get(t *testing.T, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestOpenSSLSeesRevocationsInCRLAndOCSP(t *testing.T) {
	openssl := peer.Need(t, "openssl")
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test", "b.uni.test")
	chain := h.obtain("a.uni.test")
	revokedPEM := filepath.Join(h.dir, "revoked.pem")
	if err := os.WriteFile(revokedPEM, certificate.MarshalChain(chain[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	h.obtain("b.uni.test")
	h.run("revoke", "--cert-path", h.live("a.uni.test", "cert.pem"), "--reason", "keycompromise", "--no-delete-after-revoke")

	issuer, crl := filepath.Join(h.dir, "issuer.pem"), filepath.Join(h.dir, "crl.pem")
	_, der := get(t, chain[0].CRLDistributionPoints[0])
	for file, data := range map[string][]byte{issuer: certificate.MarshalChain(chain[1]), crl: pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, int) { t.Helper(); return peer.Run(t, exec.Command(openssl, args...)) }

	text, _ := run("crl", "-in", crl, "-noout", "-text", "-CAfile", issuer)
	for _, want := range []string{"verify OK", "X509v3 Issuing Distribution Point: critical", chain[0].CRLDistributionPoints[0], "Only User Certificates", "Key Compromise"} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl crl doesn't say %q:\n%s", want, text)
		}
	}
	check := []string{"verify", "-crl_check", "-CAfile", v.CABundle, "-untrusted", issuer, "-CRLfile", crl}
	if out, status := run(append(check, revokedPEM)...); status == 0 || !strings.Contains(out, "certificate revoked") {
		t.Errorf("openssl verify of the revoked certificate: status %d\n%s", status, out)
	}
	if out, status := run(append(check, h.live("b.uni.test", "cert.pem"))...); status != 0 {
		t.Errorf("openssl verify of the other one: status %d\n%s", status, out)
	}

	url := chain[0].OCSPServer[0]
	for _, with := range [][]string{{"-no_nonce"}, {"-nonce"}, {"-sha256"}} {
		query := append([]string{"ocsp", "-url", url, "-issuer", issuer, "-CAfile", v.CABundle, "-verify_other", issuer}, with...)
		query = append(query, "-cert", revokedPEM, "-cert", h.live("b.uni.test", "cert.pem"))
		out, status := run(query...)
		if status != 0 || !strings.Contains(out, "Response verify OK") || strings.Contains(out, "WARNING") ||
			!strings.Contains(out, revokedPEM+": revoked") || !strings.Contains(out, "keyCompromise") || !strings.Contains(out, "cert.pem: good") {
			t.Errorf("openssl %v: status %d\n%s", query, status, out)
		}
	}
}

func TestPlainHTTPCanBeCached(t *testing.T) {
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test")
	chain := h.obtain("a.uni.test")
	question, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	server := chain[0].OCSPServer[0]
	for _, tt := range []struct{ url, mediaType string }{
		{chain[0].CRLDistributionPoints[0], "application/pkix-crl"},
		{chain[0].IssuingCertificateURL[0], "application/pkix-cert"},
		{server + "/" + strings.ReplaceAll(base64.StdEncoding.EncodeToString(question), "/", "%2F"), "application/ocsp-response"},
		{server + "/" + base64.StdEncoding.EncodeToString(question), "application/ocsp-response"},
	} {
		resp, body := get(t, tt.url)
		tag, control := resp.Header.Get("ETag"), resp.Header.Get("Cache-Control")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != tt.mediaType || tag == "" || !strings.Contains(control, "max-age=") || len(body) == 0 {
			t.Errorf("%s: %s, %v", tt.url, resp.Status, resp.Header)
		}
		if again, body := get(t, tt.url, "If-None-Match", tag); again.StatusCode != http.StatusNotModified || len(body) > 0 {
			t.Errorf("%s again: %s, %d bytes", tt.url, again.Status, len(body))
		}
		head, err := http.Head(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != 200 || head.ContentLength != int64(len(body)) || head.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %s, %v", tt.url, head.Status, head.Header)
		}
	}
	for _, tt := range []struct {
		method, path string
		body         []byte
		status       int
	}{
		{"POST", "", []byte("rubbish"), 200}, // with a response that says "malformed"
		{"POST", "", bytes.Repeat([]byte{0x30}, 9000), 413},
		{"GET", "", nil, 400},
		{"GET", "/!!", nil, 400},
		{"PUT", "", nil, 405},
	} {
		req, err := http.NewRequest(tt.method, server+tt.path, bytes.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status || resp.Header.Get("Cache-Control") != "no-store" && tt.status == 200 {
			t.Errorf("%s %s: %s, %v; want %d", tt.method, tt.path, resp.Status, resp.Header, tt.status)
		}
	}
	if resp, _ := get(t, fmt.Sprint(strings.TrimSuffix(chain[0].CRLDistributionPoints[0], "main.crl"), "other.crl")); resp.StatusCode != 404 {
		t.Errorf("a CRL that isn't there: %s", resp.Status)
	}
}

func TestVidimusRenewsWhenOperatorsWantIt(t *testing.T) {
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test", "b.uni.test")
	first, other := h.obtain("a.uni.test")[0], h.obtain("b.uni.test")[0]
	var called struct{ ID, Count int64 }
	v.Admin(t, &called, "renew-now", "--host", "a.uni.test", "--explanation-url", "https://www.uni.test/why", "--yes")
	if called.Count != 1 {
		t.Fatalf("%d certificates are selected; want 1", called.Count)
	}
	// Their ID is known again after a restart.
	v.Kill()
	v.Start(t)
	h.run("renew", "--no-random-sleep-on-renew")
	if again := h.chain("a.uni.test")[0]; again.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the one that operators want renewed was not")
	}
	if again := h.chain("b.uni.test")[0]; again.SerialNumber.Cmp(other.SerialNumber) != 0 {
		t.Error("the other was renewed too")
	}
	var calls []struct{ ID, Certificates, Replaced int64 }
	v.Admin(t, &calls, "renew-now", "list")
	if len(calls) != 1 || calls[0].ID != called.ID || calls[0].Certificates != 1 || calls[0].Replaced != 1 {
		t.Errorf("the list is %+v", calls)
	}
}

// ocspStatus asks whether the first certificate of a chain is revoked.
func ocspStatus(t *testing.T, chain []*x509.Certificate) int {
	t.Helper()
	question, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(chain[0].OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ocsp.ParseResponseForCert(der, chain[0], chain[1])
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func TestARevocationSurvivesAKill(t *testing.T) {
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test", "b.uni.test")
	good := h.obtain("b.uni.test")
	var revokedOnes [][]*x509.Certificate
	for range 5 {
		chain := h.obtain("a.uni.test")
		h.run("revoke", "--cert-path", h.live("a.uni.test", "cert.pem"), "--no-delete-after-revoke")
		v.Kill() // the CRL may not be signed yet
		v.Start(t)
		revokedOnes = append(revokedOnes, chain)
		for _, c := range revokedOnes {
			if status := ocspStatus(t, c); status != ocsp.Revoked || !revoked(t, v, c[0].SerialNumber) {
				t.Fatalf("what was revoked before the kill: by OCSP %d, by the CRL %v", status, revoked(t, v, c[0].SerialNumber))
			}
		}
		if status := ocspStatus(t, good); status != ocsp.Good || revoked(t, v, good[0].SerialNumber) {
			t.Fatalf("what was not: by OCSP %d, by the CRL %v", status, revoked(t, v, good[0].SerialNumber))
		}
	}
}

func TestOperatorsRevokeWhileTheServerRuns(t *testing.T) {
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test")
	chain := h.obtain("a.uni.test")
	ask := func() int { t.Helper(); return ocspStatus(t, chain) }
	if status := ask(); status != ocsp.Good {
		t.Errorf("before: status %d", status)
	}
	var done struct{ Revoked int }
	v.Admin(t, &done, "certificate", "revoke", "--key", h.live("a.uni.test", "privkey.pem"), "--reason", "keyCompromise", "--yes")
	if done.Revoked != 1 || ask() != ocsp.Revoked || !revoked(t, v, chain[0].SerialNumber) {
		t.Errorf("%d revoked; by OCSP %d, by the CRL %v", done.Revoked, ask(), revoked(t, v, chain[0].SerialNumber))
	}
	// vidimus hears of it, and takes another key.
	h.run("renew", "--no-random-sleep-on-renew")
	if again := h.chain("a.uni.test")[0]; again.SerialNumber.Cmp(chain[0].SerialNumber) == 0 || bytes.Equal(again.RawSubjectPublicKeyInfo, chain[0].RawSubjectPublicKeyInfo) {
		t.Error("what was revoked is still in use")
	}
}
