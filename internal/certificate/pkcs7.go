package certificate

import (
	"crypto/x509"
	stdasn1 "encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// MarshalPKCS7 makes a PKCS #7 file of certificates: SignedData without signers (RFC 2315
// §9.1), which Windows and Java import whole chains from.
func MarshalPKCS7(certs ...*x509.Certificate) ([]byte, error) {
	data, signedData := stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, stdasn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	tag0 := asn1.Tag(0).ContextSpecific().Constructed()
	nothing := func(*cryptobyte.Builder) {}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(signedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)            // version
				b.AddASN1(asn1.SET, nothing) // digest algorithms
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(data) })
				b.AddASN1(tag0, func(b *cryptobyte.Builder) {
					for _, c := range certs {
						b.AddBytes(c.Raw)
					}
				})
				b.AddASN1(asn1.SET, nothing) // signers
			})
		})
	})
	return b.Bytes()
}
