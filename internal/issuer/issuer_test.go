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
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newIssuer makes an issuer with a fresh root; its issuing CA has the key, or one of
// its own when key is nil.
func newIssuer(t testing.TB, key crypto.Signer) *Issuer {
	t.Helper()
	root := must(NewRoot("Test", time.Now()))
	ca := must(NewIssuing("Test", "main", root, time.Now()))
	if key != nil {
		tmpl := *ca.Certificate
		tmpl.SubjectKeyId, tmpl.SignatureAlgorithm = nil, 0
		der := must(x509.CreateCertificate(rand.Reader, &tmpl, root.Certificate, key.Public(), root.Key))
		ca = CA{must(x509.ParseCertificate(der)), key}
	}
	db := must(store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db")))
	t.Cleanup(func() { db.Close() })
	return must(New(Issuer{Name: "main", Validity: 90 * 24 * time.Hour, Store: db, Intermediates: []*Intermediate{intermediate(root, ca, time.Time{})}}))
}

func intermediate(root, ca CA, from time.Time) *Intermediate {
	return &Intermediate{CA: ca.Certificate, Key: ca.Key, Chains: [][]*x509.Certificate{{ca.Certificate}}, Root: root.Certificate,
		From: from, CRLBase: "http://ca.test/crl/", CAURL: "http://ca.test/main.cer"}
}

func ids(names ...string) []identifier.Identifier {
	var out []identifier.Identifier
	for _, n := range names {
		out = append(out, must(identifier.Parse(n)))
	}
	return identifier.Sorted(out)
}

func request(names ...string) Request {
	key := must(certificate.KeySpec{}.Generate())
	return Request{Identifiers: ids(names...), PublicKey: key.Public(), SPKI: must(x509.MarshalPKIXPublicKey(key.Public()))}
}

// verify checks a certificate as a TLS client does that trusts the root.
func verify(t *testing.T, i *Issuer, der []byte, name string) *x509.Certificate {
	t.Helper()
	cert := must(x509.ParseCertificate(der))
	roots, above := x509.NewCertPool(), x509.NewCertPool()
	by := i.SignerOf(cert)
	roots.AddCert(by.Root)
	for _, c := range by.Chains[0] {
		above.AddCert(c)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, DNSName: name}); err != nil {
		t.Errorf("the certificate doesn't verify: %v", err)
	}
	return cert
}

func TestACertificateVerifiesUnderTheRoot(t *testing.T) {
	i := newIssuer(t, nil)
	r := request("www.example.org", "*.example.org", "192.0.2.7", "2001:db8::7")
	c, err := i.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	cert := verify(t, i, c.DER, "www.example.org")
	verify(t, i, c.DER, "192.0.2.7")
	if got := certificate.Identifiers(cert); !slices.Equal(got, r.Identifiers) {
		t.Errorf("it is for %v; want %v", got, r.Identifiers)
	}
	if life := cert.NotAfter.Sub(cert.NotBefore) + time.Second; life != i.Validity {
		t.Errorf("it lives %s; want %s", life, i.Validity)
	}
	if cert.IsCA || cert.Subject.CommonName != "" || cert.KeyUsage != x509.KeyUsageDigitalSignature ||
		!slices.Equal(cert.CRLDistributionPoints, []string{"http://ca.test/crl/main.crl"}) || !slices.Equal(cert.IssuingCertificateURL, []string{i.Current().CAURL}) ||
		!bytes.Equal(cert.AuthorityKeyId, i.Current().CA.SubjectKeyId) {
		t.Errorf("its profile is wrong: %+v", cert)
	}
	if n := len(cert.SerialNumber.Bytes()); n != 18 || c.Serial != cert.SerialNumber.Text(16) {
		t.Errorf("serial number of %d bytes, on record as %s", n, c.Serial)
	}
	got, err := i.Store.Certificate(t.Context(), c.Serial)
	if err != nil || !bytes.Equal(got.DER, c.DER) || !got.NotAfter.Equal(cert.NotAfter) {
		t.Errorf("the record differs: %+v, %v", got, err)
	}
}

func TestEveryKindOfCAKeySigns(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"RSA":     must(rsa.GenerateKey(rand.Reader, 2048)),
		"P-256":   must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"P-384":   must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"P-521":   must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"Ed25519": ed,
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, key)
			c, err := i.Issue(t.Context(), request("www.example.org"))
			if err != nil {
				t.Fatal(err)
			}
			verify(t, i, c.DER, "www.example.org")
			if again := must(i.sign(&c)); !bytes.Equal(again, c.DER) {
				t.Error("signing the same again gives another certificate")
			}
		})
	}
}

