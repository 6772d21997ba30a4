// Package ceremony makes CAs by hand, away from the network: roots, intermediates,
// certificate requests, cross-signed certificates and a root's CRLs (RFC 5280). It
// talks to nobody, replaces no file, and never writes a key that others could read.
package ceremony

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"vidimus/internal/issuer"
)

// CA is a CA certificate with its key.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Terms are what a CA certificate says.
type Terms struct {
	Name      pkix.Name // not used when another certificate or a request has it
	NotBefore time.Time
	NotAfter  time.Time
	PathLen   int // how many CAs may stand below one another under it; below 0 means any number
	Usages    []x509.ExtKeyUsage

	// Name constraints (RFC 5280 §4.2.1.10). Where domains are permitted and no
	// networks, all addresses are excluded, and the other way round, as the Baseline
	// Requirements (§7.1.2.10.8) have it.
	PermittedDomains, ExcludedDomains   []string
	PermittedNetworks, ExcludedNetworks []*net.IPNet

	CRLURL, CAURL string // where the CRL and the certificate of the CA above are; "" for nowhere
}

// KeyTypes are the kinds of keys that GenerateKey makes.
var KeyTypes = []string{"p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"}

// GenerateKey makes a key of one of [KeyTypes].
func GenerateKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		return rsa.GenerateKey(rand.Reader, 3072)
	case "rsa4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("there are no keys of kind %q; use one of %v", kind, KeyTypes)
}

// Root makes the self-signed certificate of a root.
func Root(t Terms, key crypto.Signer) (*x509.Certificate, error) {
	tmpl := t.template()
	tmpl.Subject = t.Name
	tmpl.CRLDistributionPoints, tmpl.IssuingCertificateURL = nil, nil // nothing is above
	return sign(tmpl, CA{tmpl, key}, key.Public())
}

// Intermediate makes the certificate of a CA below another.
func Intermediate(t Terms, key crypto.PublicKey, above CA) (*x509.Certificate, error) {
	if err := t.below(above); err != nil {
		return nil, err
	}
	tmpl := t.template()
	tmpl.Subject = t.Name
	return sign(tmpl, above, key)
}

// SignRequest makes the certificate of a CA below another, for the name and the key of
// a certificate request; of what else it asks nothing is granted.
func SignRequest(t Terms, csr *x509.CertificateRequest, above CA) (*x509.Certificate, error) {
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed by its own key: %w", err)
	}
	if _, ok := csr.PublicKey.(ed25519.PublicKey); !ok {
		if err := issuer.CheckKey(csr.PublicKey); err != nil {
			return nil, fmt.Errorf("the key of the certificate request: %w", err)
		}
	}
	if len(csr.Subject.Names) == 0 {
		return nil, errors.New("the certificate request has no name for the CA; make one with: vidimusd ca csr")
	}
	if err := t.below(above); err != nil {
		return nil, err
	}
	tmpl := t.template()
	tmpl.RawSubject = csr.RawSubject
	return sign(tmpl, above, csr.PublicKey)
}

// CrossSign makes another certificate for a CA that there is, with the same name, key
// and limits, below another root. It ends when the CA's own does, or earlier. Of the
// terms only times and URLs are used.
func CrossSign(t Terms, ca *x509.Certificate, above CA) (*x509.Certificate, error) {
	switch {
	case !ca.IsCA || len(ca.SubjectKeyId) == 0:
		return nil, fmt.Errorf("%q is no CA with a key identifier", ca.Subject)
	case bytes.Equal(ca.RawSubjectPublicKeyInfo, above.Certificate.RawSubjectPublicKeyInfo):
		return nil, fmt.Errorf("%q can't sign itself; name another root", ca.Subject)
	}
	if t.NotAfter.After(ca.NotAfter) {
		t.NotAfter = ca.NotAfter
	}
	t.PathLen = ca.MaxPathLen // -1 when it is not limited
	if err := t.below(above); err != nil {
		return nil, err
	}
	tmpl := t.template()
	tmpl.RawSubject, tmpl.SubjectKeyId, tmpl.KeyUsage = ca.RawSubject, ca.SubjectKeyId, ca.KeyUsage
	tmpl.MaxPathLen, tmpl.MaxPathLenZero, tmpl.ExtKeyUsage = ca.MaxPathLen, ca.MaxPathLenZero, ca.ExtKeyUsage
	tmpl.PermittedDNSDomains, tmpl.ExcludedDNSDomains = ca.PermittedDNSDomains, ca.ExcludedDNSDomains
	tmpl.PermittedIPRanges, tmpl.ExcludedIPRanges = ca.PermittedIPRanges, ca.ExcludedIPRanges
	tmpl.PermittedDNSDomainsCritical = ca.PermittedDNSDomainsCritical
	return sign(tmpl, above, ca.PublicKey)
}

// Request makes a certificate request, in DER, for a CA that another organisation's
// root signs.
func Request(name pkix.Name, key crypto.Signer) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: name}, key)
}

// below checks that the CA above may sign a CA with these terms.
func (t *Terms) below(above CA) error {
	c := above.Certificate
	switch {
	case !c.IsCA || c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%q is no CA", c.Subject)
	case c.MaxPathLenZero:
		return fmt.Errorf("%q may not have CAs below it (path length 0)", c.Subject)
	case c.MaxPathLen > 0 && (t.PathLen < 0 || t.PathLen >= c.MaxPathLen):
		return fmt.Errorf("%q has path length %d; choose a smaller --path-len", c.Subject, c.MaxPathLen)
	case t.NotBefore.Before(c.NotBefore) || t.NotAfter.After(c.NotAfter):
		return fmt.Errorf("it would be good from %s to %s, but %q is good from %s to %s; choose --validity within that",
			day(t.NotBefore), day(t.NotAfter), c.Subject, day(c.NotBefore), day(c.NotAfter))
	case !t.NotAfter.After(t.NotBefore):
		return errors.New("it would end before it begins")
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (t *Terms) template() *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x3f | 0x40 // positive, and always 16 bytes (RFC 5280 §4.1.2.2)
	tmpl := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		NotBefore:             t.NotBefore.UTC().Truncate(time.Second),
		NotAfter:              t.NotAfter.UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           t.Usages,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            t.PathLen,
		MaxPathLenZero:        t.PathLen == 0,
	}
	if t.CRLURL != "" {
		tmpl.CRLDistributionPoints = []string{t.CRLURL}
	}
	if t.CAURL != "" {
		tmpl.IssuingCertificateURL = []string{t.CAURL}
	}
	t.constrain(tmpl)
	return tmpl
}

func (t *Terms) constrain(tmpl *x509.Certificate) {
	tmpl.PermittedDNSDomains, tmpl.ExcludedDNSDomains = t.PermittedDomains, t.ExcludedDomains
	tmpl.PermittedIPRanges, tmpl.ExcludedIPRanges = t.PermittedNetworks, t.ExcludedNetworks
	tmpl.PermittedDNSDomainsCritical = true
	domains, networks := len(t.PermittedDomains) > 0, len(t.PermittedNetworks) > 0
	switch {
	case domains && !networks:
		tmpl.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}
	case networks && !domains:
		tmpl.ExcludedDNSDomains = []string{""}
	}
}

// sign signs a certificate and checks it.
func sign(tmpl *x509.Certificate, above CA, key crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, above.Certificate, key, above.Key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(cert.RawSubject, cert.RawIssuer) {
		return cert, cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
	}
	return cert, cert.CheckSignatureFrom(above.Certificate)
}
