package validation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

const (
	// dialTimeout bounds one attempt to connect.
	dialTimeout = 5 * time.Second
	// dialNext is when the next address is tried beside one that has not answered: a
	// host whose IPv6 doesn't work costs no more than this.
	dialNext = 500 * time.Millisecond
	// maxV6 and maxV4 bound the addresses of one name that are tried.
	maxV6, maxV4 = 1, 2
)

// dial connects to a host, a name or an address, at the first of its addresses that
// answers; IPv6 has a start. An address is looked up once, checked, and then dialed
// itself, so that a name can't change its mind in between (DNS rebinding).
func (a *attempt) dial(ctx context.Context, host string, port int) (net.Conn, *acme.Problem) {
	addrs, problem := a.addrs(ctx, host)
	if problem != nil {
		return nil, problem
	}
	conn, err := race(ctx, addrs, port)
	if err != nil {
		return nil, acme.Problemf(acme.Connection, "connecting to %s: %v", host, reason(err))
	}
	a.connected(conn.RemoteAddr())
	return conn, nil
}

// race dials the addresses, each when the one before has failed or had its start, and
// returns the first connection.
func race(ctx context.Context, addrs []netip.Addr, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+dialNext*time.Duration(len(addrs)))
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: -1} // short-lived, and bounded otherwise
	begin := func(a netip.Addr) {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), strconv.Itoa(port)))
		select {
		case results <- result{conn, err}:
		case <-ctx.Done():
			if conn != nil { // too late
				conn.Close()
			}
		}
	}
	next := time.NewTimer(0)
	defer next.Stop()
	var last error
	for tried, running := 0, 0; ; {
		select {
		case <-next.C:
			if tried < len(addrs) {
				go begin(addrs[tried])
				tried++
				running++
				next.Reset(dialNext)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			last = r.err
			if running--; running == 0 && tried == len(addrs) {
				return nil, last
			}
			next.Reset(0)
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return nil, last
		}
	}
}

// addrs lists where a host may be reached: few addresses, all allowed, IPv6 first.
func (a *attempt) addrs(ctx context.Context, host string) ([]netip.Addr, *acme.Problem) {
	all, err := a.lookupAddrs(ctx, host)
	if err != nil {
		return nil, acme.Problemf(acme.DNS, "looking up the addresses of %s: %v", host, err)
	}
	if len(all) == 0 {
		return nil, acme.Problemf(acme.DNS, "%s has no address", host)
	}
	var allowed []netip.Addr
	var refused netip.Addr
	left := map[bool]int{true: maxV6, false: maxV4} // by Is6
	for _, addr := range all {
		switch addr = addr.Unmap(); {
		case !a.Validator.Networks.Allow(addr) && !a.Request.Networks.Allow(addr):
			refused = addr
		case left[addr.Is6()] > 0:
			left[addr.Is6()]--
			allowed = append(allowed, addr)
		}
	}
	if len(allowed) == 0 {
		return nil, acme.Problemf(acme.Connection, "%s has the address %s, which is private or special; this server validates at public addresses "+
			"and at the networks that its configuration names (validation.networks)", host, refused)
	}
	return allowed, nil
}

// lookupAddrs asks for AAAA and A at once. An address family without an answer
// doesn't matter while the other has one. An address is its own answer.
func (a *attempt) lookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	type result struct {
		rrs []dns.RR
		err error
	}
	ask := func(t uint16) <-chan result {
		ch := make(chan result, 1)
		go func() {
			rrs, err := a.lookup(ctx, host, t)
			ch <- result{rrs, err}
		}()
		return ch
	}
	v6, v4 := ask(dns.TypeAAAA), ask(dns.TypeA)
	r6, r4 := <-v6, <-v4
	if addrs := addresses(append(r6.rrs, r4.rrs...)); len(addrs) > 0 {
		return addrs, nil
	}
	if r4.err != nil { // the other would say the same
		return nil, r4.err
	}
	return nil, r6.err
}

func addresses(rrs []dns.RR) (addrs []netip.Addr) {
	for _, rr := range rrs {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.AAAA:
			ip = rr.AAAA
		case *dns.A:
			ip = rr.A
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// urlHost is an identifier as it stands in a URL and a Host header field (RFC 8738 §5).
func urlHost(id identifier.Identifier) string {
	if addr, err := netip.ParseAddr(id.Value); err == nil && addr.Is6() {
		return "[" + id.Value + "]"
	}
	return id.Value
}

// reason words a network error without the addresses and operations around it.
func reason(err error) error {
	var dns *net.DNSError
	var sys *os.SyscallError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("timeout")
	case errors.As(err, &dns):
		return err
	case errors.As(err, &sys) && errors.As(err, &op) && op.Addr != nil:
		return fmt.Errorf("%s: %w", op.Addr, sys.Err)
	}
	return err
}
