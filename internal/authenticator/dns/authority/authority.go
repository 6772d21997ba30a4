// Package authority finds the name servers that are authoritative for a name, follows
// its aliases (CNAME, RFC 1034 §3.6.2; DNAME, RFC 6672), and waits until all of these
// servers show the TXT values that a CA is to see there.
//
// It asks the authoritative servers themselves, without recursion, over UDP and, where
// an answer was cut short or did not come, over TCP. A recursive resolver is asked only
// for the zone, its NS names and their addresses, never for the name that is waited
// for: it would remember that there was nothing (RFC 2308), and the CA may use the same
// resolver. Only where the authoritative servers are out of reach, as behind a firewall
// that lets nothing out to port 53, the resolver is asked for the values too.
//
// Nothing here changes a zone, and nothing sleeps for luck.
package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Finder asks the DNS. Its fields are set before the first use; it may be used by many
// goroutines, and remembers the servers of a zone for a few minutes.
type Finder struct {
	Resolvers []string // recursive, HOST:PORT each
	Port      string   // of authoritative servers; "" means 53
	// Patience is how long a server that gives no answer, or none of its own, holds up
	// the others; 0 means 5 seconds.
	Patience time.Duration
	Log      *slog.Logger

	mu    sync.Mutex
	zones map[string]*zoneEntry // guarded by mu
}

// Server is one address of an authoritative name server.
type Server struct {
	Name string // without the last dot
	Addr netip.AddrPort
}

// String is the name with the address, and the port if it is another than 53.
func (s Server) String() string {
	at := s.Addr.Addr().String()
	if s.Addr.Port() != 53 {
		at = s.Addr.String()
	}
	return fmt.Sprintf("%s (%s)", s.Name, at)
}

// FromSystem lists the resolvers of /etc/resolv.conf.
func FromSystem() ([]string, error) {
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("reading /etc/resolv.conf: %w", err)
	}
	var servers []string
	for _, s := range conf.Servers {
		servers = append(servers, net.JoinHostPort(s, conf.Port))
	}
	if len(servers) == 0 {
		return nil, errors.New("/etc/resolv.conf names no resolver: add a line \"nameserver ADDRESS\"")
	}
	return servers, nil
}

// Bounds of one question. A lost datagram is asked again over TCP.
const (
	udpTimeout = 1500 * time.Millisecond
	tcpTimeout = 2500 * time.Millisecond
	// A resolver may have to walk the tree first.
	resolverTimeout = 5 * time.Second
)

// exchange asks one server over UDP and, when the answer is cut short or does not come,
// over TCP.
func exchange(ctx context.Context, server, name string, t uint16, recurse bool) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), t)
	m.RecursionDesired = recurse
	m.SetEdns0(1232, false) // the size of DNS Flag Day 2020: no fragments
	wait := udpTimeout
	if recurse {
		wait = resolverTimeout
	}
	answer, err := over(ctx, "udp", wait, m, server)
	if err == nil && !answer.Truncated || ctx.Err() != nil {
		return answer, err
	}
	viaTCP, tcpErr := over(ctx, "tcp", tcpTimeout, m, server)
	if tcpErr == nil {
		return viaTCP, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; over TCP: %w", reason(err), reason(tcpErr))
	}
	return nil, fmt.Errorf("its answer over UDP is cut short, and over TCP: %w", reason(tcpErr))
}

func over(ctx context.Context, network string, timeout time.Duration, m *dns.Msg, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := &dns.Client{Net: network, Timeout: timeout}
	answer, _, err := c.ExchangeContext(ctx, m.Copy(), server)
	return answer, err
}

// reason leaves the addresses out of a network error; they are said already.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return errors.New("no answer")
		}
		return op.Err
	}
	return err
}

// resolve asks the recursive resolvers, one after the other until one answers.
func (f *Finder) resolve(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	last := errors.New("no resolver is known")
	for _, server := range f.Resolvers {
		answer, err := exchange(ctx, server, name, t, true)
		switch {
		case err != nil:
			last = fmt.Errorf("resolver %s: %w", server, err)
		case answer.Rcode == dns.RcodeSuccess, answer.Rcode == dns.RcodeNameError:
			return answer, nil
		default:
			last = fmt.Errorf("resolver %s answered %s for %s", server, dns.RcodeToString[answer.Rcode], name)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// canonical is a name as this package gives it: lower case, without the last dot.
func canonical(name string) string {
	return strings.TrimSuffix(dns.CanonicalName(name), ".")
}

// parent cuts the first label off; the root has no parent.
func parent(name string) (string, bool) {
	if name == "" {
		return "", false
	}
	i, end := dns.NextLabel(dns.Fqdn(name), 0)
	if end {
		return "", true
	}
	return name[min(i, len(name)):], true
}
