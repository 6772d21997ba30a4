package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

var vidimus = &client{
	name: "vidimus",
	version: func(t testing.TB) string {
		out := peer.Must(t, exec.Command(peer.Build(t, "vidimus"), "--version"))
		return strings.TrimSpace(strings.TrimPrefix(out, "vidimus "))
	},
	obtain: func(a *attempt, o *order) material {
		args := []string{"certonly", "--agree-tos", "-m", "a@uni.test", "--no-eff-email", "--cert-name", "tried", "--renew-with-new-domains"}
		if o.eab != nil {
			key := a.file(filepath.Join(o.dir, "hmac"), 0o600, "%s\n", o.eab.HMACKey)
			args = append(args, "--eab-kid", o.eab.KID, "--eab-hmac-key-file", key)
		}
		switch o.method {
		case httpChallenge:
			args = append(args, "--standalone", "--http-01-port", fmt.Sprint(o.site.HTTPPort), "--http-01-address", "127.0.0.1")
		case dnsChallenge:
			args = append(args, "--dns-rfc2136", "--dns-rfc2136-credentials", o.site.rfc2136(a, o.dir))
		}
		for _, n := range o.names {
			if net.ParseIP(n) != nil {
				args = append(args, "--ip-address", n)
			} else {
				args = append(args, "-d", n)
			}
		}
		return vidimusRun(a, o, args...)
	},
	renew: func(a *attempt, o *order) material {
		return vidimusRun(a, o, "renew", "--force-renewal", "--no-random-sleep-on-renew")
	},
	revoke: func(a *attempt, o *order, m material) {
		vidimusRun(a, o, "revoke", "--cert-name", "tried", "--no-delete-after-revoke")
	},
	lacks: map[column]lack{
		alpnChallenge: {"no authenticator for tls-alpn-01", []string{"vidimus", "--help", "all"}, "tls-alpn"},
		keyChange:     {"no command for it", []string{"vidimus", "--help", "all"}, "key-change"},
	},
}

func vidimusRun(a *attempt, o *order, args ...string) material {
	a.Helper()
	bin := peer.Build(a, "vidimus")
	cmd := exec.Command(bin, append(args, "-n", "--server", o.directory, "--config-dir", filepath.Join(o.dir, "config"),
		"--work-dir", filepath.Join(o.dir, "work"), "--logs-dir", filepath.Join(o.dir, "logs"))...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+o.site.CABundle, "VIDIMUS_DNS_RESOLVER="+o.site.named.Address)
	a.run(cmd)
	live := filepath.Join(o.dir, "config/live/tried")
	return a.files(filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem"))
}
