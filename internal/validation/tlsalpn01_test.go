package validation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"testing"
	"time"

	"vidimus/internal/acme"
)

// acmeIdentifier is the extension of RFC 8737 §3.
func acmeIdentifier(critical bool, keyAuthorization string) []pkix.Extension {
	sum := sha256.Sum256([]byte(keyAuthorization))
	value, err := asn1.Marshal(sum[:])
	if err != nil {
		panic(err)
	}
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}, Critical: critical, Value: value}}
}

// serveTLS answers handshakes with a self-signed certificate made of tmpl.
func serveTLS(t *testing.T, tmpl x509.Certificate, protocols ...string) net.Listener {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber, tmpl.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: protocols,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	return l
}

func TestTLSALPN01(t *testing.T) {
	good := x509.Certificate{DNSNames: []string{site.Value}, ExtraExtensions: acmeIdentifier(true, keyAuthorization)}
	with := func(change func(*x509.Certificate)) x509.Certificate {
		c := good
		change(&c)
		return c
	}
	alpn := []string{"acme-tls/1"}
	tests := []struct {
		name      string
		cert      x509.Certificate
		protocols []string
		problem   acme.ProblemType
		says      string
	}{
		{"right", good, alpn, "", ""},
		{"right, among protocols", good, []string{"h2", "acme-tls/1", "http/1.1"}, "", ""},
		{"no ALPN", good, nil, acme.Unauthorized, "does not speak"},
		{"other protocols", good, []string{"h2", "http/1.1"}, acme.TLS, "handshake"},
		{"another name", with(func(c *x509.Certificate) { c.DNSNames = []string{"other.example.org"} }), alpn, acme.Unauthorized, "www.example.org alone"},
		{"a name besides", with(func(c *x509.Certificate) { c.DNSNames = []string{site.Value, "other.example.org"} }), alpn, acme.Unauthorized, "alone"},
		{"an address besides", with(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 7)} }), alpn, acme.Unauthorized, "alone"},
		{"a wildcard", with(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.org"} }), alpn, acme.Unauthorized, "alone"},
		{"a common name only", with(func(c *x509.Certificate) { c.DNSNames, c.Subject.CommonName = nil, site.Value }), alpn, acme.Unauthorized, "alone"},
		{"a mail address besides", with(func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.org"} }), alpn, acme.Unauthorized, "alone"},
		{"a name of a rare kind besides", with(func(c *x509.Certificate) {
			san, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 2, Bytes: []byte(site.Value)}, {Class: 2, Tag: 8, Bytes: []byte{0x2a, 3}}})
			if err != nil {
				t.Fatal(err)
			}
			c.DNSNames = nil
			c.ExtraExtensions = append(c.ExtraExtensions[:1:1], pkix.Extension{Id: oidSubjectAltName, Value: san})
		}), alpn, acme.Unauthorized, "alone"},
		{"the name in capitals", with(func(c *x509.Certificate) { c.DNSNames = []string{"WWW.example.org"} }), alpn, "", ""},
		{"extension missing", with(func(c *x509.Certificate) { c.ExtraExtensions = nil }), alpn, acme.Unauthorized, "no acmeIdentifier"},
		{"extension not critical", with(func(c *x509.Certificate) { c.ExtraExtensions = acmeIdentifier(false, keyAuthorization) }), alpn,
			acme.Unauthorized, "not critical"},
		{"another key authorization", with(func(c *x509.Certificate) { c.ExtraExtensions = acmeIdentifier(true, token+".x") }), alpn,
			acme.Unauthorized, "expected key authorization"},
		{"hash not wrapped", with(func(c *x509.Certificate) {
			c.ExtraExtensions = acmeIdentifier(true, keyAuthorization)
			c.ExtraExtensions[0].Value = c.ExtraExtensions[0].Value[2:]
		}), alpn, acme.Unauthorized, "expected key authorization"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := serveTLS(t, tt.cert, tt.protocols...)
			v := &Validator{Resolver: Loopback{}, Networks: loopback, TLSPort: port(t, l.Addr())}
			check(t, validate(t, v, acme.TLSALPN01), tt.problem, tt.says)
		})
	}
}

func TestTLSALPN01AtAServerWithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.Write([]byte("220 mail.example.org ESMTP\r\n"))
			conn.Close()
		}
	}()
	v := &Validator{Resolver: Loopback{}, Networks: loopback, TLSPort: port(t, l.Addr())}
	check(t, validate(t, v, acme.TLSALPN01), acme.TLS, "TLS handshake")
	v.Networks = nil
	check(t, validate(t, v, acme.TLSALPN01), acme.Connection, "private or special")
}

func TestTLSALPN01WantsASelfSignedCertificateAndTLS12(t *testing.T) {
	keys := make([]*ecdsa.PrivateKey, 2)
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{site.Value},
		ExtraExtensions: acmeIdentifier(true, keyAuthorization)}
	for _, tt := range []struct {
		name    string
		signer  *ecdsa.PrivateKey
		version uint16
		problem acme.ProblemType
		says    string
	}{
		{"by itself, with TLS 1.2", keys[0], tls.VersionTLS12, "", ""},
		{"by another key", keys[1], tls.VersionTLS13, acme.Unauthorized, "not self-signed"},
		{"TLS 1.1", keys[0], tls.VersionTLS11, acme.TLS, "TLS handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, keys[0].Public(), tt.signer)
			if err != nil {
				t.Fatal(err)
			}
			server := &tls.Config{NextProtos: []string{"acme-tls/1"}, MinVersion: tls.VersionTLS10, MaxVersion: tt.version,
				Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: keys[0]}}}
			v := &Validator{Resolver: Loopback{}, Networks: loopback, TLSPort: serveHandshakes(t, "127.0.0.1:0", server)}
			check(t, validate(t, v, acme.TLSALPN01), tt.problem, tt.says)
		})
	}
}

// serveHandshakes answers TLS handshakes and nothing else.
func serveHandshakes(t *testing.T, address string, c *tls.Config) int {
	t.Helper()
	l, err := tls.Listen("tcp", address, c)
	if err != nil {
		t.Skip(err) // a machine without IPv6
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	return port(t, l.Addr())
}

// FuzzTLSALPN01Certificate: whatever certificate a server presents, it is taken only
// when it has the key authorization's digest in it.
func FuzzTLSALPN01Certificate(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, tmpl := range []x509.Certificate{{}, {DNSNames: []string{site.Value}, ExtraExtensions: acmeIdentifier(true, keyAuthorization)}} {
		tmpl.SerialNumber = big.NewInt(1)
		der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, key.Public(), key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	sum := sha256.Sum256([]byte(keyAuthorization))
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if mismatch(leaf, site, keyAuthorization) == "" && !bytes.Contains(der, sum[:]) {
			t.Error("accepted without the digest")
		}
	})
}
