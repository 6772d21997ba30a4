package main

import (
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/miekg/dns"
)

// aliases is a small resolver on loopback that lego is made to ask. lego computes by
// itself where a value goes: at the end of the aliases of _acme-challenge.DOMAIN.
// vidimus has found that place already, asking the right servers, and it may be
// another, as for dns-account-01. So this resolver says that _acme-challenge.DOMAIN is
// an alias of that place while a request for it runs, and hands all other questions on.
type aliases struct {
	upstream []string // HOST:PORT

	mu   sync.Mutex
	now  map[string]string // places by lower-case question; guarded by mu
	turn map[string]*sync.Mutex
}

// serveAliases starts the resolver; without an address it hands on to the system's.
func serveAliases(resolver string) (*aliases, error) {
	a := &aliases{now: make(map[string]string), turn: make(map[string]*sync.Mutex)}
	if resolver != "" {
		a.upstream = []string{resolver}
	} else {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("reading /etc/resolv.conf: %w", err)
		}
		for _, s := range conf.Servers {
			a.upstream = append(a.upstream, net.JoinHostPort(s, conf.Port))
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	go func() { _ = (&dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(a.answer)}).ActivateAndServe() }()
	// An option of lego's challenge solver, which is not used, sets it for all.
	return a, dns01.AddRecursiveNameservers([]string{conn.LocalAddr().String()})(nil)
}

func question(domain string) string { return dns.CanonicalName("_acme-challenge." + domain) }

// set makes the name of a domain an alias; requests for one domain take turns.
func (a *aliases) set(domain, place string) {
	a.mu.Lock()
	q := question(domain)
	if a.turn[q] == nil {
		a.turn[q] = new(sync.Mutex)
	}
	turn := a.turn[q]
	a.mu.Unlock()
	turn.Lock()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now[q] = dns.Fqdn(place)
}

func (a *aliases) unset(domain string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.now, question(domain))
	a.turn[question(domain)].Unlock()
}

func (a *aliases) answer(w dns.ResponseWriter, m *dns.Msg) {
	if len(m.Question) == 1 && m.Question[0].Qtype == dns.TypeCNAME {
		a.mu.Lock()
		place, ours := a.now[dns.CanonicalName(m.Question[0].Name)]
		end := false // of the aliases
		for _, p := range a.now {
			end = end || strings.EqualFold(p, m.Question[0].Name)
		}
		a.mu.Unlock()
		if ours || end {
			answer := new(dns.Msg).SetReply(m)
			if ours && !strings.EqualFold(place, m.Question[0].Name) {
				answer.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: place}}
			}
			_ = w.WriteMsg(answer)
			return
		}
	}
	for _, server := range a.upstream {
		if answer, err := dns.Exchange(m, server); err == nil {
			_ = w.WriteMsg(answer)
			return
		}
	}
	_ = w.WriteMsg(new(dns.Msg).SetRcode(m, dns.RcodeServerFailure))
}
