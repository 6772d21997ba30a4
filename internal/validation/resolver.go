package validation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Recursive asks recursive resolvers, one after the other until one answers, over
// UDP and, where an answer was cut short, over TCP.
type Recursive struct {
	Servers []string // HOST:PORT each
	// Partial servers know some zones only, and refuse to answer about others (as a
	// name server in a test does): a name that they refuse has no CAA records.
	Partial bool
}

// perServer bounds the wait for one resolver.
const perServer = 5 * time.Second

// FromSystem asks the resolvers of /etc/resolv.conf.
func FromSystem() (*Recursive, error) {
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("reading /etc/resolv.conf: %w; name resolvers in the configuration (validation.resolvers)", err)
	}
	r := new(Recursive)
	for _, s := range conf.Servers {
		r.Servers = append(r.Servers, net.JoinHostPort(s, conf.Port))
	}
	if len(r.Servers) == 0 {
		return nil, errors.New("/etc/resolv.conf names no resolver; name some in the configuration (validation.resolvers)")
	}
	return r, nil
}

// LookupAddrs asks for AAAA and A at once. An address family without an answer
// doesn't matter while the other has one.
func (r *Recursive) LookupAddrs(ctx context.Context, name string) ([]netip.Addr, error) {
	type result struct {
		rrs []dns.RR
		err error
	}
	ask := func(t uint16) <-chan result {
		ch := make(chan result, 1)
		go func() {
			rrs, err := r.query(ctx, name, t)
			ch <- result{rrs, err}
		}()
		return ch
	}
	v6, v4 := ask(dns.TypeAAAA), ask(dns.TypeA)
	r6, r4 := <-v6, <-v4
	var addrs []netip.Addr
	for _, rr := range append(r6.rrs, r4.rrs...) {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.AAAA:
			ip = rr.AAAA
		case *dns.A:
			ip = rr.A
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, cmp.Or(r4.err, r6.err) // both would say the same, in two lines
}

// LookupTXT asks for TXT.
func (r *Recursive) LookupTXT(ctx context.Context, name string) ([]string, error) {
	rrs, err := r.query(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	return values, nil
}

// LookupCAA asks for CAA.
func (r *Recursive) LookupCAA(ctx context.Context, name string) ([]*dns.CAA, error) {
	rrs, err := r.query(ctx, name, dns.TypeCAA)
	if r.Partial && errors.Is(err, errRefused) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var records []*dns.CAA
	for _, rr := range rrs {
		if caa, ok := rr.(*dns.CAA); ok {
			records = append(records, caa)
		}
	}
	return records, nil
}

// errRefused says that a server will not answer questions about a name.
var errRefused = errors.New("answered REFUSED")

// query returns the answer section, which is empty for a name that doesn't exist or
// has nothing of that type.
func (r *Recursive) query(ctx context.Context, name string, t uint16) ([]dns.RR, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), t)
	m.SetEdns0(1232, false) // the size of DNS Flag Day 2020: no fragments
	var last error
	for _, server := range r.Servers {
		answer, err := exchange(ctx, m, server)
		switch {
		case err != nil:
			last = fmt.Errorf("resolver %s: %w", server, reason(err))
		case answer.Rcode == dns.RcodeSuccess, answer.Rcode == dns.RcodeNameError:
			return answer.Answer, nil
		case answer.Rcode == dns.RcodeRefused:
			last = fmt.Errorf("resolver %s %w", server, errRefused)
		default:
			last = fmt.Errorf("resolver %s answered %s", server, dns.RcodeToString[answer.Rcode])
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

func exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, perServer)
	defer cancel()
	answer, _, err := (&dns.Client{Net: "udp", Timeout: perServer}).ExchangeContext(ctx, m, server)
	if err == nil && answer.Truncated {
		answer, _, err = (&dns.Client{Net: "tcp", Timeout: perServer}).ExchangeContext(ctx, m, server)
		if err == nil && answer.Truncated { // half of the CAA records would be worse than none
			return nil, errors.New("the answer was cut short, over TCP too")
		}
	}
	return answer, err
}

// Loopback is the resolver of "vidimusd dev" when no other is named: every name is
// at this machine.
type Loopback struct{}

// LookupAddrs gives 127.0.0.1 for every name.
func (Loopback) LookupAddrs(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
}

// LookupTXT gives nothing.
func (Loopback) LookupTXT(context.Context, string) ([]string, error) { return nil, nil }

// LookupCAA gives nothing.
func (Loopback) LookupCAA(context.Context, string) ([]*dns.CAA, error) { return nil, nil }
