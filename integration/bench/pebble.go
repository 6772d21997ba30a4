package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/miekg/dns"
)

// startPebble builds and starts Let's Encrypt's test CA, without its random waits and
// rejected nonces, and waits until it is ready. It validates http-01 at httpPort of
// 127.0.0.1, whatever the name.
func startPebble(ctx context.Context, dir string, httpPort int) (s *server, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	bin, err := buildPeer(ctx, dir, "tools.mod", "github.com/letsencrypt/pebble/v2/cmd/pebble")
	if err != nil {
		return nil, err
	}
	resolver, err := answerLoopback()
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s = &server{bin: bin, httpPort: httpPort, Directory: fmt.Sprintf("https://127.0.0.1:%d/dir", port), CABundle: filepath.Join(dir, "tls.pem")}
	s.DirectoryOpen = s.Directory
	key := filepath.Join(dir, "tls.key")
	tlsCert := filepath.Join(dir, "tls.crt")
	if err := selfSigned(tlsCert, key); err != nil {
		return nil, err
	}
	if err := s.trust(tlsCert); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", port), "certificate": tlsCert, "privateKey": key, "httpPort": httpPort, "tlsPort": httpPort}})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "-config", file, "-dnsserver", resolver)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	return s, s.startAndAsk(cmd)
}

// trust makes the bundle of roots that clients get: that of the system, where there is
// one, and the server's. Reading it is a part of what a client costs.
func (s *server) trust(cert string) error {
	own, err := os.ReadFile(cert)
	if err != nil {
		return err
	}
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(s.CABundle, append(system, own...), 0o644)
}

// answerLoopback serves DNS that has 127.0.0.1 for every name, until the program ends.
func answerLoopback() (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // Pebble asks over TCP
	if err != nil {
		return "", err
	}
	addr = l.Addr().String()
	packets, err := net.ListenPacket("udp", addr) // step-ca over UDP
	if err != nil {
		return "", err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if q := r.Question[0]; q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)})
		}
		w.WriteMsg(m)
	})
	go (&dns.Server{Listener: l, Handler: handler}).ActivateAndServe()
	go (&dns.Server{PacketConn: packets, Handler: handler}).ActivateAndServe()
	return addr, nil
}

// selfSigned makes a TLS certificate for 127.0.0.1 that is its own root.
func selfSigned(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var cert, private bytes.Buffer
	pem.Encode(&cert, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	pem.Encode(&private, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(certFile, cert.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, private.Bytes(), 0o600)
}
