package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	stdasn1 "encoding/asn1"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// x509.CreateCertificate signs each certificate with the throwaway key and verifies that,
// which costs more than the CA's signature. So it makes the first of a kind only, and the
// others are cast from it: alike but for serial number, validity, key and names. A mould
// that doesn't give the very certificate that it was made from is not used.

// kind is what certificates have in common that are cast from one mould.
type kind struct {
	by      *Intermediate
	profile *Profile // nil for what is one of its kind
	staple  bool
	crl     string // URL
}

// maxMoulds bounds how many there are: a few for each profile and shard of CRLs.
const maxMoulds = 64

type moulds struct {
	mu  sync.Mutex
	all map[kind]*mould // nil for a kind that has none
}

func (m *moulds) get(k kind) (*mould, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.all[k]
	return one, ok
}

func (m *moulds) put(k kind, one *mould) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || len(m.all) >= maxMoulds {
		m.all = make(map[kind]*mould)
	}
	m.all[k] = one
}

// mould is a certificate in parts (RFC 5280 §4.1), each with its tag and length.
type mould struct {
	version, algorithm, issuer, subject []byte
	extensions                          [][]byte // that of the names is empty
	critical                            bool     // that of the names
	rest                                []byte   // what follows the to-be-signed part, to be read and not to be verified
}

var subjectAltName = stdasn1.ObjectIdentifier{2, 5, 29, 17}

// newMould takes a certificate apart that was made of a template. It is nil when it can't
// be put together again.
func newMould(der []byte, tmpl *x509.Certificate, key crypto.PublicKey) *mould {
	tbs, rest, err := split(der)
	if err != nil {
		return nil
	}
	m := &mould{rest: bytes.Clone(rest)}
	in, inner := cryptobyte.String(tbs), cryptobyte.String(nil)
	tag3 := asn1.Tag(3).ContextSpecific().Constructed()
	var wrapped, list cryptobyte.String
	if !in.ReadASN1(&inner, asn1.SEQUENCE) ||
		!inner.ReadASN1Element((*cryptobyte.String)(&m.version), asn1.Tag(0).ContextSpecific().Constructed()) ||
		!inner.SkipASN1(asn1.INTEGER) || // serial number
		!inner.ReadASN1Element((*cryptobyte.String)(&m.algorithm), asn1.SEQUENCE) ||
		!inner.ReadASN1Element((*cryptobyte.String)(&m.issuer), asn1.SEQUENCE) ||
		!inner.SkipASN1(asn1.SEQUENCE) || // validity
		!inner.ReadASN1Element((*cryptobyte.String)(&m.subject), asn1.SEQUENCE) ||
		!inner.SkipASN1(asn1.SEQUENCE) || // key
		!inner.ReadASN1(&wrapped, tag3) || !inner.Empty() ||
		!wrapped.ReadASN1(&list, asn1.SEQUENCE) || !wrapped.Empty() {
		return nil
	}
	for !list.Empty() {
		var element, content cryptobyte.String
		var id stdasn1.ObjectIdentifier
		if !list.ReadASN1Element(&element, asn1.SEQUENCE) {
			return nil
		}
		whole := bytes.Clone(element)
		if !element.ReadASN1(&content, asn1.SEQUENCE) || !content.ReadASN1ObjectIdentifier(&id) {
			return nil
		}
		if id.Equal(subjectAltName) {
			m.critical = content.PeekASN1Tag(asn1.BOOLEAN)
			whole = nil
		}
		m.extensions = append(m.extensions, whole)
	}
	again, err := m.cast(tmpl, key)
	if err != nil || !bytes.Equal(again[:len(again)-len(rest)], der[:len(der)-len(rest)]) {
		return nil
	}
	return m
}

// cast makes the certificate of a template; its signature is another's.
func (m *mould) cast(tmpl *x509.Certificate, key crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(m.version)
			b.AddASN1BigInt(tmpl.SerialNumber)
			b.AddBytes(m.algorithm)
			b.AddBytes(m.issuer)
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addTime(b, tmpl.NotBefore)
				addTime(b, tmpl.NotAfter)
			})
			b.AddBytes(m.subject)
			b.AddBytes(spki)
			b.AddASN1(asn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, e := range m.extensions {
						if e != nil {
							b.AddBytes(e)
							continue
						}
						m.addNames(b, tmpl)
					}
				})
			})
		})
		b.AddBytes(m.rest)
	})
	return b.Bytes()
}

// addTime is RFC 5280 §4.1.2.5: UTCTime through 2049.
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
	} else {
		b.AddASN1GeneralizedTime(t)
	}
}

// addNames adds the extension of the names (§4.2.1.6).
func (m *mould) addNames(b *cryptobyte.Builder, tmpl *x509.Certificate) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(subjectAltName)
		if m.critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, name := range tmpl.DNSNames {
					if !isASCII(name) {
						b.SetError(errors.New("a DNS name is not ASCII"))
					}
					b.AddASN1(asn1.Tag(2).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
				}
				for _, ip := range tmpl.IPAddresses {
					raw := ip.To4()
					if raw == nil {
						raw = ip
					}
					b.AddASN1(asn1.Tag(7).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(raw) })
				}
			})
		})
	})
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
