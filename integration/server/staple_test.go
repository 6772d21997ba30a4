package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

func TestNginxStaplesOCSP(t *testing.T) {
	nginx := peer.Need(t, "nginx")
	v := peer.StartVidimusd(t)
	h := newHost(t, v, "a.uni.test")
	chain := h.obtain("a.uni.test")
	root, err := certificate.LoadChain(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	port := peer.FreePort(t)
	trusted, config := filepath.Join(h.dir, "trusted.pem"), filepath.Join(h.dir, "nginx.conf")
	for file, text := range map[string]string{
		trusted: string(certificate.MarshalChain(chain[1], root[0])),
		config: fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]d ssl;
		ssl_certificate %[3]s;
		ssl_certificate_key %[4]s;
		ssl_trusted_certificate %[5]s;
		ssl_stapling on;
		ssl_stapling_verify on;
		return 204;
	}
}
`, h.dir, port, h.live("a.uni.test", "fullchain.pem"), h.live("a.uni.test", "privkey.pem"), trusted),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := peer.Start(t, exec.Command(nginx, "-c", config, "-e", "stderr"))
	roots := x509.NewCertPool()
	roots.AddCert(root[0])
	var staple []byte
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	// It asks at the first handshake, and staples when it has the answer.
	peer.Eventually(t, "nginx staples", func() bool {
		c, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{RootCAs: roots, ServerName: "a.uni.test"})
		if err != nil {
			return false
		}
		defer c.Close()
		staple = c.ConnectionState().OCSPResponse
		return len(staple) > 0
	})
	if r, err := ocsp.ParseResponseForCert(staple, chain[0], chain[1]); err != nil || r.Status != ocsp.Good {
		t.Errorf("it staples %+v, %v", r, err)
	}
}
