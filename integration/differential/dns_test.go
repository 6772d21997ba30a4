package differential

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"vidimus/integration/peer"
)

// byDNS is about the authenticator that updates zones by RFC 2136.
var byDNS = []scenario{
	{name: "dns-rfc2136 in turns", script: `
		certbot certonly $CA --dns-rfc2136 --dns-rfc2136-credentials $INI --dns-rfc2136-propagation-seconds 1 -d a.example.org,*.a.example.org
		other renew --force-renewal
		certbot renew --force-renewal
		other certonly $CA --dns-rfc2136 --dns-rfc2136-credentials $INI --dns-rfc2136-propagation-seconds 1 -d b.example.org
		certbot certificates > listing`},
	{name: "dns-rfc2136 with wrong credentials", script: `
		sed '/secret/d' $INI > short.ini; chmod 600 short.ini
		sed '/secret/s/=.*/= AAAA/' $INI > wrong.ini; chmod 600 wrong.ini
		!certbot certonly $CA --dns-rfc2136 -d a.example.org
		!certbot certonly $CA --dns-rfc2136 --dns-rfc2136-credentials nowhere.ini -d a.example.org
		!certbot certonly $CA --dns-rfc2136 --dns-rfc2136-credentials short.ini -d a.example.org
		!certbot certonly $CA --dns-rfc2136 --dns-rfc2136-credentials wrong.ini --dns-rfc2136-propagation-seconds 1 -d a.example.org`},
}

// TestSameAsCertbotByDNS runs both programs where BIND is the resolver, which takes a
// private mount namespace.
func TestSameAsCertbotByDNS(t *testing.T) {
	peer.Need(t, "certbot")
	peer.Need(t, "unshare")
	if _, err := os.Stat("/usr/lib/python3/dist-packages/certbot_dns_rfc2136"); err != nil {
		if os.Getenv("VIDIMUS_PEERS") == "required" {
			t.Fatal("python3-certbot-dns-rfc2136 is not installed, and VIDIMUS_PEERS=required")
		}
		t.Skip("python3-certbot-dns-rfc2136 is not installed; make test installs it")
	}
	if os.Getuid() != 0 {
		t.Skip("only root may mount another resolv.conf and have a server on port 53")
	}
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Port: 53, Alone: true})
	resolver, _, err := net.SplitHostPort(z.Primary)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver "+resolver+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	st := &stage{
		pebble: peer.StartPebbleWith(t, peer.PebbleOptions{Env: append(peer.Quick, "PEBBLE_AUTHZREUSE=0"), DNSServer: z.Primary}),
		within: fmt.Sprintf(`unshare -m sh -c 'mount --bind %s /etc/resolv.conf && exec "$0" "$@"' `, conf),
		more:   []string{"INI=" + z.Credentials(t)},
	}
	for _, sc := range byDNS {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, st) })
	}
}
