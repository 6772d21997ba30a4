package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"vidimus/internal/acme"
)

func csr(key crypto.Signer, tmpl x509.CertificateRequest) []byte {
	return must(x509.CreateCertificateRequest(rand.Reader, &tmpl, key))
}

// requestCase is a certificate request, and what CheckRequest has against it.
type requestCase struct {
	name    string
	der     []byte
	problem acme.ProblemType // "" for none
	says    string
}

// requestCases are requests for an order of www.example.org and 192.0.2.7.
func requestCases() []requestCase {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	names, ips := []string{"www.example.org"}, []net.IP{net.ParseIP("192.0.2.7")}
	good := x509.CertificateRequest{DNSNames: names, IPAddresses: ips}
	with := func(change func(*x509.CertificateRequest)) []byte {
		tmpl := good
		change(&tmpl)
		return csr(key, tmpl)
	}
	unsigned := csr(key, good)
	unsigned[len(unsigned)-1] ^= 1
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	uri, _ := url.Parse("https://www.example.org/")
	return []requestCase{
		{"good", csr(key, good), "", ""},
		{"P-384", csr(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), good), "", ""},
		{"RSA", csr(must(rsa.GenerateKey(rand.Reader, 2048)), good), "", ""},
		{"upper case", with(func(r *x509.CertificateRequest) { r.DNSNames = []string{"WWW.Example.ORG"} }), "", ""},
		{"common name inside", with(func(r *x509.CertificateRequest) { r.Subject = pkix.Name{CommonName: "www.example.org"} }), "", ""},
		{"name twice", with(func(r *x509.CertificateRequest) { r.DNSNames = append(names, names...) }), "", ""},
		{"common name outside", with(func(r *x509.CertificateRequest) { r.Subject = pkix.Name{CommonName: "evil.example.org"} }),
			acme.BadCSR, "evil.example.org"},
		{"common name that is none", with(func(r *x509.CertificateRequest) { r.Subject = pkix.Name{CommonName: "Ada Archer"} }), acme.BadCSR, "Ada Archer"},
		{"a name too many", with(func(r *x509.CertificateRequest) { r.DNSNames = append(names, "evil.example.org") }), acme.BadCSR, "evil.example.org"},
		{"a name missing", with(func(r *x509.CertificateRequest) { r.DNSNames = nil }), acme.BadCSR, "but the order is for"},
		{"an address missing", with(func(r *x509.CertificateRequest) { r.IPAddresses = nil }), acme.BadCSR, "192.0.2.7"},
		{"no name", csr(key, x509.CertificateRequest{}), acme.BadCSR, "for no name"},
		{"e-mail", with(func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.org"} }), acme.BadCSR, "e-mail"},
		{"URI", with(func(r *x509.CertificateRequest) { r.URIs = []*url.URL{uri} }), acme.BadCSR, "URIs"},
		{"bad signature", unsigned, acme.BadCSR, "not signed by its own key"},
		{"P-224", csr(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), good), acme.BadCSR, "P-224"},
		{"Ed25519", csr(ed, good), acme.BadCSR, "ed25519"},
		{"empty", nil, acme.BadCSR, "can't be read"},
		{"no DER", []byte("-----BEGIN CERTIFICATE REQUEST-----"), acme.BadCSR, "can't be read"},
		{"more behind", append(csr(key, good), 0), acme.BadCSR, "can't be read"},
	}
}

func TestCheckRequestTakesExactlyTheOrdersNames(t *testing.T) {
	order := ids("www.example.org", "192.0.2.7")
	for _, tt := range requestCases() {
		t.Run(tt.name, func(t *testing.T) {
			got, problem := CheckRequest(tt.der, order, new(Profile))
			switch {
			case tt.problem == "":
				if problem != nil || got == nil {
					t.Errorf("refused: %v", problem)
				}
			case problem == nil:
				t.Error("accepted")
			case problem.Type != tt.problem || !strings.Contains(problem.Detail, tt.says):
				t.Errorf("%v; want %s that says %q", problem, tt.problem, tt.says)
			}
		})
	}
}

func TestCheckKeyRefusesWeakKeys(t *testing.T) {
	rsaKey := func(bits uint, add int64, e int) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.Add(n, big.NewInt(add)), E: e}
	}
	good := must(rsa.GenerateKey(rand.Reader, 2048)).PublicKey
	multiple := new(big.Int).Mul(good.N, big.NewInt(751))
	tests := []struct {
		name string
		key  any
		says string
	}{
		{"RSA 1024", rsaKey(1024, 1, 65537), "too small"},
		{"RSA 2047", rsaKey(2047, 1, 65537), "too small"},
		{"RSA 8193", rsaKey(8193, 1, 65537), "too large"},
		{"exponent 3", &rsa.PublicKey{N: good.N, E: 3}, "exponent"},
		{"even exponent", &rsa.PublicKey{N: good.N, E: 65538}, "exponent"},
		{"even modulus", rsaKey(2048, 0, 65537), "small factor"},
		{"multiple of 751", &rsa.PublicKey{N: multiple, E: 65537}, "small factor"},
		{"P-224", &ecdsa.PublicKey{Curve: elliptic.P224()}, "P-224"},
		{"a text", "key", "not accepted"},
	}
	if err := CheckKey(&good); err != nil {
		t.Errorf("RSA 2048: %v", err)
	}
	for _, tt := range tests {
		if err := CheckKey(tt.key); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v; want an error that says %q", tt.name, err, tt.says)
		}
	}
}

// FuzzCheckRequest: whatever passes is signed by a good key and names the order's
// identifiers, no more and no fewer.
func FuzzCheckRequest(f *testing.F) {
	order := ids("www.example.org", "192.0.2.7")
	for _, c := range requestCases() {
		f.Add(c.der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, problem := CheckRequest(der, order, new(Profile))
		if (csr == nil) == (problem == nil) {
			t.Fatal("neither, or both, of a request and a problem")
		}
		if problem != nil {
			return
		}
		got, err := requested(csr)
		if err != nil || !slices.Equal(got, order) || CheckKey(csr.PublicKey) != nil || csr.CheckSignature() != nil {
			t.Errorf("accepted a request for %v, %v", got, err)
		}
	})
}

func TestCheckKeyFindsWeakKeys(t *testing.T) {
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		n    *big.Int
		e    int
		want string
	}{
		{new(big.Int).Mul(p, p), 65537, "Fermat"},
		{new(big.Int).Mul(p, p), 3, "exponent 3"},
		{new(big.Int).Mul(p, p), 65538, "exponent 65538"},
		{p, 65537, "1024 bits is too small"},
	} {
		if err := CheckKey(&rsa.PublicKey{N: tt.n, E: tt.e}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v; want %q", err, tt.want)
		}
	}
}
