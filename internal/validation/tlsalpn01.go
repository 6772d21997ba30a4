package validation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

const alpnProtocol = "acme-tls/1"

var (
	oidACMEIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31} // RFC 8737 §6.1
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// tlsALPN01 looks at the certificate that a server presents under the protocol
// acme-tls/1 (RFC 8737 §3; for addresses RFC 8738 §6).
func (a *attempt) tlsALPN01(ctx context.Context) *acme.Problem {
	conn, problem := a.dial(ctx, a.Identifier.Value, cmp.Or(a.TLSPort, 443))
	if problem != nil {
		return problem
	}
	defer conn.Close()
	addr := conn.RemoteAddr()
	tc := tls.Client(conn, &tls.Config{
		ServerName: sni(a.Identifier),
		NextProtos: []string{alpnProtocol},
		MinVersion: tls.VersionTLS12,
		// The certificate is self-signed by definition; what counts is checked below.
		InsecureSkipVerify: true,
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		return acme.Problemf(acme.TLS, "TLS handshake with %s for %s: %v", addr, a.Identifier, a.unquoted(err))
	}
	state := tc.ConnectionState()
	why := ""
	if state.NegotiatedProtocol != alpnProtocol {
		why = "the server does not speak the protocol " + alpnProtocol
	} else {
		why = mismatch(state.PeerCertificates[0], a.Identifier, a.KeyAuthorization)
	}
	if why != "" {
		return acme.Problemf(acme.Unauthorized, "tls-alpn-01 of %s at %s: %s", a.Identifier, addr, why)
	}
	return nil
}

// sni is what a client sends as the server's name: for an address the name of its
// reverse look-up, as SNI has no addresses (RFC 8738 §6).
func sni(id identifier.Identifier) string {
	if id.Type == identifier.IP {
		if reverse, err := dns.ReverseAddr(id.Value); err == nil {
			return strings.TrimSuffix(reverse, ".")
		}
	}
	return id.Value
}

// mismatch tells why a certificate does not answer a challenge, or "".
func mismatch(leaf *x509.Certificate, id identifier.Identifier, keyAuthorization string) string {
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil {
		return "the certificate is not self-signed"
	}
	if !certifiesOnly(leaf, id) {
		return fmt.Sprintf("the certificate must be for %s alone", id)
	}
	sum := sha256.Sum256([]byte(keyAuthorization))
	want := append([]byte{4, sha256.Size}, sum[:]...) // an OCTET STRING in DER
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(oidACMEIdentifier) {
			continue
		}
		switch {
		case !ext.Critical:
			return "the acmeIdentifier extension is not critical"
		case !bytes.Equal(ext.Value, want):
			return "the acmeIdentifier extension does not hold the expected key authorization"
		}
		return ""
	}
	return "the certificate has no acmeIdentifier extension"
}

// certifiesOnly tells whether the subject alternative names are one, the identifier.
// They are counted in the extension itself: there are kinds that crypto/x509 leaves out.
func certifiesOnly(leaf *x509.Certificate, id identifier.Identifier) bool {
	count := 0
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(ext.Value, &names); err != nil || len(rest) > 0 {
			return false
		}
		count += len(names)
	}
	if count != 1 {
		return false
	}
	switch {
	case id.Type == identifier.DNS && len(leaf.DNSNames) == 1:
		return strings.EqualFold(leaf.DNSNames[0], id.Value)
	case id.Type == identifier.IP && len(leaf.IPAddresses) == 1:
		addr, ok := netip.AddrFromSlice(leaf.IPAddresses[0])
		return ok && addr.Unmap().String() == id.Value
	}
	return false
}
