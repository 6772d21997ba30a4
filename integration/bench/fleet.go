package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/settings"
)

// fleet writes lineages as Certbot would, for runs over many. Their certificates are
// of a CA that exists nowhere; they share one key, and are valid for life from begun on.
type fleet struct {
	config      string // the directory
	server      string
	account     string // ID
	port        int    // for http-01
	life, begun time.Duration
	domain      string
}

func (f *fleet) name(i int) string { return fmt.Sprintf("host%06d.%s", i, f.domain) }

func (f *fleet) write(n int) error {
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		return err
	}
	pem, err := certificate.MarshalKey(key)
	if err != nil {
		return err
	}
	ca, caKey, err := f.ca()
	if err != nil {
		return err
	}
	for _, dir := range []string{"archive", "live", "renewal"} {
		if err := os.MkdirAll(filepath.Join(f.config, dir), 0o755); err != nil {
			return err
		}
	}
	for i := range n {
		if err := f.lineage(i, key, pem, ca, caKey); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) ca() (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, key, err
}

func (f *fleet) lineage(i int, key crypto.Signer, pem []byte, ca *x509.Certificate, caKey crypto.Signer) error {
	name := f.name(i)
	id := sha1.Sum([]byte(name))
	tmpl := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(id[:16]), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-f.begun), NotAfter: time.Now().Add(f.life - f.begun),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	cert, chain := certificate.MarshalChain(leaf), certificate.MarshalChain(ca)
	archive, live := filepath.Join(f.config, "archive", name), filepath.Join(f.config, "live", name)
	conf := fmt.Sprintf("# renew_before_expiry = 30 days\nversion = %s\narchive_dir = %s\n", settings.Certbot, archive)
	for _, dir := range []string{archive, live} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		kind string
		data []byte
	}{{"cert", cert}, {"privkey", pem}, {"chain", chain}, {"fullchain", append(cert[:len(cert):len(cert)], chain...)}} {
		if err := os.WriteFile(filepath.Join(archive, file.kind+"1.pem"), file.data, 0o600); err != nil {
			return err
		}
		if err := os.Symlink("../../archive/"+name+"/"+file.kind+"1.pem", filepath.Join(live, file.kind+".pem")); err != nil {
			return err
		}
		conf += fmt.Sprintf("%s = %s\n", file.kind, filepath.Join(live, file.kind+".pem"))
	}
	conf += fmt.Sprintf("\n# Options used in the renewal process\n[renewalparams]\naccount = %s\nhttp01_port = %d\nhttp01_address = 127.0.0.1\nconfig_dir = %s\nwork_dir = %s\nlogs_dir = %s\nauthenticator = standalone\nserver = %s\nkey_type = ecdsa\n",
		f.account, f.port, f.config, filepath.Join(filepath.Dir(f.config), "work"), filepath.Join(filepath.Dir(f.config), "logs"), f.server)
	return os.WriteFile(filepath.Join(f.config, "renewal", name+".conf"), []byte(conf), 0o644)
}
