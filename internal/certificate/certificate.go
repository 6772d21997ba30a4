// Package certificate makes and reads the keys, requests and chains that both
// programs handle, in PEM as RFC 7468 has it. It talks to nobody and writes
// nothing.
package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"

	"vidimus/internal/identifier"
)

// KeySpec says what key to make. The zero value means ECDSA on P-256.
type KeySpec struct {
	Type    string // "ecdsa" (default) or "rsa"
	RSABits int    // 2048 to 8192; 0 means 2048
	Curve   string // "secp256r1" (default), "secp384r1" or "secp521r1"
}

// Generate makes a private key.
func (s KeySpec) Generate() (crypto.Signer, error) {
	switch s.Type {
	case "", "ecdsa":
		switch s.Curve {
		case "", "secp256r1":
			return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		case "secp384r1":
			return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		case "secp521r1":
			return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		}
		return nil, fmt.Errorf("unknown elliptic curve %q: use secp256r1, secp384r1 or secp521r1", s.Curve)
	case "rsa":
		bits := s.RSABits
		if bits == 0 {
			bits = 2048
		}
		if bits < 2048 || bits > 8192 {
			return nil, fmt.Errorf("an RSA key of %d bits is out of range: use 2048 to 8192", bits)
		}
		return rsa.GenerateKey(rand.Reader, bits)
	}
	return nil, fmt.Errorf("unknown key type %q: use ecdsa or rsa", s.Type)
}

// MarshalKey encodes key as PKCS #8 PEM.
func MarshalKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// ParseKey reads the first private key in data: PKCS #8, PKCS #1 or SEC 1 PEM.
func ParseKey(data []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is encrypted")
		default:
			continue // such as EC PARAMETERS
		}
		if err != nil {
			return nil, fmt.Errorf("reading the private key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a private key of type %T cannot sign", key)
		}
		return signer, nil
	}
	return nil, errors.New("no PEM private key found")
}

// MarshalChain encodes certificates as PEM, in the order given.
func MarshalChain(certs ...*x509.Certificate) []byte {
	var buf bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&buf, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer cannot fail
	}
	return buf.Bytes()
}

// ParseChain reads all PEM certificates in data; there must be at least one.
func ParseChain(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM certificate found")
	}
	return certs, nil
}

// LoadKey is [ParseKey] for a file.
func LoadKey(path string) (crypto.Signer, error) { return load(path, ParseKey) }

// LoadChain is [ParseChain] for a file.
func LoadChain(path string) ([]*x509.Certificate, error) { return load(path, ParseChain) }

func load[T any](path string, parse func([]byte) (T, error)) (v T, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return v, err
	}
	if v, err = parse(data); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// KeyMatches tells whether key is the private key of cert.
func KeyMatches(cert *x509.Certificate, key crypto.Signer) bool {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(cert.PublicKey)
}

// Request makes a PKCS #10 certificate request in DER for ids, which go into its
// subject alternative names; the subject is empty. With mustStaple it asks for the
// TLS feature "status_request" (RFC 7633 §4.1).
func Request(key crypto.Signer, ids []identifier.Identifier, mustStaple bool) ([]byte, error) {
	tmpl := new(x509.CertificateRequest)
	if mustStaple {
		tmpl.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: []byte{0x30, 3, 2, 1, 5}}}
	}
	for _, id := range ids {
		if id.Type == identifier.IP {
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(id.Value))
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, id.Value)
		}
	}
	return x509.CreateCertificateRequest(rand.Reader, tmpl, key)
}

// tlsFeature is the extension id-pe-tlsfeature (RFC 7633 §6).
var tlsFeature = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}

// RequestMatches tells whether a certificate request in DER is for the public key of
// cert.
func RequestMatches(cert *x509.Certificate, csr []byte) bool {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return false
	}
	pub, ok := r.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(cert.PublicKey)
}

// Identifiers lists what cert certifies, sorted.
func Identifiers(cert *x509.Certificate) []identifier.Identifier {
	ids := make([]identifier.Identifier, 0, len(cert.DNSNames)+len(cert.IPAddresses))
	for _, n := range cert.DNSNames {
		ids = append(ids, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	for _, a := range cert.IPAddresses {
		ids = append(ids, identifier.Identifier{Type: identifier.IP, Value: a.String()})
	}
	return identifier.Sorted(ids)
}

// RenewalID is the unique identifier of a certificate for renewal information
// (RFC 9773 §4.1): authority key identifier, a dot, serial number, each base64url.
// It is "" for a certificate without an authority key identifier.
func RenewalID(cert *x509.Certificate) string {
	if len(cert.AuthorityKeyId) == 0 || cert.SerialNumber == nil {
		return ""
	}
	return RenewalIDOf(cert.AuthorityKeyId, cert.SerialNumber)
}

// RenewalIDOf is [RenewalID] from its two parts.
func RenewalIDOf(authorityKeyID []byte, serial *big.Int) string {
	der, err := asn1.Marshal(serial)
	if err != nil {
		panic("certificate: marshalling an integer: " + err.Error())
	}
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal(der, &raw); err != nil {
		panic("certificate: unmarshalling an integer: " + err.Error())
	}
	b64 := base64.RawURLEncoding
	return b64.EncodeToString(authorityKeyID) + "." + b64.EncodeToString(raw.Bytes)
}

// ParseRenewalID is the inverse of [RenewalIDOf].
func ParseRenewalID(id string) (authorityKeyID []byte, serial *big.Int, err error) {
	aki, num, ok := strings.Cut(id, ".")
	if !ok {
		return nil, nil, errors.New("a certificate identifier has two parts with a dot between")
	}
	b64 := base64.RawURLEncoding.Strict()
	if authorityKeyID, err = b64.DecodeString(aki); err != nil {
		return nil, nil, errors.New("the key identifier is not base64url")
	}
	raw, err := b64.DecodeString(num)
	if err != nil || len(raw) == 0 || len(raw) > 21 || raw[0]&0x80 != 0 {
		return nil, nil, errors.New("the serial number is not a positive integer in base64url")
	}
	serial = new(big.Int).SetBytes(raw)
	if RenewalIDOf(authorityKeyID, serial) != id {
		return nil, nil, errors.New("the certificate identifier is not in its shortest form")
	}
	return authorityKeyID, serial, nil
}
