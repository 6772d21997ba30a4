package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// Profile says what a certificate looks like (draft-ietf-acme-profiles). The zero
// value, with a Validity, is what an issuer without profiles makes.
type Profile struct {
	Name        string // "" for that of an issuer without profiles
	Description string // for people, in the directory
	Validity    time.Duration
	Keys        []KeyType          // that may be certified; none means all of [DefaultKeys]
	Usages      []x509.ExtKeyUsage // none means servers
	Subject     pkix.Name          // of the organisation; without common name
	CommonName  bool               // the first DNS name that is short enough is the common name too
	MustStaple  MustStaple
	Policies    []x509.OID      // under which it is issued (RFC 5280 §4.2.1.4)
	Names       NameConstraints // of what may be ordered; not in the certificate
}

// KeyType is a kind of key with its size.
type KeyType string

// The kinds of keys that a profile may allow. RSA is any size that [CheckKey] takes.
const (
	RSA     KeyType = "rsa"
	RSA2048 KeyType = "rsa2048"
	RSA3072 KeyType = "rsa3072"
	RSA4096 KeyType = "rsa4096"
	P256    KeyType = "p256"
	P384    KeyType = "p384"
	P521    KeyType = "p521"
	Ed25519 KeyType = "ed25519"
)

// KeyTypes are all that a profile may allow, DefaultKeys those of one that names none.
var (
	KeyTypes    = []KeyType{RSA, RSA2048, RSA3072, RSA4096, P256, P384, P521, Ed25519}
	DefaultKeys = []KeyType{RSA, P256, P384, P521}
)

// MustStaple says when a certificate has the TLS feature status_request (RFC 7633),
// which makes clients want a stapled OCSP answer.
type MustStaple string

// When a certificate has the feature; the zero value means never.
const (
	StapleNever     MustStaple = "never"
	StapleRequested MustStaple = "requested" // when the certificate request asks for it
	StapleAlways    MustStaple = "always"
)

// tlsFeature is id-pe-tlsfeature (RFC 7633 §6), statusRequest its only value.
var (
	tlsFeature    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	statusRequest = []byte{0x30, 3, 2, 1, 5}
)

// AsksForStaple tells whether a certificate request has the TLS feature
// status_request.
func AsksForStaple(csr *x509.CertificateRequest) bool {
	return slices.ContainsFunc(csr.Extensions, func(e pkix.Extension) bool {
		var features []int
		rest, err := asn1.Unmarshal(e.Value, &features)
		return e.Id.Equal(tlsFeature) && err == nil && len(rest) == 0 && slices.Contains(features, 5)
	})
}

// Profile finds the profile of an order: the issuer's first for "", and the zero
// profile for "" at an issuer without any; nil when there is none of that name.
func (i *Issuer) Profile(name string) *Profile {
	if name == "" && len(i.Profiles) == 0 {
		return i.Plain()
	}
	for n := range i.Profiles {
		if p := &i.Profiles[n]; p.Name == name || name == "" {
			return p
		}
	}
	return nil
}

// Plain is the profile of an issuer without profiles, and of the server's own
// certificate.
func (i *Issuer) Plain() *Profile { return i.plain }

// Descriptions maps the names of the profiles to what people are told of them, as in
// the directory; nil when there is none.
func (i *Issuer) Descriptions() map[string]string {
	if len(i.Profiles) == 0 {
		return nil
	}
	all := make(map[string]string)
	for _, p := range i.Profiles {
		all[p.Name] = p.Description
	}
	return all
}

func keyType(pub any) KeyType {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return KeyType("rsa" + strconv.Itoa(pub.N.BitLen()))
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return P256
		case elliptic.P384():
			return P384
		case elliptic.P521():
			return P521
		}
	case ed25519.PublicKey:
		return Ed25519
	}
	return ""
}

// CheckKey tells whether a public key is strong enough and of a kind that the profile
// allows.
func (p *Profile) CheckKey(pub any) error {
	allowed := p.Keys
	if len(allowed) == 0 {
		allowed = DefaultKeys
	}
	kind := keyType(pub)
	if kind != Ed25519 || !slices.Contains(allowed, Ed25519) {
		if err := CheckKey(pub); err != nil {
			return err
		}
	}
	if slices.Contains(allowed, kind) || strings.HasPrefix(string(kind), "rsa") && slices.Contains(allowed, RSA) {
		return nil
	}
	names := make([]string, len(allowed))
	for n, k := range allowed {
		names[n] = string(k)
	}
	return fmt.Errorf("the profile %s takes no %s key; use one of %s", p.Name, kind, strings.Join(names, ", "))
}

// fill makes the template of a certificate what the profile says; the validity and
// the identifiers are in it already.
func (p *Profile) fill(tmpl *x509.Certificate, staple bool) {
	if tmpl.ExtKeyUsage = p.Usages; len(p.Usages) == 0 {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	tmpl.Policies = p.Policies
	tmpl.Subject = p.Subject
	if p.CommonName {
		const longest = 64 // ub-common-name, RFC 5280 appendix A.1
		if n := slices.IndexFunc(tmpl.DNSNames, func(name string) bool { return len(name) <= longest }); n >= 0 {
			tmpl.Subject.CommonName = tmpl.DNSNames[n]
		}
	}
	if p.MustStaple == StapleAlways || p.MustStaple == StapleRequested && staple {
		tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, pkix.Extension{Id: tlsFeature, Value: statusRequest})
	}
}

// Refused says for each of ids that can't be in a certificate of the profile why.
func (i *Issuer) Refused(p *Profile, ids []identifier.Identifier) []*acme.Problem {
	return i.Current().refused(p, ids)
}

// refused is [Issuer.Refused] for one intermediate; nil is one without constraints.
func (m *Intermediate) refused(p *Profile, ids []identifier.Identifier) (refused []*acme.Problem) {
	for _, id := range ids {
		switch {
		case !p.Names.Allow(id):
			refused = append(refused, acme.Problemf(acme.RejectedIdentifier, "%s is outside of what the profile %s is for", id, p.Name).For(id))
		case m != nil && !m.allows(id):
			refused = append(refused, acme.Problemf(acme.RejectedIdentifier, "%s is outside of the names that this CA may certify", id).For(id))
		}
	}
	return refused
}
