package login

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The values of RFC 6238, appendix B, of which ours are the last six digits.
func TestCodesAreThoseOfRFC6238(t *testing.T) {
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode([]byte("12345678901234567890"), stepOf(time.Unix(at, 0))); got != want {
			t.Errorf("at %d the code is %s, want %s", at, got, want)
		}
	}
}

func upn(names ...string) []byte {
	var all []byte
	for _, n := range names {
		id, _ := asn1.Marshal(oidUPN)
		text, _ := asn1.MarshalWithParams(n, "utf8")
		inner, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text})
		name, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(id, inner...)})
		all = append(all, name...)
	}
	mail, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte("x@example.org")})
	der, _ := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(all, mail...)})
	return der
}

func TestPrincipalNames(t *testing.T) {
	if got := principalNames(upn("ada@EXAMPLE.ORG")); !slices.Equal(got, []string{"ada@EXAMPLE.ORG"}) {
		t.Errorf("got %q", got)
	}
	if got := principalNames(upn("a", "b")); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func FuzzPrincipalNames(f *testing.F) {
	f.Add(upn("ada@example.org"))
	f.Add([]byte{0x30, 0x02, 0xa0, 0x00})
	f.Fuzz(func(t *testing.T, san []byte) {
		for _, n := range principalNames(san) {
			if len(n) > len(san) {
				t.Errorf("%q is not in it", n)
			}
		}
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add(NewHasher(DefaultHashCost).none)
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=99999999999,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, salt, sum, err := parseHash(s)
		if err != nil {
			return
		}
		if c.Time < 1 || c.Time > maxHashTime || c.Memory < 1 || c.Memory > maxHashMemory || c.Threads < 1 || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 {
			t.Errorf("%q is %+v %x %x", s, c, salt, sum)
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte("-----BEGIN X509 CRL-----\n"))
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseList(data)
		if err != nil {
			return
		}
		if covers(l.RevocationList, &x509.Certificate{}) == nil && len(l.revoked) > len(l.RevokedCertificateEntries) {
			t.Error("it has more than there is")
		}
	})
}

func FuzzLocalPath(f *testing.F) {
	f.Add("/portal/hosts?q=x")
	f.Add("//evil.example.org")
	f.Fuzz(func(t *testing.T, to string) {
		got := LocalPath(to)
		if !strings.HasPrefix(got, "/portal/") || strings.ContainsAny(got, "\\\r\n\t ") || strings.Contains(got, "//") {
			t.Errorf("%q leads to %q", to, got)
		}
	})
}

func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "crl")
	f, err := os.Create(file)
	if err == nil {
		err = f.Truncate(crlMost + 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := readBounded(file); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

// Whatever a directory takes for the login ada counts as ada.
func TestFailuresCountForALoginHoweverItIsTyped(t *testing.T) {
	for _, typed := range []string{"ada", "ADA", " ada ", "a\u00adda", "a\u200bda", "a\ufe0fda", "\uff41da", "a da", "ad\u034fa"} {
		if got := loginKey(typed); got != "ada" {
			t.Errorf("%q counts as %q", typed, got)
		}
	}
	if loginKey("ada") == loginKey("adam") || loginKey("grün") == loginKey("grun") || loginKey("a-b") == loginKey("ab") {
		t.Error("logins that differ count as one")
	}
}

// A CRL that is one of several, or of another kind, says nothing of a certificate.
func TestACRLCoversWhatItIsFor(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign}
	const mine, other = "http://crl.example.org/1.crl", "http://crl.example.org/2.crl"
	point := func(url string) asn1.RawValue {
		full, _ := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: uriName(url)})
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: full}
	}
	leaf := &x509.Certificate{CRLDistributionPoints: []string{mine}}
	for name, tt := range map[string]struct {
		of   asn1.ObjectIdentifier
		d    distribution
		want bool
	}{
		"its own":        {oidDistribution, distribution{Point: point(mine)}, true},
		"another":        {oidDistribution, distribution{Point: point(other)}, false},
		"users":          {oidDistribution, distribution{OnlyUser: true}, true},
		"CAs":            {oidDistribution, distribution{OnlyCA: true}, false},
		"indirect":       {oidDistribution, distribution{Indirect: true}, false},
		"attributes":     {oidDistribution, distribution{OnlyAttribute: true}, false},
		"some reasons":   {oidDistribution, distribution{SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}}, false},
		"not known here": {asn1.ObjectIdentifier{2, 5, 29, 27}, distribution{}, false},
	} {
		value, err := asn1.Marshal(tt.d)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			ExtraExtensions: []pkix.Extension{{Id: tt.of, Critical: true, Value: value}}}, ca, key)
		if err != nil {
			t.Fatal(err)
		}
		l, err := parseList(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := covers(l.RevocationList, leaf); (err == nil) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
