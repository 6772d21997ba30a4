package interop

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"vidimus/integration/peer"
)

var dehydrated = &client{
	name:    "dehydrated",
	version: debian("dehydrated"),
	needs:   []string{"dehydrated"},
	obtain: func(a *attempt, o *order) material {
		if _, err := os.Stat(filepath.Join(o.dir, "config")); err != nil {
			dehydratedConfig(a, o)
			dehydratedRun(a, o, "--register", "--accept-terms")
		}
		return dehydratedSign(a, o)
	},
	renew: func(a *attempt, o *order) material { return dehydratedSign(a, o, "--force") },
	revoke: func(a *attempt, o *order, m material) {
		dehydratedRun(a, o, "--revoke", filepath.Join(o.dir, "certs/tried/cert.pem"))
	},
	lacks: map[column]lack{
		keyChange: {"no command for it", []string{"dehydrated", "--help"}, "rollover"},
	},
	reasons: []reason{
		{address, `is an IP address, which is ordered with the type`, "orders an IP address as if it were a DNS name", true},
	},
}

func dehydratedSign(a *attempt, o *order, options ...string) material {
	a.Helper()
	args := append([]string{"--cron", "--alias", "tried"}, options...)
	for _, n := range o.names {
		args = append(args, "-d", n)
	}
	dehydratedRun(a, o, args...)
	dir := filepath.Join(o.dir, "certs/tried")
	return a.files(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem"))
}

func dehydratedRun(a *attempt, o *order, args ...string) {
	a.Helper()
	a.run(exec.Command(peer.Need(a, "dehydrated"), append(args, "--config", filepath.Join(o.dir, "config"))...))
}

func dehydratedConfig(a *attempt, o *order) {
	a.Helper()
	more := ""
	switch o.method {
	case httpChallenge:
		more = fmt.Sprintf("WELLKNOWN=%q\n", o.site.webroot(a))
	case dnsChallenge:
		more = fmt.Sprintf("HOOK=%q\n", a.file(filepath.Join(o.dir, "hook"), 0o755, `
#!/bin/sh
. '%s'
case $1 in
deploy_challenge) txt add "$2" "$4" ;;
clean_challenge) txt delete "$2" "$4" ;;
esac
`, o.site.nsupdate(a, o.dir)))
	case alpnChallenge:
		more = fmt.Sprintf("HOOK=%q\n", a.file(filepath.Join(o.dir, "hook"), 0o755, "#!/bin/sh\n"))
		serveALPN(a, o.site.TLSPort, filepath.Join(o.dir, "alpn-certs"))
	}
	if o.eab != nil {
		more += fmt.Sprintf("EAB_KID=%q\nEAB_HMAC_KEY=%q\n", o.eab.KID, o.eab.HMACKey)
	}
	a.file(filepath.Join(o.dir, "config"), 0o600, `
CA=%q
BASEDIR=%q
CHALLENGETYPE=%q
CONTACT_EMAIL=a@uni.test
KEY_ALGO=prime256v1
CURL_OPTS="--cacert %s"
%s`, o.directory, o.dir, o.method, o.site.CABundle, more)
}

// serveALPN answers tls-alpn-01 with the certificates that dehydrated lays into a
// folder; it leaves the serving to others.
func serveALPN(a *attempt, port int, dir string) {
	a.Helper()
	l, err := tls.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{
		NextProtos: []string{"acme-tls/1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			base := filepath.Join(dir, filepath.Base(h.ServerName))
			pair, err := tls.LoadX509KeyPair(base+".crt.pem", base+".key.pem")
			return &pair, err
		},
	})
	if err != nil {
		a.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				c.(*tls.Conn).Handshake()
				c.Close()
			}(conn)
		}
	}()
	a.Cleanup(func() { l.Close() })
}
