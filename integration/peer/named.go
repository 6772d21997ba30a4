package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Named is a BIND that is authoritative for one zone, in which every name is at
// 127.0.0.1, and that takes updates (RFC 2136) signed with a TSIG key.
type Named struct {
	Address           string // HOST:PORT, UDP and TCP
	KeyName, KeyValue string // hmac-sha256, base64
	zone              string
}

// StartNamed starts a BIND for the zone.
func StartNamed(t testing.TB, zone string) *Named {
	t.Helper()
	bin := Need(t, "named")
	port := FreePort(t)
	n := &Named{zone: zone, Address: fmt.Sprintf("127.0.0.1:%d", port), KeyName: "update", KeyValue: "bm90IGEgc2VjcmV0LCBqdXN0IGEgdGVzdCBvZiB1cGRhdGVz"}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("named.conf", fmt.Sprintf(`
options {
	directory %q;
	pid-file none;
	session-keyfile none;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	recursion no;
	dnssec-validation no;
};
controls { };
key %q { algorithm hmac-sha256; secret %q; };
zone %q { type master; file "zone.db"; allow-update { key %q; }; };
`, dir, port, n.KeyName, n.KeyValue, zone, n.KeyName))
	write("zone.db", fmt.Sprintf(`$ORIGIN %s.
$TTL 1
@ SOA ns hostmaster 1 60 60 60 1
@ NS ns
@ A 127.0.0.1
* A 127.0.0.1
ns A 127.0.0.1
`, zone))
	Start(t, exec.Command(bin, "-g", "-c", filepath.Join(dir, "named.conf")))
	Eventually(t, "named answers", func() bool {
		answer, err := dns.Exchange(new(dns.Msg).SetQuestion(zone+".", dns.TypeSOA), n.Address)
		return err == nil && len(answer.Answer) == 1
	})
	return n
}

// Add adds records to the zone, each as in a zone file, with its whole name.
func (n *Named) Add(t testing.TB, records ...string) {
	t.Helper()
	m := new(dns.Msg).SetUpdate(n.zone + ".")
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		m.Insert([]dns.RR{rr})
	}
	key := n.KeyName + "."
	m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	answer, _, err := (&dns.Client{Net: "tcp", TsigSecret: map[string]string{key: n.KeyValue}}).Exchange(m, n.Address)
	if err != nil || answer.Rcode != dns.RcodeSuccess {
		t.Fatalf("adding records: %v\n%v", err, answer)
	}
}
