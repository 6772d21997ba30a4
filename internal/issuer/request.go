package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/weakkey"
)

// CheckRequest reads a PKCS #10 request in DER and checks that it is well signed, by
// a key that the profile allows, and asks for exactly ids, which must be sorted (RFC
// 8555 §7.4).
func CheckRequest(der []byte, ids []identifier.Identifier, p *Profile) (*x509.CertificateRequest, *acme.Problem) {
	bad := func(format string, args ...any) (*x509.CertificateRequest, *acme.Problem) {
		return nil, acme.Problemf(acme.BadCSR, format, args...)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return bad("the certificate request can't be read: %v", err)
	}
	if err := p.CheckKey(csr.PublicKey); err != nil {
		return bad("the key of the certificate request: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return bad("the certificate request is not signed by its own key: %v", err)
	}
	if len(csr.EmailAddresses) > 0 || len(csr.URIs) > 0 {
		return bad("the certificate request asks for e-mail addresses or URIs, which are not in the order")
	}
	got, err := requested(csr)
	if err != nil {
		return bad("%v", err)
	}
	if !slices.Equal(got, ids) {
		return bad("the certificate request is for %s, but the order is for %s", list(got), list(ids))
	}
	return csr, nil
}

// NamesOf lists what a PKCS #10 request in DER asks for, sorted.
func NamesOf(der []byte) ([]identifier.Identifier, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate request can't be read: %w", err)
	}
	return requested(csr)
}

// requested lists what a request asks for: its alternative names and its common name.
func requested(csr *x509.CertificateRequest) ([]identifier.Identifier, error) {
	var ids []identifier.Identifier
	add := func(id identifier.Identifier, err error) error {
		if err != nil {
			return fmt.Errorf("in the certificate request, %w", err)
		}
		ids = append(ids, id)
		return nil
	}
	for _, n := range csr.DNSNames { // an address does not belong there (RFC 8738 §3)
		if err := add(identifier.ParseDNS(n)); err != nil {
			return nil, err
		}
	}
	if cn := csr.Subject.CommonName; cn != "" {
		if err := add(identifier.Parse(cn)); err != nil {
			return nil, err
		}
	}
	for _, a := range csr.IPAddresses {
		ids = append(ids, identifier.Identifier{Type: identifier.IP, Value: a.String()})
	}
	return identifier.Sorted(ids), nil
}

func list(ids []identifier.Identifier) string {
	const most = 10
	values := identifier.Values(ids)
	if len(values) == 0 {
		return "no name"
	}
	if len(values) > most {
		values = append(values[:most:most], fmt.Sprintf("%d more", len(ids)-most))
	}
	return strings.Join(values, ", ")
}

// Bits of an RSA key that is accepted, for a certificate or an account.
const (
	MinRSA = 2048
	MaxRSA = 8192
)

// CheckKey tells whether a public key is strong enough, for a certificate or an
// account: ECDSA on P-256, P-384 or P-521, or RSA of 2048 to 8192 bits with an odd
// public exponent of at least 65537 that is not weak (see package weakkey).
func CheckKey(pub any) error {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("the curve %s is not accepted; use P-256, P-384 or P-521", pub.Curve.Params().Name)
	case *rsa.PublicKey:
		switch bits := pub.N.BitLen(); {
		case bits < MinRSA:
			return fmt.Errorf("an RSA key of %d bits is too small; use at least %d", bits, MinRSA)
		case bits > MaxRSA:
			return fmt.Errorf("an RSA key of %d bits is too large; use at most %d", bits, MaxRSA)
		case pub.E < 65537 || pub.E%2 == 0:
			return fmt.Errorf("the RSA exponent %d is not accepted; use 65537", pub.E)
		}
		if err := weakkey.RSA(pub); err != nil {
			return fmt.Errorf("the RSA key is weak: %w", err)
		}
		return nil
	}
	return fmt.Errorf("a key of type %T is not accepted; use ECDSA or RSA", pub)
}
