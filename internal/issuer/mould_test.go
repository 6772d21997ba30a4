package issuer

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
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"vidimus/internal/identifier"
)

// What is cast is, byte by byte, what x509.CreateCertificate makes, for all kinds of keys,
// names, times and profiles.
func TestWhatIsCastIsWhatCreateCertificateMakes(t *testing.T) {
	ecdsaKey := func(c elliptic.Curve) crypto.PublicKey { return must(ecdsa.GenerateKey(c, rand.Reader)).Public() }
	keys := []crypto.PublicKey{ecdsaKey(elliptic.P256()), ecdsaKey(elliptic.P384()), ecdsaKey(elliptic.P521()),
		must(rsa.GenerateKey(rand.Reader, 2048)).Public()}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, edwards)
	names := []string{"www.example.org", "*.example.org", "a.b.c.d.example.org", "xn--bcher-kva.example", "192.0.2.7", "2001:db8::7", "x.test"}
	for i := range 40 { // more than 127 bytes, and more than 255
		names = append(names, fmt.Sprintf("host-with-a-rather-long-name-%d.department.example.org", i))
	}
	profiles := []Profile{
		{Validity: 90 * 24 * time.Hour},
		{Validity: 90 * 24 * time.Hour, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, MustStaple: StapleAlways},
		{Validity: 30 * 24 * time.Hour, Subject: pkix.Name{Organization: []string{"Universität"}, Country: []string{"DE"}, Locality: []string{"Ulm"}},
			Policies: []x509.OID{must(x509.OIDFromInts([]uint64{2, 23, 140, 1, 2, 2}))}},
	}
	for _, caKey := range []crypto.Signer{nil, must(rsa.GenerateKey(rand.Reader, 2048)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))} {
		i := newIssuer(t, caKey)
		by := i.Current()
		by.OCSPURL = "http://ca.test/ocsp/main"
		for p := range profiles {
			k := kind{by: by, profile: &profiles[p], crl: "http://ca.test/crl/7.crl"}
			for n := range 60 {
				r := Request{Profile: k.profile}
				for range 1 + mathrand.IntN(12) {
					r.Identifiers = append(r.Identifiers, must(identifier.Parse(names[mathrand.IntN(len(names))])))
				}
				r.Identifiers = identifier.Sorted(r.Identifiers)
				tmpl := must(i.template(r, by))
				tmpl.CRLDistributionPoints = []string{k.crl}
				if n%3 == 1 { // on both sides of 2050, RFC 5280 §4.1.2.5
					tmpl.NotAfter = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC).Add(time.Duration(mathrand.IntN(3)-1) * time.Second)
				}
				key := keys[mathrand.IntN(len(keys))]
				want, _, err := split(must(x509.CreateCertificate(rand.Reader, tmpl, by.parent, key, by.throwaway)))
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := split(must(i.draft(tmpl, k, key)))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("profile %d, %v until %s, key %T: %v\n%x\nwant\n%x", p, r.Identifiers, tmpl.NotAfter, key, err, got, want)
				}
			}
			if m, _ := i.moulds.get(k); m == nil {
				t.Errorf("profile %d has no mould", p)
			}
		}
	}
}

// A profile with a common name has none, as its subject differs; and their number is
// bounded.
func TestMouldsAreForWhatIsAlike(t *testing.T) {
	i := newIssuer(t, nil)
	by := i.Current()
	p := &Profile{Validity: 90 * 24 * time.Hour, CommonName: true}
	for _, name := range []string{"a.example.org", "b.example.org"} {
		r := request(name)
		r.Profile = p
		tmpl := must(i.template(r, by))
		cert := must(x509.ParseCertificate(must(i.draft(tmpl, kind{by: by, profile: p}, r.PublicKey))))
		if cert.Subject.CommonName != name || cert.DNSNames[0] != name {
			t.Errorf("%s has the subject %s", name, cert.Subject)
		}
	}
	r := request("a.example.org")
	r.Profile = i.Plain()
	for n := range 3 * maxMoulds {
		must(i.draft(must(i.template(r, by)), kind{by: by, profile: r.Profile, crl: fmt.Sprint(n)}, r.PublicKey))
	}
	if n := len(i.moulds.all); n > maxMoulds {
		t.Errorf("%d moulds are kept", n)
	}
}

func BenchmarkDraft(b *testing.B) {
	i := newIssuer(b, nil)
	by := i.Current()
	r := request("www.example.org")
	r.Profile = i.Plain()
	tmpl := must(i.template(r, by))
	b.Run("cast", func(b *testing.B) {
		for b.Loop() {
			must(i.draft(tmpl, kind{by: by, profile: r.Profile}, r.PublicKey))
		}
	})
	b.Run("CreateCertificate", func(b *testing.B) {
		for b.Loop() {
			must(x509.CreateCertificate(rand.Reader, tmpl, by.parent, r.PublicKey, by.throwaway))
		}
	})
}
