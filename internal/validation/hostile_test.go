package validation

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// specialPurpose are the entries of the IANA special-purpose address registries, and
// other ways to write an IPv4 address in IPv6. None may be dialed by default but for
// those that are for everybody.
var specialPurpose = []struct {
	prefix, what string
	reachable    bool
}{
	{"0.0.0.0/8", "this network", false},
	{"10.0.0.0/8", "private use", false},
	{"100.64.0.0/10", "shared address space", false},
	{"127.0.0.0/8", "loopback", false},
	{"169.254.0.0/16", "link local; 169.254.169.254 tells secrets of cloud machines", false},
	{"172.16.0.0/12", "private use", false},
	{"192.0.0.0/24", "IETF protocol assignments", false},
	{"192.0.2.0/24", "documentation", false},
	{"192.31.196.0/24", "AS112", true},
	{"192.52.193.0/24", "AMT", true},
	{"192.88.99.0/24", "6to4 relay anycast", false},
	{"192.168.0.0/16", "private use", false},
	{"192.175.48.0/24", "AS112", true},
	{"198.18.0.0/15", "benchmarking", false},
	{"198.51.100.0/24", "documentation", false},
	{"203.0.113.0/24", "documentation", false},
	{"224.0.0.0/4", "multicast", false},
	{"240.0.0.0/4", "reserved", false},
	{"255.255.255.255/32", "broadcast", false},
	{"::1/128", "loopback", false},
	{"::/128", "unspecified", false},
	{"::/96", "IPv4-compatible", false},
	{"::ffff:0:0:0/96", "IPv4-translated", false},
	{"64:ff9b::/96", "NAT64", false},
	{"64:ff9b:1::/48", "NAT64, local use", false},
	{"100::/64", "discard only", false},
	{"100:0:0:1::/64", "dummy", false},
	{"2001::/23", "IETF protocol assignments", false},
	{"2001::/32", "Teredo", false},
	{"2001:2::/48", "benchmarking", false},
	{"2001:10::/28", "ORCHID", false},
	{"2001:20::/28", "ORCHIDv2", false},
	{"2001:db8::/32", "documentation", false},
	{"2002::/16", "6to4", false},
	{"2620:4f:8000::/48", "AS112", true},
	{"3fff::/20", "documentation", false},
	{"5f00::/16", "segment routing", false},
	{"fc00::/7", "unique local", false},
	{"fe80::/10", "link local", false},
	{"fec0::/10", "site local", false},
	{"ff00::/8", "multicast", false},
	{"4000::/3", "not allocated", false},
	{"1.1.1.0/24", "public", true},
	{"172.32.0.0/16", "public, after private use", true},
	{"2606:4700::/32", "public", true},
}

// ends are the first and the last address of a prefix.
func ends(p netip.Prefix) [2]netip.Addr {
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(last)
	return [2]netip.Addr{p.Addr(), addr}
}

func TestSpecialPurposeAddressesAreNotDialed(t *testing.T) {
	for _, tt := range specialPurpose {
		for _, addr := range ends(netip.MustParsePrefix(tt.prefix)) {
			if got := Networks(nil).Allow(addr); got != tt.reachable {
				t.Errorf("%s (%s): allowed: %v", addr, tt.what, got)
			}
			if addr.Is4() {
				if mapped := netip.AddrFrom16(addr.As16()); Networks(nil).Allow(mapped) != tt.reachable {
					t.Errorf("%s (%s): treated unlike %s", mapped, tt.what, addr)
				}
			}
			if tt.reachable {
				continue
			}
			v := &Validator{Resolver: fixed{addr.String()}}
			for _, c := range []acme.ChallengeType{acme.HTTP01, acme.TLSALPN01} {
				// As an address of a name, and as the identifier itself.
				check(t, validate(t, v, c), acme.Connection, "private or special")
				if addr.Is4In6() {
					continue
				}
				req := asks(c)
				req.Identifier = identifier.Identifier{Type: identifier.IP, Value: addr.String()}
				check(t, v.Validate(t.Context(), req).Problem, acme.Connection, "private or special")
			}
		}
	}
}

// byName is a resolver of fixed addresses for each name. Each look-up uses up one entry
// but for the last.
type byName map[string]*turns

type turns struct {
	addrs []string
	asked atomic.Int32
}

func (b byName) Lookup(ctx context.Context, name string, t uint16) (Answer, error) {
	n := b[name]
	if n == nil || t != dns.TypeA {
		return Answer{}, nil
	}
	i := min(int(n.asked.Add(1)), len(n.addrs)) - 1
	return fixed{n.addrs[i]}.Lookup(ctx, name, t)
}

func TestRedirectsToPrivateAddressesAreNotFollowed(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("connected to the inside") }))
	defer inside.Close()
	site := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("http://inside.example.org:%d/secret", port(t, inside.Listener.Addr())), http.StatusFound)
	}
	outside := httptest.NewServer(http.HandlerFunc(site))
	defer outside.Close()
	for _, addr := range []string{"127.0.0.2", "0.0.0.0", "10.0.0.1", "169.254.169.254", "192.168.1.1"} {
		// 127.0.0.1 plays a public address here, but only that of the site itself.
		v := &Validator{Resolver: byName{"www.example.org": {addrs: []string{"127.0.0.1"}}, "inside.example.org": {addrs: []string{addr}}},
			HTTPPort: port(t, outside.Listener.Addr()), TLSPort: port(t, inside.Listener.Addr()), Networks: Networks{netip.MustParsePrefix("127.0.0.1/32")}}
		check(t, validate(t, v, acme.HTTP01), acme.Connection, "private or special")
	}
}

