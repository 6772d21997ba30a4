package validation

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

const (
	token            = "DGyRejmCefe7v4NfDGDKfA"
	keyAuthorization = token + "." + "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

var (
	site     = identifier.Identifier{Type: identifier.DNS, Value: "www.example.org"}
	loopback = Networks{netip.MustParsePrefix("127.0.0.0/8")}
)

// fixed is a resolver that knows addresses only.
type fixed []string

func (f fixed) Lookup(_ context.Context, name string, t uint16) (Answer, error) {
	var out Answer
	for _, a := range f {
		switch addr := netip.MustParseAddr(a); {
		case t == dns.TypeA && addr.Is4():
			out.Records = append(out.Records, &dns.A{A: addr.AsSlice()})
		case t == dns.TypeAAAA && addr.Is6():
			out.Records = append(out.Records, &dns.AAAA{AAAA: addr.AsSlice()})
		}
	}
	return out, nil
}

// asks is the request to validate a challenge for site.
func asks(t acme.ChallengeType) Request {
	return Request{Type: t, Identifier: site, Token: token, KeyAuthorization: keyAuthorization, Account: account, Issuers: identities,
		AccountHashes: hashes, Thumbprints: []string{thumbprint, "former"}}
}

func validate(t *testing.T, v *Validator, c acme.ChallengeType) *acme.Problem {
	t.Helper()
	return v.Validate(t.Context(), asks(c)).Problem
}

func port(t *testing.T, a net.Addr) int {
	t.Helper()
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(p)
	return n
}

// check compares a problem with the type and words that are wanted; no type means
// that there must be none.
func check(t *testing.T, got *acme.Problem, want acme.ProblemType, says string) {
	t.Helper()
	switch {
	case want == "" && got != nil:
		t.Errorf("refused: %v", got)
	case want != "" && got == nil:
		t.Error("accepted")
	case got != nil && (got.Type != want || !strings.Contains(got.Detail, says)):
		t.Errorf("%v; want %s that says %q", got, want, says)
	}
}

func TestAddressesAreFewAndAllowed(t *testing.T) {
	tests := []struct {
		name    string
		found   fixed
		want    string
		problem acme.ProblemType
	}{
		{"one IPv6, two IPv4", fixed{"2606:4700::1", "2606:4700::2", "1.1.1.1", "1.0.0.1", "9.9.9.9"}, "2606:4700::1 1.1.1.1 1.0.0.1", ""},
		{"mapped counts as IPv4", fixed{"::ffff:1.1.1.1", "1.0.0.1", "9.9.9.9"}, "1.1.1.1 1.0.0.1", ""},
		{"private ones are left out", fixed{"10.0.0.1", "fd00::1", "192.168.0.1", "9.9.9.9"}, "9.9.9.9", ""},
		{"an allowed network", fixed{"127.0.0.2"}, "127.0.0.2", ""},
		{"private only", fixed{"10.0.0.1", "::ffff:10.0.0.2"}, "", acme.Connection},
		{"none", nil, "", acme.DNS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &attempt{Validator: &Validator{Resolver: tt.found, Networks: loopback}}
			got, problem := v.addrs(t.Context(), "www.example.org")
			check(t, problem, tt.problem, "www.example.org")
			var texts []string
			for _, a := range got {
				texts = append(texts, a.String())
			}
			if !slices.Equal(texts, strings.Fields(tt.want)) {
				t.Errorf("addresses %q; want %s", texts, tt.want)
			}
		})
	}
}

func TestDialTriesTheNextAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v := &attempt{Validator: &Validator{Resolver: fixed{"127.0.0.9", "127.0.0.1"}, Networks: loopback}}
	conn, problem := v.dial(t.Context(), "www.example.org", port(t, l.Addr()))
	if problem != nil {
		t.Fatal(problem)
	}
	conn.Close()
	if addr := v.record().Address; addr != l.Addr().String() {
		t.Errorf("connected to %s; want %s", addr, l.Addr())
	}
	l.Close()
	_, problem = v.dial(t.Context(), "www.example.org", port(t, l.Addr()))
	check(t, problem, acme.Connection, "connection refused")
}

