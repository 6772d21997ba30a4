package interop

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vidimus/integration/peer"
)

// The libraries of Go, in the program of the module in programs.

var autocert = &client{
	name:    "x/crypto/acme/autocert",
	version: module("golang.org/x/crypto"),
	single:  true,
	short:   true,
	obtain:  func(a *attempt, o *order) material { return programServe(a, o, "autocert", "obtain", nil) },
	renew: func(a *attempt, o *order) material {
		old := a.served(o.site.TLSPort, o.names[0], o.site.CABundle, nil)
		o.stop()
		return programServe(a, o, "autocert", "renew", &old)
	},
	lacks: map[column]lack{
		dnsChallenge: {"no dns-01", documentation("golang.org/x/crypto/acme/autocert"), "dns-01"},
		wildcard:     {"no dns-01, so no wildcards", documentation("golang.org/x/crypto/acme/autocert"), "dns-01"},
		revocation:   {"no function for it", documentation("golang.org/x/crypto/acme/autocert"), "revoke"},
		keyChange:    {"no function for it", documentation("golang.org/x/crypto/acme/autocert"), "rollover"},
	},
	reasons: []reason{
		{address, "missing server name", "finds names by SNI, which has no addresses (\"missing server name\")", true},
	},
}

var certmagic = &client{
	name:    "certmagic",
	version: module("github.com/caddyserver/certmagic"),
	single:  true,
	obtain:  func(a *attempt, o *order) material { return programServe(a, o, "certmagic", "obtain", nil) },
	renew: func(a *attempt, o *order) material {
		old := a.served(o.site.TLSPort, o.names[0], o.site.CABundle, nil)
		o.stop()
		return programServe(a, o, "certmagic", "renew", &old)
	},
	revoke: func(a *attempt, o *order, m material) {
		o.stop()
		if strings.Contains(a.run(program(a, o, "certmagic", "revoke")), "once more after PreCheck") {
			a.note("RevokeCert knows its account only after PreCheck; alone it comes from a new account, and is refused")
		}
	},
	lacks: map[column]lack{
		keyChange: {"no function for it", documentation("github.com/caddyserver/certmagic"), "rollover"},
	},
}

var acmez = &client{
	name:      "acmez",
	version:   module("github.com/mholt/acmez/v3"),
	obtain:    func(a *attempt, o *order) material { return acmezOrder(a, o, "obtain") },
	renew:     func(a *attempt, o *order) material { return acmezOrder(a, o, "renew") },
	revoke:    func(a *attempt, o *order, m material) { a.run(program(a, o, "acmez", "revoke")) },
	keyChange: func(a *attempt, o *order) { a.run(program(a, o, "acmez", "key-change")) },
}

func acmezOrder(a *attempt, o *order, verb string) material {
	a.Helper()
	a.run(program(a, o, "acmez", verb))
	return a.files(filepath.Join(o.dir, "chain.pem"), filepath.Join(o.dir, "key.pem"))
}

// programServe runs a program until it serves a certificate other than old.
func programServe(a *attempt, o *order, library, verb string, old *material) material {
	a.Helper()
	_, o.stop = a.start(program(a, o, library, verb))
	name := strings.Replace(o.names[0], "*", "www", 1)
	if old != nil {
		return a.served(o.site.TLSPort, name, o.site.CABundle, old.leaf())
	}
	return a.served(o.site.TLSPort, name, o.site.CABundle, nil)
}

// program makes the command that does something with a library.
func program(a *attempt, o *order, library, verb string) *exec.Cmd {
	a.Helper()
	task := map[string]any{
		"directory": o.directory, "root": o.site.CABundle, "dir": o.dir, "names": o.names, "method": o.method,
		"http_port": o.site.HTTPPort, "tls_port": o.site.TLSPort,
		"dns": map[string]string{"address": o.site.named.Address, "key_name": o.site.named.KeyName, "secret": o.site.named.KeyValue},
	}
	if o.eab != nil {
		task["kid"], task["hmac_key"] = o.eab.KID, o.eab.HMACKey
	}
	data, err := json.MarshalIndent(task, "", "\t")
	if err != nil {
		a.Fatal(err)
	}
	return exec.Command(buildPrograms(a), library, verb, a.file(filepath.Join(o.dir, "task.json"), 0o600, "%s", data))
}

// programs is the folder of the module.
func programs(t testing.TB) string {
	return filepath.Join(peer.Root(t), "integration/interop/programs")
}

// buildPrograms builds the module's program, once.
func buildPrograms(t testing.TB) string {
	t.Helper()
	path := filepath.Join(peer.Root(t), ".cache/interop/programs")
	if err := built(programs(t), path); err != nil {
		t.Fatal(err)
	}
	return path
}

var building sync.Mutex

func built(dir, path string) error {
	building.Lock()
	defer building.Unlock()
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

// module makes a version function from the module's go.mod.
func module(path string) func(testing.TB) string {
	return func(t testing.TB) string {
		cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path)
		cmd.Dir = programs(t)
		return strings.TrimSpace(peer.Must(t, cmd))
	}
}

// documentation is a probe that prints all that a package exports.
func documentation(pkg string) []string { return []string{"go", "doc", "-all", pkg} }
