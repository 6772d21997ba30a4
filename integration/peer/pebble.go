package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Pebble is Let's Encrypt's test CA, running, with a DNS server that answers
// 127.0.0.1 for every name.
type Pebble struct {
	Directory string // URL
	CABundle  string // file: who signs the CA's own TLS certificate
	HTTPPort  int    // where http-01 is validated
	TLSPort   int    // and tls-alpn-01
	Roots     string // URL at which, with a number behind it, its root certificates are
	DNS       string // URL of the DNS server's management; "" with PebbleOptions.DNSServer
	Log       *Output
}

// PebbleOptions are what a test may want else from Pebble.
type PebbleOptions struct {
	Env       []string // such as Quick
	Blocked   []string // names that it refuses to certify
	DNSServer string   // HOST:PORT to ask instead of a DNS server of its own
	Listen    int      // port; 0 for any
}

// Quick makes Pebble answer without its random waits and rejected nonces, which a
// test of something else need not sit through.
var Quick = []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"}

// StartPebble starts Pebble with further environment variables, and waits until it
// is ready.
func StartPebble(t testing.TB, env ...string) *Pebble {
	t.Helper()
	return StartPebbleWith(t, PebbleOptions{Env: env})
}

// StartPebbleWith is StartPebble with more to say.
func StartPebbleWith(t testing.TB, o PebbleOptions) *Pebble {
	t.Helper()
	dir := t.TempDir()
	bin := Build(t, "pebble")
	port, manage := o.Listen, FreePort(t)
	if port == 0 {
		port = FreePort(t)
	}
	p := &Pebble{
		Directory: fmt.Sprintf("https://127.0.0.1:%d/dir", port),
		Roots:     fmt.Sprintf("https://127.0.0.1:%d/roots/", manage),
		CABundle:  filepath.Join(dir, "tls.pem"),
		HTTPPort:  FreePort(t),
		TLSPort:   FreePort(t),
	}
	key := filepath.Join(dir, "tls.key")
	selfSigned(t, p.CABundle, key)
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":           fmt.Sprintf("127.0.0.1:%d", port),
		"managementListenAddress": fmt.Sprintf("127.0.0.1:%d", manage),
		"certificate":             p.CABundle, "privateKey": key,
		"httpPort": p.HTTPPort, "tlsPort": p.TLSPort, "domainBlocklist": o.Blocked,
	}})
	file := filepath.Join(dir, "pebble.json")
	write(t, file, config)

	if o.DNSServer == "" {
		o.DNSServer, p.DNS = startDNS(t)
	}
	cmd := exec.Command(bin, "-config", file, "-dnsserver", o.DNSServer)
	cmd.Env = append(os.Environ(), o.Env...)
	p.Log = Start(t, cmd)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	Eventually(t, "Pebble is ready", func() bool {
		resp, err := client.Get(p.Directory)
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return p
}

// startDNS starts a DNS server, and returns its address and the URL at which it takes
// answers to give.
func startDNS(t testing.TB) (address, manage string) {
	t.Helper()
	address = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	management := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	Start(t, exec.Command(Build(t, "pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", address,
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", management))
	for _, listener := range []string{address, management} {
		Eventually(t, "the DNS server is ready", func() bool {
			c, err := net.Dial("tcp", listener)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return address, "http://" + management
}

// Manage sends a command to the DNS server, such as "add-a" with {"host":…}.
func (p *Pebble) Manage(t testing.TB, command string, with any) {
	t.Helper()
	body, err := json.Marshal(with)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(p.DNS+"/"+command, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the DNS server answers %s with %s", command, resp.Status)
	}
}

// selfSigned makes a TLS certificate for 127.0.0.1 that is its own root.
func selfSigned(t testing.TB, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
