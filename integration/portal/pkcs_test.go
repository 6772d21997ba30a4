package portal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// makeScript makes a key and a request, as the page does; bundleScript the file of key and
// chain. Both get a folder as their argument.
const (
	loadScript = `const fs = require("fs"), vm = require("vm");
const [pkcsFile, dir, kind, password] = process.argv.slice(1);
vm.runInThisContext(fs.readFileSync(pkcsFile, "utf8"));
`
	makeScript = loadScript + `(async () => {
  const keys = await pkcs.makeKey(kind);
  fs.writeFileSync(dir + "/csr.pem", pkcs.pem("CERTIFICATE REQUEST", await pkcs.certificateRequest(keys, ["www.example.org", "*.example.org"])));
  fs.writeFileSync(dir + "/key.pem", pkcs.pem("PRIVATE KEY", await pkcs.privateKey(keys)));
})();`
	bundleScript = loadScript + `(async () => {
  const read = (name) => pkcs.unpem(fs.readFileSync(dir + "/" + name, "utf8"));
  fs.writeFileSync(dir + "/all.p12", await pkcs.bundle(password, "www.example.org", read("key.pem"), [read("cert.pem"), read("ca.pem")]));
})();`
)

// What the page's script makes is read by Go and OpenSSL.
func TestTheScriptMakesKeysRequestsAndBundles(t *testing.T) {
	node, openssl := peer.Need(t, "node"), peer.Need(t, "openssl")
	script := filepath.Join(peer.Root(t), "internal/portal/static/pkcs.js")
	for _, kind := range []string{"P-256", "RSA"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := func(name string) string { return filepath.Join(dir, name) }
			const password = "a pässword with 🔑"
			peer.Must(t, exec.Command(node, "-e", makeScript, script, dir, kind))
			key, err := certificate.LoadKey(file("key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			sign(t, dir)
			leaf, err := certificate.LoadChain(file("cert.pem"))
			if err != nil || !certificate.KeyMatches(leaf[0], key) {
				t.Fatalf("the certificate is for another key: %v", err)
			}
			if got := leaf[0].DNSNames; !slices.Equal(got, []string{"www.example.org", "*.example.org"}) {
				t.Errorf("names %v", got)
			}
			peer.Must(t, exec.Command(node, "-e", bundleScript, script, dir, kind, password))
			cmd := exec.Command(openssl, "pkcs12", "-in", file("all.p12"), "-info", "-nodes", "-passin", "env:PASSWORD")
			cmd.Env = append(os.Environ(), "PASSWORD="+password)
			text := peer.Must(t, cmd)
			for _, want := range []string{"MAC: sha256", "PBES2, PBKDF2, AES-256-CBC", "hmacWithSHA256", "friendlyName: www.example.org", "localKeyID"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %s", want, text)
				}
			}
			again, err := certificate.ParseKey([]byte(text[strings.Index(text, "-----BEGIN PRIVATE KEY"):]))
			if err != nil || !certificate.KeyMatches(leaf[0], again) {
				t.Errorf("the key in the bundle: %v", err)
			}
			if n := strings.Count(text, "BEGIN CERTIFICATE"); n != 2 {
				t.Errorf("%d certificates in the bundle", n)
			}
			wrong := exec.Command(openssl, "pkcs12", "-in", file("all.p12"), "-nodes", "-passin", "env:PASSWORD")
			wrong.Env = append(os.Environ(), "PASSWORD=another one")
			if text, status := peer.Run(t, wrong); status == 0 {
				t.Errorf("another password opens it: %s", text)
			}
		})
	}
}

// sign answers the request in csr.pem with cert.pem, of the CA in ca.pem.
func sign(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "csr.pem"))
	must(err)
	block, _ := pem.Decode(data)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	must(err)
	must(csr.CheckSignature())
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: csr.DNSNames, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	for name, make := range map[string]func() ([]byte, error){
		"ca.pem":   func() ([]byte, error) { return x509.CreateCertificate(rand.Reader, root, root, ca.Public(), ca) },
		"cert.pem": func() ([]byte, error) { return x509.CreateCertificate(rand.Reader, leaf, root, csr.PublicKey, ca) },
	} {
		der, err := make()
		must(err)
		var b bytes.Buffer
		must(pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
		must(os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
	}
}
