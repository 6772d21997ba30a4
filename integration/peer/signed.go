package peer

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Signed are two BINDs: a name server with the zone "test", which is not signed, and
// the zones signed.test and bogus.test, which are (dnssec-policy); and a recursive
// resolver that validates what it gets from there, with the right trust anchor for
// signed.test and the wrong one for bogus.test. Names www and 'many' are at 127.0.0.1
// and at a hundred addresses of this machine.
type Signed struct {
	Resolver string // HOST:PORT of the one that validates
	Server   string // HOST:PORT of the name server, which doesn't
	resolver func(testing.TB) *exec.Cmd
	running  *exec.Cmd
}

// StartSigned starts both.
func StartSigned(t testing.TB) *Signed {
	t.Helper()
	bin, dir := Need(t, "named"), t.TempDir()
	server, resolver := FreePort(t), FreePort(t)
	s := &Signed{Server: fmt.Sprintf("127.0.0.1:%d", server), Resolver: fmt.Sprintf("127.0.0.1:%d", resolver)}
	conf := namedOptions(dir, server) + "\trecursion no;\n\tdnssec-validation no;\n};\ncontrols { };\n"
	for _, zone := range []string{"test", "signed.test", "bogus.test"} {
		var text strings.Builder
		fmt.Fprintf(&text, "$ORIGIN %s.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\n@ CAA 0 iodef \"mailto:a@example.org\"\nns A 127.0.0.1\nwww A 127.0.0.1\n", zone)
		for i := range 100 {
			fmt.Fprintf(&text, "many A 127.0.9.%d\n", i+1)
		}
		writePublic(t, filepath.Join(dir, zone+".db"), text.String())
		policy := "dnssec-policy default; inline-signing yes; "
		if zone == "test" {
			policy = ""
		}
		conf += fmt.Sprintf("zone %q { type primary; file %q; %s};\n", zone, filepath.Join(dir, zone+".db"), policy)
	}
	writePublic(t, filepath.Join(dir, "server.conf"), conf)
	Start(t, exec.Command(bin, "-g", "-n", "1", "-c", filepath.Join(dir, "server.conf")))
	keys := make(map[string]*dns.DNSKEY)
	for _, zone := range []string{"signed.test", "bogus.test"} {
		Eventually(t, "named has signed "+zone, func() bool {
			keys[zone] = signedBy(s.Server, zone)
			return keys[zone] != nil
		})
	}
	right := keys["signed.test"]
	anchor := func(zone string, key *dns.DNSKEY) string {
		return fmt.Sprintf("\t%q static-key %d %d %d %q;\n", zone, key.Flags, key.Protocol, key.Algorithm, key.PublicKey)
	}
	conf = namedOptions(dir, resolver) + fmt.Sprintf(`	recursion yes;
	forward only;
	forwarders { 127.0.0.1 port %d; };
	dnssec-validation yes;
	max-cache-ttl 1;
	max-ncache-ttl 1;
};
controls { };
trust-anchors {
`, server) + anchor("signed.test", right) + anchor("bogus.test", right) + "};\n"
	writePublic(t, filepath.Join(dir, "resolver.conf"), conf)
	s.resolver = func(t testing.TB) *exec.Cmd {
		t.Helper()
		cmd := exec.Command(bin, "-g", "-n", "1", "-c", filepath.Join(dir, "resolver.conf"))
		Start(t, cmd)
		return cmd
	}
	s.Start(t)
	return s
}

// Start starts the resolver, after Kill, and waits until it answers.
func (s *Signed) Start(t testing.TB) {
	t.Helper()
	s.running = s.resolver(t)
	Eventually(t, "the resolver answers", func() bool {
		m := new(dns.Msg).SetQuestion("www.signed.test.", dns.TypeA)
		m.AuthenticatedData = true
		answer, err := dns.Exchange(m, s.Resolver)
		return err == nil && len(answer.Answer) == 1 && answer.AuthenticatedData
	})
}

// Kill kills the resolver.
func (s *Signed) Kill() {
	s.running.Process.Kill()
	s.running.Wait()
}

// signedBy is the key that has signed a zone, or nil while it isn't signed.
func signedBy(server, zone string) *dns.DNSKEY {
	m := new(dns.Msg).SetQuestion(zone+".", dns.TypeDNSKEY)
	m.SetEdns0(4096, true)
	answer, err := dns.Exchange(m, server)
	if err != nil {
		return nil
	}
	var key *dns.DNSKEY
	signed := false
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.DNSKEY:
			key = rr
		case *dns.RRSIG:
			signed = true
		}
	}
	if !signed {
		return nil
	}
	return key
}

// namedOptions begins the configuration of a BIND of its own.
func namedOptions(dir string, port int) string {
	return fmt.Sprintf(`options {
	directory %q;
	pid-file none;
	session-keyfile none;
	listen-on port %d { 127.0.0.1; };
	listen-on-v6 { none; };
	managed-keys-directory %q;
`, dir, port, dir)
}
