package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// buildPeer builds a peer's server, in the version that a module file pins, and gives
// its path. The first time takes minutes.
func buildPeer(ctx context.Context, dir, modfile, pkg string) (string, error) {
	bin := filepath.Join(dir, filepath.Base(pkg))
	build := exec.CommandContext(ctx, "go", "build", "-modfile="+modfile, "-o", bin, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // step-ca would want smart cards
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

// stepDB is the "db" of step-ca's configuration.
type stepDB struct {
	Type       string `json:"type"`
	DataSource string `json:"dataSource"`
	Database   string `json:"database,omitempty"`
}

// startStepCA builds and starts smallstep's CA with an ACME provisioner that has
// http-01 at httpPort, and waits until it is ready. Requests aren't logged.
func startStepCA(ctx context.Context, dir string, httpPort int, db stepDB) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	bin, err := buildPeer(ctx, dir, "bench.mod", "github.com/smallstep/certificates/cmd/step-ca")
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
	if err := twoCAs(dir); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"root": filepath.Join(dir, "root.crt"), "crt": filepath.Join(dir, "ca.crt"), "key": filepath.Join(dir, "ca.key"),
		"address": fmt.Sprintf("127.0.0.1:%d", port), "dnsNames": []string{"127.0.0.1"}, "db": db,
		"authority": map[string]any{"provisioners": []any{
			map[string]any{"type": "ACME", "name": "acme", "challenges": []string{"http-01"}}}},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ca.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	s := &server{bin: bin, httpPort: httpPort, CABundle: filepath.Join(dir, "root.crt"),
		DirectoryOpen: fmt.Sprintf("https://127.0.0.1:%d/acme/acme/directory", port)}
	s.Directory = s.DirectoryOpen
	// "Insecure" are other ports than 80.
	cmd := exec.CommandContext(ctx, bin, file, "--insecure", "--acme-http-port", strconv.Itoa(httpPort), "--resolver", resolver)
	cmd.Env = append(os.Environ(), "STEPPATH="+dir, "HOME="+dir)
	return s, s.startAndAsk(cmd)
}

// twoCAs writes root.crt and, below it, ca.crt with ca.key: P-256 like vidimusd's.
func twoCAs(dir string) error {
	var parent *x509.Certificate
	var parentKey crypto.Signer
	for i, name := range []string{"root", "ca"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "bench " + name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10000 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if parent == nil {
			parent, parentKey = tmpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
		if err != nil {
			return err
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			return err
		}
		parentKey = key
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
			if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
