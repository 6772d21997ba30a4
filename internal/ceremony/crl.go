package ceremony

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"vidimus/internal/acme"
)

// Revoked is a CA certificate that a root revokes.
type Revoked struct {
	Serial *big.Int
	Reason acme.RevocationReason
}

// SignCRL is [CRL] with the list before in a file; "" means that there is none.
func SignCRL(root CA, previous string, more []Revoked, now, next time.Time) (*x509.RevocationList, error) {
	if previous == "" {
		return CRL(root, nil, more, now, next)
	}
	before, err := ReadCRL(previous)
	if err != nil {
		return nil, err
	}
	return CRL(root, before, more, now, next)
}

// CRL signs a list of what a root has revoked: what is in the list before,
// which may be nil, and what comes to it. It is good from now to next; its number is
// one above that of the list before.
func CRL(root CA, before *x509.RevocationList, more []Revoked, now, next time.Time) (*x509.RevocationList, error) {
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.UTC().Truncate(time.Second), NextUpdate: next.UTC().Truncate(time.Second)}
	if !tmpl.NextUpdate.After(tmpl.ThisUpdate) {
		return nil, errors.New("the list would end before it begins")
	}
	if before != nil {
		if err := before.CheckSignatureFrom(root.Certificate); err != nil {
			return nil, fmt.Errorf("the list before is not by %q: %w", root.Certificate.Subject, err)
		}
		if before.Number == nil {
			return nil, errors.New("the list before has no number")
		}
		tmpl.Number.Add(before.Number, tmpl.Number)
		tmpl.RevokedCertificateEntries = before.RevokedCertificateEntries
	}
	for _, r := range more {
		for _, e := range tmpl.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(r.Serial) == 0 {
				return nil, fmt.Errorf("%x is in the list already", r.Serial)
			}
		}
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: r.Serial, RevocationTime: tmpl.ThisUpdate, ReasonCode: int(r.Reason)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, root.Certificate, root.Key)
	if err != nil {
		return nil, err
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	return list, list.CheckSignatureFrom(root.Certificate)
}
