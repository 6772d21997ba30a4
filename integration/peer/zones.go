package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Zones are zones on two BINDs, a primary that takes updates signed with a TSIG key and
// a secondary that follows only when it is told to. Name servers of one zone have one
// port, and BIND listens at the addresses of interfaces only, so a relay stands before
// each, at an address of its own.
type Zones struct {
	Primary, Secondary string // HOST:PORT of the relays, UDP and TCP
	Port               string
	Updates            string // HOST:PORT where the primary takes updates
	KeyName, Secret    string // base64
	Algorithm          string // as BIND calls it
	names              []string
	follower           string // HOST:PORT of the secondary itself
}

// ZoneOptions are what StartZones may be told.
type ZoneOptions struct {
	Names     []string // of the zones
	Records   string   // further lines of the first zone
	Servers   []string // addresses of further name servers, which somebody else runs or nobody
	Algorithm string   // of the key; "" means hmac-sha256
	Port      int      // 0 means a free one
	Alone     bool     // no secondary
}

// StartZones starts both servers with zones that have them as name servers.
func StartZones(t testing.TB, o ZoneOptions) *Zones {
	t.Helper()
	bin := Need(t, "named")
	if o.Port == 0 {
		o.Port = FreePort(t)
	}
	if o.Algorithm == "" {
		o.Algorithm = "hmac-sha256"
	}
	hosts := loopbacks(t, o.Port)
	z := &Zones{Port: fmt.Sprint(o.Port), KeyName: "update", Secret: "bm90IGEgc2VjcmV0LCBqdXN0IGEgdGVzdCBvZiB1cGRhdGVz",
		Algorithm: o.Algorithm, names: o.Names}
	z.Primary, z.Secondary = net.JoinHostPort(hosts[0], z.Port), net.JoinHostPort(hosts[1], z.Port)
	records := "@ NS ns1\nns1 A " + hosts[0] + "\n"
	if !o.Alone {
		records += "@ NS ns2\nns2 A " + hosts[1] + "\n"
	}
	for i, s := range o.Servers {
		records += fmt.Sprintf("@ NS ns%d\nns%d A %s\n", i+3, i+3, s)
	}
	var primary, secondary strings.Builder
	dir, first, second := t.TempDir(), FreePort(t), FreePort(t)
	for i, name := range o.Names {
		text := fmt.Sprintf("$ORIGIN %s.\n$TTL 1\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n@ A 127.0.0.1\nwww A 127.0.0.1\n%s", name, records)
		if i == 0 {
			text += o.Records
		}
		writePublic(t, filepath.Join(dir, name+".db"), text)
		fmt.Fprintf(&primary, "zone %q { type master; file %q; allow-update { key %q; }; notify no; };\n", name, filepath.Join(dir, name+".db"), z.KeyName)
		fmt.Fprintf(&secondary, "zone %q { type slave; masters { 127.0.0.1 port %d; }; notify no; allow-notify { any; }; };\n", name, first)
	}
	z.Updates = fmt.Sprintf("127.0.0.1:%d", first)
	z.start(t, bin, first, primary.String())
	relay(t, z.Primary, first)
	if !o.Alone {
		z.follower = fmt.Sprintf("127.0.0.1:%d", second)
		z.start(t, bin, second, secondary.String())
		relay(t, z.Secondary, second)
	}
	return z
}

// start runs one server and waits until it has all zones.
func (z *Zones) start(t testing.TB, bin string, port int, zones string) {
	t.Helper()
	dir := t.TempDir()
	writePublic(t, filepath.Join(dir, "named.conf"), fmt.Sprintf(`
options {
	directory %q;
	pid-file none;
	session-keyfile none;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion no;
	allow-transfer { any; };
	dnssec-validation no;
	check-names master ignore;
	check-names slave ignore;
};
controls { };
key %q { algorithm %s; secret %q; };
%s`, dir, port, z.KeyName, z.Algorithm, z.Secret, zones))
	Start(t, exec.Command(bin, "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf")))
	for _, name := range z.names {
		Eventually(t, "named has "+name, func() bool {
			answer, err := dns.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeSOA), fmt.Sprintf("127.0.0.1:%d", port))
			return err == nil && len(answer.Answer) == 1
		})
	}
}

// relay hands questions at an address on to a port of 127.0.0.1, and the answers back.
func relay(t testing.TB, at string, port int) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, UDPSize: dns.MaxMsgSize, Timeout: 5 * time.Second}
		ready := make(chan struct{})
		s := &dns.Server{Addr: at, Net: network, NotifyStartedFunc: func() { close(ready) }}
		s.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			if answer, _, err := c.Exchange(m, fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
				_ = w.WriteMsg(answer)
			}
		})
		failed := make(chan error, 1)
		go func() { failed <- s.ListenAndServe() }()
		select {
		case <-ready:
		case err := <-failed:
			t.Fatalf("a relay at %s: %v", at, err)
		}
		t.Cleanup(func() { s.Shutdown() })
	}
}

// loopbacks finds two addresses of this machine, other than the usual one, where the
// port is free.
func loopbacks(t testing.TB, port int) (hosts []string) {
	t.Helper()
	for i := 2; i < 250 && len(hosts) < 2; i++ {
		host := fmt.Sprintf("127.0.%d.%d", os.Getpid()%200+1, i)
		if u, err := net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(port))); err == nil {
			u.Close()
			hosts = append(hosts, host)
		}
	}
	if len(hosts) < 2 {
		t.Skipf("port %d cannot be bound at addresses of 127.0.0.0/8 here", port)
	}
	return hosts
}

func writePublic(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Follow tells the secondary that a zone has changed (RFC 1996), so that it fetches it.
func (z *Zones) Follow(t testing.TB, zone string) {
	t.Helper()
	m := new(dns.Msg).SetNotify(zone + ".")
	if _, err := dns.Exchange(m, z.follower); err != nil {
		t.Errorf("telling the secondary of %s: %v", zone, err)
	}
}

// TXT asks one server for the TXT values of a name.
func (z *Zones) TXT(t testing.TB, server, name string) (values []string) {
	t.Helper()
	c := &dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	answer, _, err := c.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeTXT), server)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	return values
}

// Credentials writes a credentials file as Certbot's plugin for RFC 2136 has it.
func (z *Zones) Credentials(t testing.TB) string {
	t.Helper()
	host, port, err := net.SplitHostPort(z.Updates)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rfc2136.ini")
	write(t, path, fmt.Appendf(nil, "# TSIG key\ndns_rfc2136_server = %s\ndns_rfc2136_port = %s\ndns_rfc2136_name = %s.\ndns_rfc2136_secret = %s\ndns_rfc2136_algorithm = %s\n",
		host, port, z.KeyName, z.Secret, strings.ToUpper(z.Algorithm)))
	return path
}
