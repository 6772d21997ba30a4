package validation

import (
	"crypto/sha256"
	"encoding/base64"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// serveDNS answers on one port, over UDP and TCP, and returns its address.
func serveDNS(t *testing.T, answer func(w dns.ResponseWriter, q dns.Question, m *dns.Msg)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		answer(w, q.Question[0], m)
		w.WriteMsg(m)
	})
	for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: p, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return l.Addr().String()
}

// deadServer is an address where nobody answers.
func deadServer(t *testing.T) string {
	t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	return p.LocalAddr().String()
}

func rr(t *testing.T, s string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rightTXT() string {
	sum := sha256.Sum256([]byte(keyAuthorization))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestDNS01(t *testing.T) {
	const owner = "_acme-challenge.www.example.org. 1 IN "
	right := rightTXT()
	var many []string
	for range 60 {
		many = append(many, owner+`TXT "`+strings.Repeat("x", 100)+`"`)
	}
	tests := []struct {
		name    string
		rcode   int
		records []string
		problem acme.ProblemType
		says    string
	}{
		{"right", dns.RcodeSuccess, []string{owner + "TXT " + right}, "", ""},
		{"right among several", dns.RcodeSuccess, []string{owner + "TXT old", owner + "TXT " + right, owner + "TXT other"}, "", ""},
		{"right in two strings", dns.RcodeSuccess, []string{owner + "TXT " + right[:20] + " " + right[20:]}, "", ""},
		{"behind a CNAME", dns.RcodeSuccess, []string{owner + "CNAME x.acme.example.net.", "x.acme.example.net. 1 IN TXT " + right}, "", ""},
		{"in an answer too long for UDP", dns.RcodeSuccess, append(many, owner+"TXT "+right), "", ""},
		{"wrong", dns.RcodeSuccess, []string{owner + "TXT old", owner + "TXT other"}, acme.Unauthorized, `found "old" (and 1 more)`},
		{"the key authorization itself", dns.RcodeSuccess, []string{owner + "TXT " + keyAuthorization}, acme.Unauthorized, "no TXT record"},
		{"CNAME to nothing", dns.RcodeSuccess, []string{owner + "CNAME x.acme.example.net."}, acme.Unauthorized, "there is no TXT record"},
		{"no record", dns.RcodeSuccess, nil, acme.Unauthorized, "there is no TXT record at _acme-challenge.www.example.org"},
		{"no such name", dns.RcodeNameError, nil, acme.Unauthorized, "there is no TXT record"},
		{"server failure", dns.RcodeServerFailure, nil, acme.DNS, "SERVFAIL"},
		{"refused", dns.RcodeRefused, nil, acme.DNS, "REFUSED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var overTCP atomic.Bool
			server := serveDNS(t, func(w dns.ResponseWriter, q dns.Question, m *dns.Msg) {
				if q.Name != "_acme-challenge.www.example.org." || q.Qtype != dns.TypeTXT {
					t.Errorf("asked for %s", q.String())
				}
				m.Rcode = tt.rcode
				for _, r := range tt.records {
					m.Answer = append(m.Answer, rr(t, r))
				}
				if w.RemoteAddr().Network() == "udp" {
					m.Truncate(1232)
				} else {
					overTCP.Store(true)
				}
			})
			v := &Validator{Resolver: &Recursive{Servers: []string{server}}}
			check(t, validate(t, v, acme.DNS01), tt.problem, tt.says)
			if long := len(tt.records) > 50; long != overTCP.Load() {
				t.Errorf("asked over TCP: %v; want %v", !long, long)
			}
		})
	}
}

func TestTheNextResolverIsAskedWhenOneFails(t *testing.T) {
	good := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
	})
	failing := serveDNS(t, func(_ dns.ResponseWriter, _ dns.Question, m *dns.Msg) { m.Rcode = dns.RcodeServerFailure })
	v := &Validator{Resolver: &Recursive{Servers: []string{deadServer(t), failing, good}}}
	check(t, validate(t, v, acme.DNS01), "", "")

	dead := deadServer(t)
	v = &Validator{Resolver: &Recursive{Servers: []string{failing, dead}}}
	check(t, validate(t, v, acme.DNS01), acme.DNS, "resolver ")
}

func TestLookupAddrs(t *testing.T) {
	tests := []struct {
		name    string
		a, aaaa string // the answer, or "fail"
		want    string
	}{
		{"both", "192.0.2.7", "2001:db8::7", "2001:db8::7 192.0.2.7"},
		{"IPv4 only", "192.0.2.7", "", "192.0.2.7"},
		{"IPv6 only", "", "2001:db8::7", "2001:db8::7"},
		{"a broken family doesn't matter", "192.0.2.7", "fail", "192.0.2.7"},
		{"none", "", "", ""},
		{"a broken family and none", "", "fail", "error"},
		{"both broken", "fail", "fail", "error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
				answer := map[uint16]string{dns.TypeA: tt.a, dns.TypeAAAA: tt.aaaa}[q.Qtype]
				switch answer {
				case "":
				case "fail":
					m.Rcode = dns.RcodeServerFailure
				default:
					m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN "+dns.TypeToString[q.Qtype]+" "+answer))
				}
			})
			addrs, err := (&attempt{Validator: &Validator{Resolver: &Recursive{Servers: []string{server}}}}).lookupAddrs(t.Context(), "www.example.org")
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("the error is not one line: %q", err)
				}
				got = append(got, "error")
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, %v; want %s", got, err, tt.want)
			}
		})
	}
}