func TestFinishAfterACrashGivesTheCertificateThatWasIntended(t *testing.T) {
	i := newIssuer(t, nil)
	c := must(i.prepare(t.Context(), request("www.example.org")))
	if err := i.Store.BeginIssuance(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
	signed := must(i.sign(&c)) // and then the power failed

	unfinished, err := i.Store.UnfinishedCertificates(t.Context())
	if err != nil || len(unfinished) != 1 {
		t.Fatalf("unfinished: %v, %v; want one", unfinished, err)
	}
	if err := i.Finish(t.Context(), &unfinished[0]); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unfinished[0].DER, signed) {
		t.Error("finishing made a second certificate with the same serial number")
	}
	verify(t, i, unfinished[0].DER, "www.example.org")
	if again := c; !errors.Is(i.Finish(t.Context(), &again), store.ErrConflict) || again.DER != nil {
		t.Error("finishing again doesn't conflict")
	}
}

// counting counts the signatures of a key.
type counting struct {
	crypto.Signer
	mu         sync.Mutex
	signatures int
}

func (c *counting) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	c.mu.Lock()
	c.signatures++
	c.mu.Unlock()
	return c.Signer.Sign(r, digest, o)
}

func TestAnOrderThatIsNotReadyGetsNoSignature(t *testing.T) {
	key := &counting{Signer: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	i := newIssuer(t, key)
	ctx, now := t.Context(), time.Now()
	a := store.Account{Directory: "main", Thumbprint: "t", JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := i.Store.NewAccount(ctx, &a); err != nil {
		t.Fatal(err)
	}
	r := request("www.example.org")
	o := store.Order{Account: a.ID, Status: acme.Ready, Identifiers: r.Identifiers, Created: now, Expires: now.Add(time.Hour)}
	if err := i.Store.NewOrder(ctx, &o, nil); err != nil {
		t.Fatal(err)
	}
	r.Order, r.Account = o.ID, a.ID
	if _, err := i.Issue(ctx, r); err != nil || key.signatures != 1 {
		t.Fatalf("the first: %v, %d signatures; want one", err, key.signatures)
	}
	if _, err := i.Issue(ctx, r); !errors.Is(err, store.ErrConflict) || key.signatures != 1 {
		t.Errorf("the second: %v, %d signatures; want a conflict and none", err, key.signatures)
	}
}

func TestFinalizingAtOnceGivesOneSignature(t *testing.T) {
	key := &counting{Signer: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	i := newIssuer(t, key)
	ctx, now := t.Context(), time.Now()
	a := store.Account{Directory: "main", Thumbprint: "t", JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := i.Store.NewAccount(ctx, &a); err != nil {
		t.Fatal(err)
	}
	o := store.Order{Account: a.ID, Status: acme.Ready, Identifiers: ids("www.example.org"), Created: now, Expires: now.Add(time.Hour)}
	if err := i.Store.NewOrder(ctx, &o, nil); err != nil {
		t.Fatal(err)
	}
	const requests = 16
	errs := make(chan error, requests)
	for range requests {
		r := request("www.example.org")
		r.Order, r.Account = o.ID, a.ID
		go func() {
			_, err := i.Issue(ctx, r)
			errs <- err
		}()
	}
	won := 0
	for range requests {
		if err := <-errs; err == nil {
			won++
		} else if !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 || key.signatures != 1 {
		t.Errorf("%d requests got a certificate, with %d signatures; want one", won, key.signatures)
	}
}

func TestNoCertificateOutlivesItsCA(t *testing.T) {
	i := newIssuer(t, nil)
	tests := []struct {
		left time.Duration // of the CA's life
		ok   bool
	}{
		{i.Validity, true},
		{i.Validity - backdate - 2*time.Second, false},
		{time.Hour, false},
		{-time.Hour, false},
	}
	for _, tt := range tests {
		i.Now = func() time.Time { return i.Oldest().CA.NotAfter.Add(-tt.left) }
		_, err := i.Issue(t.Context(), request("www.example.org"))
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "new CA") {
			t.Errorf("with %s left: %v", tt.left, err)
		}
	}
}

func TestNewRefusesWhatCannotSign(t *testing.T) {
	good := newIssuer(t, nil)
	with := func(change func(m *Intermediate)) Issuer {
		i, m := *good, *good.Current()
		ca := *m.CA
		m.CA = &ca
		change(&m)
		i.Intermediates = []*Intermediate{&m}
		return i
	}
	other := must(certificate.KeySpec{}.Generate())
	for name, change := range map[string]func(*Intermediate){
		"another key":       func(m *Intermediate) { m.Key = other },
		"no CA":             func(m *Intermediate) { m.CA.IsCA = false },
		"no CRL sign":       func(m *Intermediate) { m.CA.KeyUsage = x509.KeyUsageCertSign },
		"no key identifier": func(m *Intermediate) { m.CA.SubjectKeyId = nil },
	} {
		if _, err := New(with(change)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	twice, none := *good, *good
	second := *good.Current()
	twice.Intermediates = append(twice.Intermediates, &second)
	none.Intermediates = nil
	for name, i := range map[string]Issuer{"a key twice": twice, "no intermediate": none} {
		if _, err := New(i); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
