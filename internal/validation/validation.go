// Package validation checks from outside that an applicant controls an identifier:
// http-01 and dns-01 (RFC 8555 §8.3, §8.4) and tls-alpn-01 (RFC 8737); and that no
// CAA record forbids the certificate (RFC 8659, RFC 8657).
//
// It talks to whoever the applicant names, so nothing that comes back is trusted:
// sizes and times are bounded, and connections go to public addresses only, unless
// the configuration allows a network (see [Networks]).
package validation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
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

// Timeout bounds one validation from its first question to its last byte.
const Timeout = 20 * time.Second

// dialTimeout bounds one attempt to connect, so that an address that doesn't answer
// leaves time for the next.
const dialTimeout = 5 * time.Second

// Resolver looks names up as a recursive resolver does, following CNAMEs.
type Resolver interface {
	// LookupAddrs lists the addresses of a name, IPv6 before IPv4.
	LookupAddrs(ctx context.Context, name string) ([]netip.Addr, error)
	// LookupTXT lists the values of a name's TXT records, each in one piece.
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// LookupCAA lists the CAA records of a name.
	LookupCAA(ctx context.Context, name string) ([]*dns.CAA, error)
}

// Validator validates challenges. Its fields are not changed after first use.
type Validator struct {
	Resolver  Resolver
	Networks  Networks // where connections may go
	HTTPPort  int      // of http-01; 0 means 80
	TLSPort   int      // of tls-alpn-01; 0 means 443
	UserAgent string
}

// Validate tells what is wrong with the answer to a challenge, or nil.
// keyAuthorization is token and account key thumbprint with a dot between (§8.1).
func (v *Validator) Validate(ctx context.Context, t acme.ChallengeType, id identifier.Identifier, token, keyAuthorization string) *acme.Problem {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	switch t {
	case acme.HTTP01:
		return v.http01(ctx, id, token, keyAuthorization)
	case acme.DNS01:
		return v.dns01(ctx, id, keyAuthorization)
	case acme.TLSALPN01:
		return v.tlsALPN01(ctx, id, keyAuthorization)
	}
	return acme.Problemf(acme.Malformed, "no validation of type %q", t)
}

func (v *Validator) dns01(ctx context.Context, id identifier.Identifier, keyAuthorization string) *acme.Problem {
	name := "_acme-challenge." + id.Value
	values, err := v.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return acme.Problemf(acme.DNS, "looking up TXT of %s: %v", name, err)
	}
	sum := sha256.Sum256([]byte(keyAuthorization))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	for _, got := range values {
		if got == want {
			return nil
		}
	}
	if len(values) == 0 {
		return acme.Problemf(acme.Unauthorized, "there is no TXT record at %s", name)
	}
	more := ""
	if len(values) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(values)-1)
	}
	return acme.Problemf(acme.Unauthorized, "no TXT record at %s is the expected %q; found %q%s", name, want, clip(values[0]), more)
}

// idPeACMEIdentifier marks a tls-alpn-01 certificate (RFC 8737 §6.1).
const idPeACMEIdentifier = "1.3.6.1.5.5.7.1.31"

func (v *Validator) tlsALPN01(ctx context.Context, id identifier.Identifier, keyAuthorization string) *acme.Problem {
	port := cmp.Or(v.TLSPort, 443)
	conn, addr, problem := v.dial(ctx, id.Value, port)
	if problem != nil {
		return problem
	}
	defer conn.Close()
	tc := tls.Client(conn, &tls.Config{
		ServerName: id.Value,
		NextProtos: []string{"acme-tls/1"},
		MinVersion: tls.VersionTLS12,
		// The certificate is self-signed by definition; what counts is checked below.
		InsecureSkipVerify: true,
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		return acme.Problemf(acme.TLS, "TLS handshake with %s for %s: %v", addr, id, reason(err))
	}
	state := tc.ConnectionState()
	fail := func(format string, args ...any) *acme.Problem {
		return acme.Problemf(acme.Unauthorized, "tls-alpn-01 of %s at %s: %s", id, addr, fmt.Sprintf(format, args...))
	}
	if state.NegotiatedProtocol != "acme-tls/1" {
		return fail("the server does not speak the protocol acme-tls/1")
	}
	leaf := state.PeerCertificates[0]
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != id.Value || len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) > 0 {
		return fail("the certificate must be for %s alone", id)
	}
	sum := sha256.Sum256([]byte(keyAuthorization))
	want := append([]byte{4, sha256.Size}, sum[:]...) // an OCTET STRING in DER
	for _, ext := range leaf.Extensions {
		if ext.Id.String() != idPeACMEIdentifier {
			continue
		}
		switch {
		case !ext.Critical:
			return fail("the acmeIdentifier extension is not critical")
		case string(ext.Value) != string(want):
			return fail("the acmeIdentifier extension does not hold the expected key authorization")
		}
		return nil
	}
	return fail("the certificate has no acmeIdentifier extension")
}

// dial connects to a name, at the first of its addresses that answers.
func (v *Validator) dial(ctx context.Context, name string, port int) (net.Conn, string, *acme.Problem) {
	addrs, problem := v.addrs(ctx, name)
	if problem != nil {
		return nil, "", problem
	}
	var tried error
	for _, a := range addrs {
		conn, err := v.dialAddr(ctx, a, port)
		if err == nil {
			return conn, conn.RemoteAddr().String(), nil
		}
		tried = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, "", acme.Problemf(acme.Connection, "connecting to %s: %v", name, reason(tried))
}

func (v *Validator) dialAddr(ctx context.Context, a netip.Addr, port int) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), strconv.Itoa(port)))
}

// addrs looks up where a name may be reached: at most one IPv6 and two IPv4
// addresses, all allowed.
func (v *Validator) addrs(ctx context.Context, name string) ([]netip.Addr, *acme.Problem) {
	all, err := v.Resolver.LookupAddrs(ctx, name)
	if err != nil {
		return nil, acme.Problemf(acme.DNS, "looking up the addresses of %s: %v", name, err)
	}
	if len(all) == 0 {
		return nil, acme.Problemf(acme.DNS, "%s has no address", name)
	}
	var allowed []netip.Addr
	var refused netip.Addr
	left := map[bool]int{true: 1, false: 2} // by Is6
	for _, a := range all {
		switch a = a.Unmap(); {
		case !v.Networks.Allow(a):
			refused = a
		case left[a.Is6()] > 0:
			left[a.Is6()]--
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		return nil, acme.Problemf(acme.Connection, "%s has the address %s, which is private or special; this server validates at public addresses "+
			"and at the networks that its configuration names (validation.networks)", name, refused)
	}
	return allowed, nil
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

// clip keeps a foreign value short in what we say.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
