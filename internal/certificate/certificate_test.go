package certificate

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"slices"
	"testing"
	"time"

	"vidimus/internal/identifier"
)

// The example of RFC 9773 §4.1.
func TestRenewalIDIsThatOfTheRFC(t *testing.T) {
	aki := []byte{0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3,
		0x7B, 0x84, 0x7B, 0xA0, 0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4}
	serial := big.NewInt(0x87654321)
	const want = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
	if got := RenewalIDOf(aki, serial); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	gotAKI, gotSerial, err := ParseRenewalID(want)
	if err != nil || !slices.Equal(gotAKI, aki) || gotSerial.Cmp(serial) != 0 {
		t.Fatalf("parsed to %x, %v, %v", gotAKI, gotSerial, err)
	}
	for _, bad := range []string{"", ".", "a.b.c", "aYhb.", "aYhb.h2VDIQ", "aYhb=.AA", "aYhb.AAAB", "!.AQ"} {
		if _, _, err := ParseRenewalID(bad); err == nil {
			t.Errorf("ParseRenewalID(%q) gave no error", bad)
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	for _, spec := range []KeySpec{{}, {Curve: "secp384r1"}, {Curve: "secp521r1"}, {Type: "rsa"}} {
		key, err := spec.Generate()
		if err != nil {
			t.Fatalf("%+v: %v", spec, err)
		}
		data, err := MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseKey(data)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now()}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, _ := x509.ParseCertificate(der)
		if !KeyMatches(cert, back) {
			t.Errorf("%+v: the key read back is another", spec)
		}
		if other, _ := (KeySpec{}).Generate(); KeyMatches(cert, other) {
			t.Errorf("%+v: a foreign key matches", spec)
		}
	}
	for _, spec := range []KeySpec{{Type: "dsa"}, {Curve: "P-256"}, {Type: "rsa", RSABits: 1024}} {
		if _, err := spec.Generate(); err == nil {
			t.Errorf("%+v gave a key", spec)
		}
	}
	if _, err := ParseKey([]byte("hello")); err == nil {
		t.Error("text parsed as a key")
	}
}

func TestRequestCarriesEveryIdentifier(t *testing.T) {
	key, _ := KeySpec{}.Generate()
	ids := []identifier.Identifier{{Type: identifier.DNS, Value: "*.example.org"}, {Type: identifier.IP, Value: "192.0.2.1"}}
	der, err := Request(key, ids, true)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(csr.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(tlsFeature) }) {
		t.Error("no TLS feature extension")
	}
	if !slices.Equal(csr.DNSNames, []string{"*.example.org"}) || len(csr.IPAddresses) != 1 {
		t.Errorf("request has %v %v", csr.DNSNames, csr.IPAddresses)
	}
}

func FuzzParseRenewalID(f *testing.F) {
	f.Add("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 20)) + ".AQ")
	f.Fuzz(func(t *testing.T, s string) {
		if aki, serial, err := ParseRenewalID(s); err == nil && RenewalIDOf(aki, serial) != s {
			t.Fatalf("%q is accepted but not canonical", s)
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ParseChain(data)
		ParseKey(data)
	})
}
