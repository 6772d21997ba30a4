package config

import (
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
)

// crossSigned is the name of a PEM file with the CA of ca.pem as other.pem signs it.
func crossSigned(t *testing.T, dir string) string {
	t.Helper()
	chain, err := certificate.LoadChain(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	above, err := certificate.LoadChain(filepath.Join(dir, "other.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := certificate.LoadKey(filepath.Join(dir, "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, chain[0], above[0], chain[0].PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cross.pem"), certificate.MarshalChain(cert, above[0]), 0o644); err != nil {
		t.Fatal(err)
	}
	return "cross.pem"
}

// rolled is the good file with two intermediates in place of its certificate and key.
func rolled(old, with string) string {
	text := replaced("    certificate: ca.pem\n    key: ca.key\n", `    intermediates:
      - {certificate: ca.pem, key: ca.key, chains: [cross.pem]}
      - certificate: other.pem
        key: other.key
        root: other.pem
        from: 2040-01-01
`)
	if !strings.Contains(text, old) {
		panic("the file has no " + old)
	}
	return strings.Replace(text, old, with, 1)
}

func TestIntermediatesTakeTurns(t *testing.T) {
	dir := caFolder(t)
	crossSigned(t, dir)
	c, err := Parse([]byte(rolled("", "")), dir)
	if err != nil {
		t.Fatal(err)
	}
	i := c.Issuers[0]
	if len(i.Intermediates) != 2 || i.Intermediates[0].Root != filepath.Join(dir, "ca.pem") || i.Certificate != filepath.Join(dir, "ca.pem") {
		t.Fatalf("the issuer is %+v", i)
	}
	first, err := i.Intermediates[0].Load()
	if err != nil || len(first.Chains) != 2 || len(first.Chains[1]) != 1 || first.Chains[1][0].Issuer.CommonName != "other" || !first.From.IsZero() {
		t.Errorf("the first is %+v, %v", first, err)
	}
	second, err := i.Intermediates[1].Load()
	if err != nil || !second.From.Equal(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the second is %+v, %v", second, err)
	}
}

func TestTheOneCertificateFormStaysValid(t *testing.T) {
	dir := caFolder(t)
	c, err := Parse([]byte(good), dir)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Issuers[0].Intermediates; len(m) != 1 || m[0].Key != filepath.Join(dir, "ca.key") {
		t.Errorf("the intermediates are %+v", m)
	}
}

func TestParseNamesMistakesOfIntermediates(t *testing.T) {
	dir := caFolder(t)
	crossSigned(t, dir)
	for _, tt := range []struct{ name, data, want string }{
		{"both forms", rolled("    root: ca.pem\n", "    root: ca.pem\n    key: ca.key\n"), "line 15: issuers[0].key: "},
		{"key of another", rolled("key: other.key", "key: ca.key"), "line 10: issuers[0].intermediates[1]: the key in"},
		{"the same key", rolled("      - certificate: other.pem\n        key: other.key\n        root: other.pem", "      - certificate: ca.pem\n        key: ca.key"),
			"line 10: issuers[0].intermediates[1]: it has the same key identifier"},
		{"key in a token", rolled("key: other.key", "key: pkcs11:token=ca"), "line 11: issuers[0].intermediates[1].key: keys in tokens (pkcs11:) can't be used yet"},
		{"no date", rolled("2040-01-01", "next year"), `line 13: "next year" is not a date`},
		{"two at once", rolled("        from: 2040-01-01\n", ""), "line 10: issuers[0].intermediates[1]: another of the intermediates begins"},
		{"none signs yet", rolled("chains: [cross.pem]", "from: 2039-01-01"), "line 9: issuers[0].intermediates: none of them signs yet"},
		{"the only one doesn't sign yet", replaced("    root: ca.pem\n", "    root: ca.pem\n    from: 2040-01-01\n"), "line 11: issuers[0].from: the issuer's only CA"},
		{"no such chain", rolled("cross.pem", "none.pem"), "line 9: issuers[0].intermediates[0].chains[0]: open"},
		{"chain of another CA", rolled("cross.pem", "other.pem"), "line 9: issuers[0].intermediates[0]: " + dir + "/other.pem: its first certificate is not one of the same CA"},
		{"a root that is none", rolled("root: other.pem", "root: cross.pem"), "line 10: issuers[0].intermediates[1]: \"CN=ca\" in " + dir + "/cross.pem is no root"},
		{"unknown key", rolled("from:", "since:"), `line 13: unknown key "since"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.data), dir)
			if err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestStagingIsASecondIssuerOfItsOwnRoot(t *testing.T) {
	dir := caFolder(t)
	crossSigned(t, dir)
	with := func(staging string) string {
		return replaced("    validity: 47d\n", "    validity: 47d\n    staging: "+staging+"\n")
	}
	c, err := Parse([]byte(with("{certificate: other.pem, key: other.key, root: other.pem}")), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Issuers) != 2 || c.Issuers[0].IsStaging() {
		t.Fatalf("the issuers are %+v", c.Issuers)
	}
	s := c.Issuers[1]
	if got := strings.Join(s.Directories(), " "); got != "main-staging main-staging-open" || !s.IsStaging() || s.Validity != c.Issuers[0].Validity ||
		len(s.Intermediates) != 1 || s.Intermediates[0].Key != filepath.Join(dir, "other.key") || s.Website != c.Issuers[0].Website {
		t.Errorf("the staging issuer is %+v with %s", s, got)
	}
	for name, tt := range map[string]struct{ data, want string }{
		"the real root": {with("{certificate: ca.pem, key: ca.key, root: ca.pem}"), "line 12: issuers[0].staging: staging shares a key"},
		"no key":        {with("{certificate: other.pem, root: other.pem}"), "line 12: issuers[0].staging.key: "},
		"a directory twice": {strings.Replace(with("{certificate: other.pem, key: other.key, root: other.pem}"), "validation:",
			"  - {name: main-staging, certificate: ca.pem, key: ca.key, root: ca.pem}\nvalidation:", 1), `line 12: issuers[0].staging: there are two ACME directories "main-staging"`},
		"unknown key": {with("{cert: other.pem}"), `line 12: unknown key "cert"`},
	} {
		if _, err := Parse([]byte(tt.data), dir); err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.want) {
			t.Errorf("%s: got %v\nwant %s", name, err, tt.want)
		}
	}
}
