package differential

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// snapshot describes what is below a home, one file or line of a file per line, with
// all that must differ between two runs left out.
func snapshot(t *testing.T, home string) string {
	t.Helper()
	keys := keyring{}
	var lines []string
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(path, home+"/")
		if skipped(rel) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case info.Mode().Type() == fs.ModeSymlink:
			what, err = os.Readlink(path)
		case info.Mode().IsRegular():
			what, err = keys.describe(path, rel)
		}
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(rel, "config") && holdsNothing(path) {
			return fs.SkipDir // certbot makes some before it needs them
		}
		rel = normal(rel, home)
		lines = append(lines, fmt.Sprintf("%s %v %s", rel, info.Mode(), describeShort(normal(what, home))))
		if strings.Contains(what, "\n") {
			for l := range strings.Lines(sortRoots(normal(what, home))) {
				lines = append(lines, rel+"| "+strings.TrimSuffix(l, "\n"))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// holdsNothing tells whether there are only directories below a directory.
func holdsNothing(dir string) bool {
	return filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".certbot.lock" {
			return fs.ErrExist
		}
		return err
	}) == nil
}

// sortRoots sorts the last section of a renewal file if it is about web roots: their
// order is the order in which the CA wanted names to be proved.
func sortRoots(conf string) string {
	const section = "[[webroot_map]]\n"
	before, roots, ok := strings.Cut(conf, section)
	if !ok {
		return conf
	}
	lines := strings.SplitAfter(roots, "\n")
	slices.Sort(lines)
	return before + section + strings.Join(lines, "")
}

func describeShort(what string) string {
	if strings.Contains(what, "\n") {
		return "(text)"
	}
	return what
}

// skipped lists what the programs need not agree on.
func skipped(rel string) bool {
	return rel == "bin" || // of the test itself
		// certbot 2.1.0 keeps a copy of each key and CSR; its later releases don't.
		rel == "config/keys" || rel == "config/csr" ||
		// what each program remembers for itself
		strings.HasPrefix(rel, "work/") ||
		strings.HasPrefix(rel, "logs/")
}

var volatile = []struct {
	*regexp.Regexp
	with string
}{
	{regexp.MustCompile(`(?m)^version = .*$`), "version = VERSION"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ACCOUNT"},
	{regexp.MustCompile(`Serial Number: [0-9a-f]+`), "Serial Number: SERIAL"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00`), "TIME"},
	{regexp.MustCompile(`my-account/[0-9a-f]+`), "my-account/NUMBER"},
}

// normal takes out of a text what differs between any two runs.
func normal(text, home string) string {
	text = strings.ReplaceAll(text, home, "$H")
	for _, v := range volatile {
		text = v.ReplaceAllString(text, v.with)
	}
	return text
}

// keyring numbers keys in the order in which they are found.
type keyring []crypto.PublicKey

func (k *keyring) number(key crypto.PublicKey) string {
	type equaler interface{ Equal(crypto.PublicKey) bool }
	i := slices.IndexFunc(*k, func(o crypto.PublicKey) bool { return o.(equaler).Equal(key) })
	if i < 0 {
		*k = append(*k, key)
		i = len(*k) - 1
	}
	kind := fmt.Sprintf("%T", key)
	switch key := key.(type) {
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		kind = key.Params().Name
	}
	return fmt.Sprintf("%s key %d", kind, i+1)
}

// describe tells what is in a file: PEM in words, other text as it is.
func (k *keyring) describe(path, rel string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	switch {
	case filepath.Ext(rel) == ".der":
		return "DER", nil
	case strings.HasPrefix(rel, "config/accounts/"), filepath.Base(rel) == "README", filepath.Base(rel) == ".certbot.lock":
		return "", nil
	}
	var blocks []string
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, k.block(b))
	}
	if len(blocks) == 0 {
		return string(data), nil
	}
	return strings.Join(blocks, "; "), nil
}

func (k *keyring) block(b *pem.Block) string {
	if strings.HasSuffix(b.Type, "PRIVATE KEY") {
		key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
		if err != nil {
			return fmt.Sprintf("%s: %v", b.Type, err)
		}
		return b.Type + " " + k.number(key.(crypto.Signer).Public())
	}
	if b.Type != "CERTIFICATE" {
		return b.Type
	}
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return fmt.Sprintf("%s: %v", b.Type, err)
	}
	if c.IsCA {
		return fmt.Sprintf("%s by %s", c.Subject.CommonName, c.Issuer.CommonName)
	}
	staple := ""
	if slices.ContainsFunc(c.Extensions, mustStaple) {
		staple = " must-staple"
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return fmt.Sprintf("%v %s%s by %s", names, k.number(c.PublicKey), staple, c.Issuer.CommonName)
}

// mustStaple tells whether an extension is that of RFC 7633.
func mustStaple(e pkix.Extension) bool {
	return e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24})
}
