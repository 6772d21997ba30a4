package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vidimus/integration/peer"
)

var lacme = &client{
	name:    "lacme",
	version: debian("lacme"),
	needs:   []string{"lacme", "lacme-accountd", "openssl"},
	asRoot:  true, // from which its parts step down
	obtain: func(a *attempt, o *order) material {
		if _, err := os.Stat(filepath.Join(o.dir, "account.key")); err != nil {
			lacmeConfig(a, o)
			lacmeRun(a, o, "account", "--register", "--tos-agreed", "mailto:a@uni.test")
		}
		return lacmeOrder(a, o)
	},
	renew: func(a *attempt, o *order) material { return lacmeOrder(a, o, "--force") },
	revoke: func(a *attempt, o *order, m material) {
		lacmeRun(a, o, "revokeCert", filepath.Join(o.dir, "tried.crt"))
	},
	lacks: map[column]lack{
		binding:       {"no EAB", []string{"cat", "/usr/libexec/lacme/client"}, "externalAccountBinding"},
		refusal:       {"no EAB", []string{"cat", "/usr/libexec/lacme/client"}, "externalAccountBinding"},
		dnsChallenge:  {"has http-01 only", []string{"cat", "/usr/libexec/lacme/client"}, "dns-01"},
		wildcard:      {"has http-01 only", []string{"cat", "/usr/libexec/lacme/client"}, "dns-01"},
		alpnChallenge: {"has http-01 only", []string{"cat", "/usr/libexec/lacme/client"}, "tls-alpn"},
		address:       {"orders DNS names only", []string{"cat", "/usr/libexec/lacme/client"}, "'ip'"},
		keyChange:     {"no command for it", []string{"cat", "/usr/libexec/lacme/client"}, "keyChange"},
	},
}

func lacmeConfig(a *attempt, o *order) {
	a.Helper()
	ca := o.ca(a)
	for _, key := range []string{"account.key", "tried.key"} { // it makes none itself, and takes RSA keys only for accounts
		a.run(exec.Command(peer.Need(a, "openssl"), "genpkey", "-quiet", "-algorithm", "RSA", "-out", filepath.Join(o.dir, key)))
	}
	a.file(filepath.Join(o.dir, "accountd.conf"), 0o600, "privkey = file:%s/account.key\n", o.dir)
	// Each of its four programs runs as who it is meant to.
	a.file(filepath.Join(o.dir, "lacme.conf"), 0o644, `
config-certs = %[1]s/certs.conf
[client]
command = env PERL_LWP_SSL_CA_FILE=%[2]s /usr/libexec/lacme/client
server = %[3]s
[webserver]
listen = 127.0.0.1:%[4]d
[accountd]
config = %[1]s/accountd.conf
`, o.dir, ca, o.directory, o.site.HTTPPort)
}

func lacmeOrder(a *attempt, o *order, options ...string) material {
	a.Helper()
	a.file(filepath.Join(o.dir, "certs.conf"), 0o644, `
[tried]
certificate = %[1]s/tried.crt
certificate-chain = %[1]s/tried-chain.crt
certificate-key = %[1]s/tried.key
subject = /CN=%[2]s
subjectAltName = DNS:%[3]s
CAfile = %[1]s/ca.pem
`, o.dir, o.names[0], strings.Join(o.names, ",DNS:"))
	lacmeRun(a, o, append([]string{"newOrder"}, options...)...)
	return a.files(filepath.Join(o.dir, "tried-chain.crt"), filepath.Join(o.dir, "tried.key"))
}

func lacmeRun(a *attempt, o *order, args ...string) {
	a.Helper()
	a.run(exec.Command(peer.Need(a, "lacme"), append([]string{"--config=" + filepath.Join(o.dir, "lacme.conf")}, args...)...))
}
