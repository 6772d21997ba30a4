package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"vidimus/internal/certificate"
)

const (
	rootLife    = 20 * 365 * 24 * time.Hour
	issuingLife = 10 * 365 * 24 * time.Hour
)

// CA is a CA certificate and its key.
type CA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// NewRoot makes a root CA, ECDSA P-256, good for 20 years.
func NewRoot(organisation string, now time.Time) (CA, error) {
	tmpl := caTemplate(organisation+" Root CA", organisation, now, rootLife)
	return signCA(tmpl, nil)
}

// NewIssuing makes an issuing CA below root, ECDSA P-256, good for 10 years, which
// may sign end-entity certificates only.
func NewIssuing(organisation, name string, root CA, now time.Time) (CA, error) {
	tmpl := caTemplate(organisation+" Issuing CA "+name, organisation, now, issuingLife)
	tmpl.MaxPathLenZero = true
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return signCA(tmpl, &root)
}

func caTemplate(commonName, organisation string, now time.Time, life time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x3f | 0x40
	begin := now.UTC().Add(-backdate).Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: commonName, Organization: []string{organisation}},
		NotBefore:             begin,
		NotAfter:              begin.Add(life - time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// signCA signs tmpl with parent, or with its own key when parent is nil.
func signCA(tmpl *x509.Certificate, parent *CA) (CA, error) {
	key, err := certificate.KeySpec{}.Generate()
	if err != nil {
		return CA{}, err
	}
	above := CA{tmpl, key}
	if parent != nil {
		above = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, above.Certificate, key.Public(), above.Key)
	if err != nil {
		return CA{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return CA{cert, key}, err
}
