package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vidimus/integration/peer"
)

var lego = &client{
	name:    "lego",
	version: debian("lego"),
	needs:   []string{"lego"},
	obtain:  func(a *attempt, o *order) material { return legoRun(a, o, "run") },
	renew: func(a *attempt, o *order) material {
		return legoRun(a, o, "renew", "--days", "900", "--no-random-sleep")
	},
	revoke: func(a *attempt, o *order, m material) { legoRun(a, o, "revoke", "--keep") },
	lacks: map[column]lack{
		keyChange: {"no command for it", []string{"lego", "--help"}, "key-change"},
	},
	reasons: []reason{
		{address, `is an IP address, which is ordered with the type`, "orders an IP address as if it were a DNS name", true},
	},
}

func legoRun(a *attempt, o *order, verb ...string) material {
	a.Helper()
	args := []string{"--server", o.directory, "--path", o.dir, "--email", "a@uni.test", "--accept-tos"}
	if o.eab != nil {
		args = append(args, "--eab", "--kid", o.eab.KID, "--hmac", o.eab.HMACKey)
	}
	switch o.method {
	case httpChallenge:
		args = append(args, "--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", o.site.HTTPPort))
	case alpnChallenge:
		args = append(args, "--tls", "--tls.port", fmt.Sprintf("127.0.0.1:%d", o.site.TLSPort))
	case dnsChallenge:
		args = append(args, "--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", o.site.named.Address)
	}
	for _, n := range o.names {
		args = append(args, "--domains", n)
	}
	cmd := exec.Command(peer.Need(a, "lego"), append(args, verb...)...)
	n := o.site.named
	cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+o.site.CABundle, "RFC2136_NAMESERVER="+n.Address,
		"RFC2136_TSIG_KEY="+n.KeyName, "RFC2136_TSIG_ALGORITHM=hmac-sha256.", "RFC2136_TSIG_SECRET="+n.KeyValue)
	a.run(cmd)
	base := filepath.Join(o.dir, "certificates", strings.Replace(o.names[0], "*", "_", 1))
	return a.files(base+".crt", base+".key")
}