// dropping is an address where whoever connects hears nothing: a listener whose queue
// is full, for which Linux drops what comes in.
func dropping(t *testing.T, at [4]byte, port int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: at}), unix.Listen(fd, 0)); err != nil {
		t.Skip(err)
	}
	address := net.JoinHostPort(netip.AddrFrom4(at).String(), strconv.Itoa(port))
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("the queue of a listener is never full here")
}

func TestAnAddressThatHearsNothingCostsHalfASecond(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dropping(t, [4]byte{127, 0, 0, 9}, port(t, l.Addr()))
	v := &attempt{Validator: &Validator{Resolver: fixed{"127.0.0.9", "127.0.0.1"}, Networks: loopback}}
	begin := time.Now()
	conn, problem := v.dial(t.Context(), "www.example.org", port(t, l.Addr()))
	if problem != nil {
		t.Fatal(problem)
	}
	conn.Close()
	if took := time.Since(begin); took < dialNext || took > dialTimeout {
		t.Errorf("it took %s; want %s", took, dialNext)
	}
}

func TestAnUnknownTypeIsRefused(t *testing.T) {
	check(t, validate(t, new(Validator), "tls-sni-01"), acme.Malformed, "tls-sni-01")
}

func TestNetworksAllowPublicAddressesAndWhatIsNamed(t *testing.T) {
	named := Networks{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}
	tests := []struct {
		addr string
		want bool
	}{
		{"1.1.1.1", true}, {"193.0.0.1", true}, {"172.32.0.1", true}, {"2606:4700::1", true}, {"2a00::1", true},
		{"10.1.2.3", true}, {"::ffff:10.1.2.3", true}, {"fd00:1::7", true},
		{"10.2.0.1", false}, {"fd00:2::7", false}, {"::ffff:10.2.0.1", false},
		{"0.0.0.0", false}, {"100.64.0.1", false}, {"127.0.0.1", false}, {"169.254.169.254", false}, {"172.16.0.1", false},
		{"192.0.0.8", false}, {"192.0.2.1", false}, {"192.168.1.1", false}, {"198.18.0.1", false}, {"198.51.100.1", false},
		{"203.0.113.1", false}, {"224.0.0.1", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
		{"::", false}, {"::1", false}, {"::127.0.0.1", false}, {"::ffff:127.0.0.1", false}, {"64:ff9b::7f00:1", false},
		{"2001::1", false}, {"2001:db8::1", false}, {"2002:7f00:1::", false}, {"3fff::1", false}, {"5f00::1", false},
		{"fc00::1", false}, {"fe80::1", false}, {"fe80::1%eth0", false}, {"2606:4700::1%eth0", false}, {"fec0::1", false}, {"ff02::1", false},
	}
	for _, tt := range tests {
		if got := named.Allow(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("Allow(%s) = %v", tt.addr, got)
		}
	}
	if new(Networks).Allow(netip.Addr{}) {
		t.Error("Allow accepts no address at all")
	}
}

// FuzzNetworks: no spelling of an address inside IPv6 opens what IPv4 keeps shut.
func FuzzNetworks(f *testing.F) {
	for _, a := range []string{"127.0.0.1", "10.0.0.1", "1.1.1.1", "169.254.169.254"} {
		b := netip.MustParseAddr(a).As4()
		f.Add(b[0], b[1], b[2], b[3])
	}
	f.Fuzz(func(t *testing.T, a, b, c, d byte) {
		v4 := netip.AddrFrom4([4]byte{a, b, c, d})
		mapped := netip.AddrFrom16(v4.As16())
		if Networks(nil).Allow(v4) != Networks(nil).Allow(mapped) {
			t.Errorf("%s and %s are treated differently", v4, mapped)
		}
		for _, into := range []netip.Addr{
			netip.AddrFrom16([16]byte{12: a, b, c, d}),                       // IPv4-compatible
			netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: a, b, c, d}),  // NAT64
			netip.AddrFrom16([16]byte{0x20, 0x02, a, b, c, d}),               // 6to4
			netip.AddrFrom16([16]byte{0x20, 0x01, 0, 0, 12: ^a, ^b, ^c, ^d}), // Teredo
		} {
			if Networks(nil).Allow(into) {
				t.Errorf("%s is allowed, which embeds %s", into, v4)
			}
		}
	})
}
