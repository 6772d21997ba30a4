package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// WriteLineages writes a lineage for each name below a config directory, as if the
// certificates had been obtained long ago, with --standalone.
func WriteLineages(t testing.TB, configDir, server string, port int, names ...string) {
	t.Helper()
	ca, caKey, err := selfSignedCA()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), DNSNames: []string{name}, AuthorityKeyId: []byte{1},
			NotBefore: time.Now().Add(-80 * 24 * time.Hour), NotAfter: time.Now().Add(10 * 24 * time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca, key.Public(), caKey)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		keyPEM, err := certificate.MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		set := settings.Default()
		set.ConfigDir, set.Server, set.Authenticator, set.HTTP01Port, set.HTTP01Address = configDir, server, "standalone", port, "127.0.0.1"
		m := lineage.Material{Cert: certificate.MarshalChain(leaf), Chain: certificate.MarshalChain(ca), Key: keyPEM}
		if _, err := (lineage.Store{Dir: configDir}).Create(name, m, set); err != nil {
			t.Fatal(err)
		}
	}
}

func selfSignedCA() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "throw-away CA"}, SubjectKeyId: []byte{1},
		NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

// Whole checks, by what is on disk alone, that a lineage can be used: its links lead
// to one version, whose key is that of its certificate and whose chain fits. It
// returns the version.
func Whole(configDir, name string) (version int, err error) {
	live := func(kind string) string { return filepath.Join(configDir, "live", name, kind+".pem") }
	for _, kind := range []string{"cert", "privkey", "chain", "fullchain"} {
		target, err := os.Readlink(live(kind))
		if err != nil {
			return 0, err
		}
		v, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(target), kind), ".pem"))
		if err != nil || version != 0 && v != version {
			return 0, fmt.Errorf("%s leads to %s, another link to version %d", live(kind), target, version)
		}
		version = v
	}
	certs := map[string][]*x509.Certificate{}
	for _, kind := range []string{"cert", "chain", "fullchain"} {
		data, err := os.ReadFile(live(kind))
		if err != nil {
			return 0, err
		}
		if certs[kind], err = certificate.ParseChain(data); err != nil {
			return 0, fmt.Errorf("%s: %w", live(kind), err)
		}
	}
	leaf := certs["cert"][0]
	key, err := certificate.LoadKey(live("privkey"))
	if err != nil {
		return 0, err
	}
	if !certificate.KeyMatches(leaf, key) {
		return 0, fmt.Errorf("%s is not the key of %s", live("privkey"), live("cert"))
	}
	if err := leaf.CheckSignatureFrom(certs["chain"][0]); err != nil {
		return 0, fmt.Errorf("%s does not fit: %w", live("chain"), err)
	}
	full := slices.Concat(certs["cert"], certs["chain"])
	if !slices.EqualFunc(full, certs["fullchain"], (*x509.Certificate).Equal) {
		return 0, fmt.Errorf("%s is not cert.pem and chain.pem", live("fullchain"))
	}
	return version, nil
}