func TestANameCanNotChangeItsAddressBetweenCheckAndConnection(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, keyAuthorization) }))
	defer server.Close()
	rebinding := &turns{addrs: []string{"127.0.0.1", "10.0.0.1"}}
	v := &Validator{Resolver: byName{"www.example.org": rebinding}, HTTPPort: port(t, server.Listener.Addr()), Networks: loopback}
	check(t, validate(t, v, acme.HTTP01), "", "")
	if n := rebinding.asked.Load(); n != 1 {
		t.Errorf("looked up %d times for one connection", n)
	}
	// A redirect is a connection of its own, and is checked again.
	again := httptest.NewServer(http.RedirectHandler("/there", http.StatusFound))
	defer again.Close()
	v = &Validator{Resolver: byName{"www.example.org": {addrs: []string{"127.0.0.1", "10.0.0.1"}}}, HTTPPort: port(t, again.Listener.Addr()), Networks: loopback}
	check(t, validate(t, v, acme.HTTP01), acme.Connection, "10.0.0.1, which is private")
}

func TestADirectoryMayHaveNetworksOfItsOwn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, keyAuthorization) }))
	defer server.Close()
	v := &Validator{Resolver: Loopback{}, HTTPPort: port(t, server.Listener.Addr())}
	req := asks(acme.HTTP01)
	check(t, v.Validate(t.Context(), req).Problem, acme.Connection, "private or special")
	req.Networks = loopback
	check(t, v.Validate(t.Context(), req).Problem, "", "")
}

// serveRaw lets talk answer each connection, once it has read something.
func serveRaw(t *testing.T, talk func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 4096)); err == nil {
					talk(conn)
				}
			}()
		}
	}()
	return port(t, l.Addr())
}

func TestHostileServersAreBounded(t *testing.T) {
	forever := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, s); err != nil {
					return
				}
			}
		}
	}
	drip := func(first string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, first)
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	fmt.Fprint(z, strings.Repeat(" ", 10<<20))
	z.Close()
	tests := []struct {
		name string
		talk func(net.Conn)
		says string
	}{
		{"a header without end", forever("X: " + strings.Repeat("x", 1000)), "fetching"},
		{"header fields without end", func(c net.Conn) { io.WriteString(c, ok); forever("X-A: b\r\n")(c) }, "fetching"},
		{"early hints without end", forever("HTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n"), "fetching"},
		{"a body without end", func(c net.Conn) { io.WriteString(c, ok+"\r\n"); forever(strings.Repeat("x", 4096))(c) }, "more than 4096 bytes"},
		{"chunks without end", func(c net.Conn) {
			io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n")
			forever("1000\r\n" + strings.Repeat("x", 4096) + "\r\n")(c)
		}, "more than 4096 bytes"},
		{"chunk extensions without end", func(c net.Conn) {
			io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n1;")
			forever("x=y;")(c)
		}, "reading"},
		{"a body that says it is 8 EiB", func(c net.Conn) { io.WriteString(c, ok+"Content-Length: 9223372036854775807\r\n\r\n"); drip("")(c) }, "timeout"},
		{"a gzip bomb", func(c net.Conn) {
			fmt.Fprintf(c, "%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", ok, bomb.Len(), bomb.Bytes())
		}, "more than 4096 bytes"},
		{"a slow header", drip(ok + "X-A: "), "timeout"},
		{"a slow body", drip(ok + "\r\n"), "timeout"},
		{"silence", func(c net.Conn) { c.Read(make([]byte, 1)) }, "timeout"},
		{"no HTTP", func(c net.Conn) { io.WriteString(c, "220 mail.example.org ESMTP\r\n") }, "fetching"},
		{"nothing", func(net.Conn) {}, "fetching"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: serveRaw(t, tt.talk)}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // in place of Timeout
			defer cancel()
			p := v.Validate(ctx, asks(acme.HTTP01)).Problem
			if p == nil || !strings.Contains(p.Detail, tt.says) || len(p.Detail) > 1000 {
				t.Errorf("%v; want a short problem that says %q", p, tt.says)
			}
		})
	}
}

func TestAServerThatNeverSpeaksTLSIsBounded(t *testing.T) {
	v := &Validator{Resolver: Loopback{}, Networks: loopback, TLSPort: serveRaw(t, func(c net.Conn) { c.Read(make([]byte, 1)) })}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	check(t, v.Validate(ctx, asks(acme.TLSALPN01)).Problem, acme.TLS, "timeout")
}

// FuzzRedirect: wherever a server redirects to, we stay on http and https, on the ports
// of web servers, and at hosts that have a name.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"/there", "//other.example.org/", "http://127.0.0.1/", "http://[::1]/", "http://0x7f.1/", "http://2130706433/", "https://a@b.example.org/",
		"http://www.example.org:22/", "file:///etc/passwd", "gopher://www.example.org/", "http://localhost/", "http://www.example.org.:80/", "http://www.example.org%00.other.org/", "\\\\x"} {
		f.Add(s)
	}
	a := &attempt{Validator: new(Validator), Request: asks(acme.HTTP01)}
	client := a.client(80)
	f.Fuzz(func(t *testing.T, location string) {
		from, err := http.NewRequest(http.MethodGet, "http://www.example.org/", nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := from.URL.Parse(location)
		if err != nil {
			return
		}
		req := &http.Request{URL: to, Header: http.Header{"Referer": {"x"}}}
		if err := client.CheckRedirect(req, []*http.Request{from}); err != nil {
			return
		}
		_, err = identifier.ParseDNS(to.Hostname())
		p := to.Port()
		if _, number := netip.ParseAddr(to.Hostname()); number == nil || err != nil || to.Scheme != "http" && to.Scheme != "https" ||
			p != "" && p != "80" && p != "443" || to.User != nil || req.Header.Get("Referer") != "" {
			t.Errorf("followed to %q", to)
		}
	})
}
