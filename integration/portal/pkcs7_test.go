package portal

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
	"vidimus/internal/issuer"
)

func TestOpenSSLReadsAChainInPKCS7(t *testing.T) {
	openssl := peer.Need(t, "openssl")
	root, err := issuer.NewRoot("Test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := issuer.NewIssuing("Test", "main", root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := certificate.MarshalPKCS7(ca.Certificate, root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "chain.p7b")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	text := peer.Must(t, exec.Command(openssl, "pkcs7", "-inform", "DER", "-in", file, "-print_certs"))
	chain, err := certificate.ParseChain([]byte(text[strings.Index(text, "-----BEGIN"):]))
	if err != nil || len(chain) != 2 || !chain[0].Equal(ca.Certificate) || !chain[1].Equal(root.Certificate) {
		t.Errorf("%d certificates, %v: %s", len(chain), err, text)
	}
}
