// Package rfc2136 changes a zone by dynamic updates (RFC 2136), signed with a TSIG key
// (RFC 8945).
package rfc2136

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/authenticator/dns/provider"
)

// Server is the name server that takes the updates.
type Server struct {
	Address   string // HOST:PORT
	SignQuery bool   // sign the questions for the zone as well

	keyName   string // of the TSIG key; "" sends unsigned updates
	secret    []byte
	algorithm string // of TSIG, on the wire

	mu    sync.Mutex
	zones map[string]string // the zone of a name; guarded by mu
}

var _ provider.Provider = (*Server)(nil)

// TTL of the records, in seconds.
const ttl = 120

// timeout bounds one exchange with the server.
const timeout = 20 * time.Second

// New checks settings as people write them: host is an address, port may be empty (53),
// and so may algorithm (HMAC-MD5, which is Certbot's default).
func New(host, port, keyName, secret, algorithm string) (*Server, error) {
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err != nil {
		return nil, fmt.Errorf("the DNS server to update, %q, is not an IPv4 or IPv6 address: give its address, not its name", host)
	}
	if port == "" {
		port = "53"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("the port of the DNS server to update, %q, is not a number from 1 to 65535", port)
	}
	s := &Server{Address: net.JoinHostPort(host, port)}
	if keyName == "" {
		return s, nil
	}
	if algorithm == "" {
		algorithm = "HMAC-MD5"
	}
	name := strings.TrimSuffix(strings.ToUpper(algorithm), ".")
	if name == "HMAC-MD5.SIG-ALG.REG.INT" {
		name = "HMAC-MD5"
	}
	alg, ok := algorithms[name]
	if !ok {
		return nil, fmt.Errorf("the TSIG algorithm %q is not known: use one of HMAC-SHA256, HMAC-SHA384, HMAC-SHA512, HMAC-SHA224, HMAC-SHA1, HMAC-MD5", algorithm)
	}
	secret = strings.Join(strings.Fields(secret), "") // tsig-keygen wraps long ones
	raw, err := base64.StdEncoding.DecodeString(secret)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("the TSIG secret is not base64: copy what tsig-keygen printed behind \"secret\", without the quotes")
	}
	s.keyName, s.secret, s.algorithm = dns.CanonicalName(keyName), raw, alg
	return s, nil
}

// Add implements [provider.Provider].
func (s *Server) Add(ctx context.Context, r provider.Record) error {
	return s.update(ctx, "adding", r, func(m *dns.Msg, rr dns.RR) { m.Insert([]dns.RR{rr}) })
}

// Remove implements [provider.Provider].
func (s *Server) Remove(ctx context.Context, r provider.Record) error {
	return s.update(ctx, "removing", r, func(m *dns.Msg, rr dns.RR) { m.Remove([]dns.RR{rr}) })
}

func (s *Server) update(ctx context.Context, doing string, r provider.Record, change func(*dns.Msg, dns.RR)) error {
	zone, err := s.zone(ctx, r.Name)
	if err != nil {
		return fmt.Errorf("%s a TXT value of %s: %w", doing, r.Name, err)
	}
	m := new(dns.Msg).SetUpdate(dns.Fqdn(zone))
	change(m, &dns.TXT{
		Hdr: dns.RR_Header{Name: dns.Fqdn(r.Name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: ttl},
		Txt: split(r.Value),
	})
	answer, err := s.exchange(ctx, m, true)
	if err == nil && answer.Rcode != dns.RcodeSuccess {
		err = s.refused(answer.Rcode, zone)
	}
	if err != nil {
		return fmt.Errorf("%s a TXT value of %s at the DNS server %s: %w", doing, r.Name, s.Address, err)
	}
	return nil
}

func (s *Server) refused(rcode int, zone string) error {
	switch rcode {
	case dns.RcodeRefused:
		return fmt.Errorf("it refuses the update: grant the key %s in update-policy or allow-update of the zone %s", s.key(), zone)
	case dns.RcodeNotAuth:
		return fmt.Errorf("it does not accept the signature (NOTAUTH): check name, secret and algorithm of the key %s, and that the server is the primary of %s", s.key(), zone)
	case dns.RcodeNotZone:
		return fmt.Errorf("the name is not in its zone %s (NOTZONE)", zone)
	}
	return fmt.Errorf("it answered %s to the update of the zone %s: its log says why", dns.RcodeToString[rcode], zone)
}

func (s *Server) key() string {
	if s.keyName == "" {
		return "(none)"
	}
	return strings.TrimSuffix(s.keyName, ".")
}

// zone finds the zone of a name that the server itself is authoritative for. It may be
// another than the world sees: the server can be a hidden one.
func (s *Server) zone(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	zone, ok := s.zones[name]
	s.mu.Unlock()
	if ok {
		return zone, nil
	}
	for _, i := range dns.Split(dns.Fqdn(name)) {
		at := dns.Fqdn(name)[i:]
		m := new(dns.Msg).SetQuestion(at, dns.TypeSOA)
		m.RecursionDesired = false
		answer, err := s.exchange(ctx, m, s.SignQuery)
		if err != nil {
			return "", fmt.Errorf("asking the DNS server %s for the zone: %w", s.Address, err)
		}
		if apex := apexIn(answer, at); apex != "" {
			s.mu.Lock()
			if s.zones == nil {
				s.zones = make(map[string]string)
			}
			s.zones[name] = apex
			s.mu.Unlock()
			return apex, nil
		}
	}
	return "", fmt.Errorf("the DNS server %s is authoritative for no zone with this name: check the server's address and its views", s.Address)
}

func apexIn(answer *dns.Msg, name string) string {
	if !answer.Authoritative {
		return ""
	}
	for _, rr := range append(answer.Answer, answer.Ns...) {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(soa.Hdr.Name, name) {
			return dns.CanonicalName(soa.Hdr.Name)
		}
	}
	return ""
}

// exchange uses TCP: updates are not repeated, and an answer says that it was done.
// Servers that listen on UDP only are tried there too.
func (s *Server) exchange(ctx context.Context, m *dns.Msg, sign bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var first error
	for _, network := range []string{"tcp", "udp"} {
		q, c := m.Copy(), &dns.Client{Net: network, Timeout: timeout / 2}
		if sign && s.keyName != "" {
			c.TsigProvider = signer{s.keyName, s.secret}
			q.SetTsig(s.keyName, s.algorithm, 300, time.Now().Unix())
		}
		answer, _, err := c.ExchangeContext(ctx, q, s.Address)
		if err == nil || answer != nil && answer.Rcode != dns.RcodeSuccess {
			return answer, nil // a refusal need not be signed (RFC 8945 §5.3)
		}
		if first == nil {
			first = err
		}
		var op *net.OpError
		if !errors.As(err, &op) || ctx.Err() != nil {
			break
		}
	}
	if errors.Is(first, dns.ErrTime) {
		return nil, errors.New("its clock or this machine's is wrong by more than five minutes (BADTIME): set it")
	}
	return nil, first
}

// split cuts a value into strings of at most 255 bytes (RFC 1035 §3.3.14).
func split(value string) []string {
	parts := []string{}
	for len(value) > 255 {
		parts, value = append(parts, value[:255]), value[255:]
	}
	return append(parts, value)
}
