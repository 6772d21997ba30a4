package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vidimus/integration/peer"
)

var certbot = &client{
	name:    "certbot",
	version: debian("certbot"),
	needs:   []string{"certbot"},
	obtain: func(a *attempt, o *order) material {
		args := []string{"certonly", "--agree-tos", "-m", "a@uni.test", "--no-eff-email", "--cert-name", "tried", "--renew-with-new-domains"}
		if o.eab != nil {
			args = append(args, "--eab-kid", o.eab.KID, "--eab-hmac-key", o.eab.HMACKey)
		}
		switch o.method {
		case httpChallenge:
			args = append(args, "--standalone", "--http-01-port", fmt.Sprint(o.site.HTTPPort), "--http-01-address", "127.0.0.1")
		case dnsChallenge:
			args = append(args, "--dns-rfc2136", "--dns-rfc2136-propagation-seconds", "1", "--dns-rfc2136-credentials", o.site.rfc2136(a, o.dir))
		}
		return certbotRun(a, o, append(args, "-d", strings.Join(o.names, ","))...)
	},
	renew: func(a *attempt, o *order) material {
		return certbotRun(a, o, "renew", "--force-renewal", "--no-random-sleep-on-renew")
	},
	revoke: func(a *attempt, o *order, m material) {
		certbotRun(a, o, "revoke", "--cert-name", "tried", "--no-delete-after-revoke")
	},
	lacks: map[column]lack{
		alpnChallenge: {"no authenticator for tls-alpn-01", []string{"certbot", "--help", "all"}, "alpn"},
		keyChange:     {"no command for it", []string{"certbot", "--help", "all"}, "key-change"},
	},
	reasons: []reason{
		{address, "is an IP address. The Let's Encrypt certificate", "takes no IP address on its command line (\"will not issue certificates for a bare IP address\")", true},
		{refusal, "AttributeError: can't set attribute", "certbot 2.1 on Python 3.11 falls over a refusal (\"can't set attribute\"); the server's reason is in its letsencrypt.log", false},
	},
}

func certbotRun(a *attempt, o *order, args ...string) material {
	a.Helper()
	cmd := exec.Command(peer.Need(a, "certbot"), append(args, "-n", "--server", o.directory, "--config-dir", filepath.Join(o.dir, "config"),
		"--work-dir", filepath.Join(o.dir, "work"), "--logs-dir", filepath.Join(o.dir, "logs"))...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+o.site.CABundle)
	a.run(cmd)
	live := filepath.Join(o.dir, "config/live/tried")
	return a.files(filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem"))
}

// rfc2136 writes the credentials of Certbot's plugin for DNS updates.
func (s *site) rfc2136(a *attempt, dir string) string {
	host, port, err := net.SplitHostPort(s.named.Address)
	if err != nil {
		a.Fatal(err)
	}
	return a.file(filepath.Join(dir, "rfc2136.ini"), 0o600, `
dns_rfc2136_server = %s
dns_rfc2136_port = %s
dns_rfc2136_name = %s.
dns_rfc2136_secret = %s
dns_rfc2136_algorithm = HMAC-SHA256
`, host, port, s.named.KeyName, s.named.KeyValue)
}
