package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/server"
)

func TestAKeyIsBlockedByAnyFileThatHasIt(t *testing.T) {
	dir := t.TempDir()
	config, err := server.Init(server.InitOptions{Dir: dir, Organisation: "Test", URL: "https://127.0.0.1:14000", Listen: "127.0.0.1:0", ListenHTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (status int, out, errs string) {
		var stdout, stderr bytes.Buffer
		status = Main(append([]string{"admin", "--config", config, "key"}, args...), "test", &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		t.Fatal(err)
	}
	private, err := certificate.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	csr, err := certificate.Request(key, []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	names := []string{hex.EncodeToString(sum[:])}
	for name, data := range map[string][]byte{
		"private": private,
		"public":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"csr":     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, path)
	}
	for _, name := range names {
		if status, _, errs := run("block", name, "--why", "leaked"); status != 0 {
			t.Fatalf("%s: %d: %s", name, status, errs)
		}
		if status, _, errs := run("block", names[0]); status != 1 || !strings.Contains(errs, "blocked already") {
			t.Errorf("blocking it again: %d: %s", status, errs)
		}
		var all []blockedView
		if _, out, _ := run("list", "--json"); json.Unmarshal([]byte(out), &all) != nil || len(all) != 1 || all[0].SPKI != names[0] || all[0].Why != "leaked" {
			t.Errorf("%s: listed are %s", name, out)
		}
		if status, _, errs := run("unblock", name); status != 0 {
			t.Errorf("unblocking %s: %d: %s", name, status, errs)
		}
	}
	ca := filepath.Join(dir, "ca", "root.pem")
	if status, _, errs := run("block", ca); status != 0 {
		t.Errorf("by a certificate: %d: %s", status, errs)
	}
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"unblock", names[0]}, 1, "is not blocked here"},
		{[]string{"block", "no-such-file"}, 1, "neither a file nor a SHA-256 hash"},
		{[]string{"block", config}, 1, "it holds no PEM"},
		{[]string{"block"}, 2, "give the key"},
		{[]string{"list", "x"}, 2, "takes no arguments"},
	} {
		if status, _, errs := run(tt.args...); status != tt.status || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: %d: %s; want %d, %q", tt.args, status, errs, tt.status, tt.want)
		}
	}
}
