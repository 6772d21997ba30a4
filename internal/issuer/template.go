package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/lint"
)

// template is what a certificate says but for where its CRL is.
func (i *Issuer) template(r Request, by *Intermediate) (*x509.Certificate, error) {
	if refused := by.refused(r.Profile, r.Identifiers); len(refused) > 0 {
		return nil, acme.PerIdentifier(refused[0].Detail, refused)
	}
	begin, end, problem := i.period(r.Profile, r.NotBefore, r.NotAfter)
	if problem != nil {
		return nil, problem
	}
	if end.After(by.CA.NotAfter) {
		return nil, fmt.Errorf("the issuing CA %q ends at %s, before a certificate of %s would; give issuer %s a new CA",
			by.CA.Subject, by.CA.NotAfter.Format(time.RFC3339), r.Profile.Validity, i.Name)
	}
	serial := newSerial(i.now())
	tmpl := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		NotBefore:             begin,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	for _, id := range r.Identifiers {
		if id.Type == identifier.IP {
			tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(id.Value))
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, id.Value)
		}
	}
	if by.OCSPURL != "" {
		tmpl.OCSPServer = []string{by.OCSPURL}
	}
	if by.CAURL != "" {
		tmpl.IssuingCertificateURL = []string{by.CAURL}
	}
	r.Profile.fill(tmpl, r.Staple)
	return tmpl, nil
}

// rehearse makes the certificate of a template under the throwaway key, or with some other
// signature: but for that it is the one to be, and passes lint.
func (i *Issuer) rehearse(tmpl *x509.Certificate, k kind, key crypto.PublicKey) (der []byte, err error) {
	if der, err = i.draft(tmpl, k, key); err != nil || i.Linter == nil {
		return der, err
	}
	err = i.Linter.Check(der)
	var refusal *lint.Refusal
	if errors.As(err, &refusal) && refusal.AboutKey() {
		return nil, acme.Problemf(acme.BadCSR, "the key of the certificate request breaks a rule: %s", refusal.Findings[0].Lint)
	}
	return der, err
}

func (i *Issuer) draft(tmpl *x509.Certificate, k kind, key crypto.PublicKey) ([]byte, error) {
	m, known := i.moulds.get(k)
	if m != nil {
		return m.cast(tmpl, key)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, k.by.parent, key, k.by.throwaway)
	if err == nil && !known && k.profile != nil {
		if !k.profile.CommonName { // the subject is the same for all
			m = newMould(der, tmpl, key)
		}
		i.moulds.put(k, m)
	}
	return der, err
}

// Try tells whether a certificate of the profile would pass lint, by one for a name
// and a key of its own, which is neither signed nor recorded. There is no telling, and
// no error, where the profile is for no name that Try thinks of.
func (i *Issuer) Try(p *Profile) error {
	by := i.Current()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if by == nil || err != nil {
		return err
	}
	for _, domain := range slices.Concat(p.Names.PermittedDomains, by.CA.PermittedDNSDomains, []string{"example.org"}) {
		r := Request{Identifiers: []identifier.Identifier{{Type: identifier.DNS, Value: "www." + strings.TrimPrefix(domain, ".")}}, Profile: p}
		tmpl, err := i.template(r, by)
		if problem := (*acme.Problem)(nil); errors.As(err, &problem) {
			continue // it is not for this name
		}
		if err != nil {
			return err
		}
		if by.CRLBase != "" {
			tmpl.CRLDistributionPoints = []string{by.CRLBase + "0.crl"}
		}
		_, err = i.rehearse(tmpl, kind{by: by, profile: p, crl: by.CRLBase + "0.crl"}, key.Public())
		return err
	}
	return nil
}
