package request_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/request"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
	"vidimus/internal/validation"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

const token = "0123456789abcdef"

// newDesk makes a desk with an issuer, and ada, who is responsible for some hosts.
func newDesk(t testing.TB) (*request.Desk, request.Asked) {
	t.Helper()
	return newDeskAt(t, filepath.Join(t.TempDir(), "v.db"))
}

func newDeskAt(t testing.TB, database string) (*request.Desk, request.Asked) {
	t.Helper()
	db := must(store.Open(t.Context(), database))
	t.Cleanup(func() { db.Close() })
	root := must(issuer.NewRoot("Test", time.Now()))
	ca := must(issuer.NewIssuing("Test", "main", root, time.Now()))
	iss := must(issuer.New(issuer.Issuer{Name: "main", Store: db,
		Profiles: []issuer.Profile{{Name: "server", Validity: 90 * 24 * time.Hour}, {Name: "small", Validity: time.Hour, Keys: []issuer.KeyType{issuer.P256}}},
		Intermediates: []*issuer.Intermediate{{CA: ca.Certificate, Key: ca.Key, Chains: [][]*x509.Certificate{{ca.Certificate}}, Root: root.Certificate,
			CRLBase: "http://ca.test/crl/"}}}))
	d := &directory.Directory{Store: db}
	for _, login := range []string{"ada", "bob"} {
		if err := db.AddPerson(t.Context(), store.Person{Login: login, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, fqdn := range []string{"a.example.org", "b.example.org"} {
		must(d.AddHost(t.Context(), fqdn, directory.People([]string{"ada"})))
	}
	must(d.AddHost(t.Context(), "bob.example.org", directory.People([]string{"bob"})))
	ada := must(db.PersonAlone(t.Context(), "ada"))
	desk := &request.Desk{Issuers: []request.Issuer{{Issuer: iss}}, Store: db, Directory: d, Log: slog.New(slog.DiscardHandler),
		Runner: &validation.Runner{Store: db, Validator: &validation.Validator{}}}
	return desk, request.Asked{Login: "ada", Editor: directory.Editor{Person: ada.ID}, Form: token}
}

func csr(names ...string) []byte {
	_, der := keyAndCSR(certificate.KeySpec{}, names...)
	return der
}

func keyAndCSR(spec certificate.KeySpec, names ...string) (crypto.Signer, []byte) {
	key := must(spec.Generate())
	var ids []identifier.Identifier
	for _, n := range names {
		ids = append(ids, must(identifier.Parse(n)))
	}
	return key, must(certificate.Request(key, ids, false))
}

func inPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestACertificateWithoutACME(t *testing.T) {
	desk, a := newDesk(t)
	a.CSR = inPEM(csr("a.example.org", "b.example.org"))
	c, err := desk.Get(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	cert := must(x509.ParseCertificate(c.DER))
	if !slices.Equal(cert.DNSNames, []string{"a.example.org", "b.example.org"}) {
		t.Errorf("it is for %v", cert.DNSNames)
	}
	got := must(desk.Store.Certificate(t.Context(), c.Serial))
	if got.Person != "ada" || got.Account != 0 || !bytes.Equal(got.DER, c.DER) {
		t.Errorf("on record: %+v", got)
	}
}

// Whatever comes in between, a form is good for one certificate.
func TestAFormIsGoodForOneCertificate(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { formIsGoodForOne(t, filepath.Join(t.TempDir(), "v.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { formIsGoodForOne(t, postgrestest.URL(t)) })
}

func formIsGoodForOne(t *testing.T, database string) {
	desk, a := newDeskAt(t, database)
	a.CSR = csr("a.example.org")
	var all sync.WaitGroup
	serials := make([]string, 8)
	for i := range serials {
		all.Go(func() {
			c, err := desk.Get(t.Context(), a)
			if err != nil || c.DER == nil {
				t.Errorf("%v, %+v", err, c)
			}
			serials[i] = c.Serial
		})
	}
	all.Wait()
	if slices.Sort(serials); serials[0] == "" || serials[0] != serials[7] {
		t.Errorf("the form got %v", serials)
	}
	n := must(desk.Store.CountSelected(t.Context(), store.Selection{Names: []string{"a.example.org"}, Now: time.Now()}))
	if n != 1 {
		t.Errorf("there are %d certificates", n)
	}
	other := a
	other.CSR = csr("a.example.org")
	refusedAt(t, desk, other, request.Form, "used for another")
	bob := must(desk.Store.PersonAlone(t.Context(), "bob")) // whose form is another, though its token is the same
	refusedAt(t, desk, request.Asked{Login: "bob", Editor: directory.Editor{Person: bob.ID}, Form: token, CSR: a.CSR}, request.Names, "not responsible")
	again := a
	again.Form = "another form of hers"
	if c, err := desk.Get(t.Context(), again); err != nil || c.Serial == serials[0] {
		t.Errorf("another form got %s, %v", c.Serial, err)
	}
}

func TestAFormSentAgainAfterACrashGetsWhatWasIntended(t *testing.T) {
	desk, a := newDesk(t)
	key, der := keyAndCSR(certificate.KeySpec{}, "a.example.org")
	a.CSR = der
	// What a process leaves that ends between the intent and the signature.
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))
	form := sha256.Sum256([]byte("ada\x00" + token))
	broken := brokenKey{desk.Issuers[0].Intermediates[0].Key}
	desk.Issuers[0].Intermediates[0].Key = broken
	_, err := desk.Issuers[0].Issue(t.Context(), issuer.Request{Identifiers: []identifier.Identifier{{Type: identifier.DNS, Value: "a.example.org"}},
		PublicKey: key.Public(), SPKI: spki, Person: "ada", Form: form[:], Profile: desk.Issuers[0].Profile("")})
	if err == nil {
		t.Fatal("it was signed")
	}
	if _, err := desk.Get(t.Context(), a); err == nil || !strings.Contains(err.Error(), "no token") {
		t.Errorf("without the key: %v", err)
	}
	desk.Issuers[0].Intermediates[0].Key = broken.Signer
	intended := must(desk.Store.UnfinishedCertificates(t.Context()))
	c, err := desk.Get(t.Context(), a)
	if err != nil || len(intended) != 1 || c.Serial != intended[0].Serial || c.DER == nil {
		t.Errorf("%+v, %v; intended was %+v", c, err, intended)
	}
}

type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no token in the slot")
}

func refusedAt(t *testing.T, desk *request.Desk, a request.Asked, field request.Field, why string) *request.Refused {
	t.Helper()
	c, err := desk.Get(t.Context(), a)
	var r *request.Refused
	if !errors.As(err, &r) || r.Field != field || !strings.Contains(r.Reason, why) {
		t.Errorf("%s, %v; want %s: %q", c.Serial, err, field, why)
	}
	return r
}

func TestWhatIsWrongIsSaidAtItsField(t *testing.T) {
	desk, a := newDesk(t)
	good := csr("a.example.org")
	tampered := bytes.Clone(good)
	tampered[len(tampered)-1] ^= 1
	_, p384 := keyAndCSR(certificate.KeySpec{Curve: "secp384r1"}, "a.example.org")
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("h%d.example.org", i)
	}
	for _, c := range []struct {
		what    string
		csr     []byte
		issuer  string
		profile string
		field   request.Field
		why     string
	}{
		{"nothing", []byte(" \n"), "", "", request.CSR, "there is no certificate request"},
		{"text", []byte("hello"), "", "", request.CSR, "no certificate request"},
		{"a private key", []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), "", "", request.CSR, "is a private key"},
		{"a certificate", []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), "", "", request.CSR, "is a certificate"},
		{"an empty request", inPEM([]byte{0x30, 0}), "", "", request.CSR, "can't be read"},
		{"too long", make([]byte, request.MaxSize+1), "", "", request.CSR, "longer"},
		{"a wrong signature", tampered, "", "", request.CSR, "not signed by its own key"},
		{"no name", csr(), "", "", request.CSR, "names no host"},
		{"too many names", csr(many...), "", "", request.CSR, "101 names"},
		{"a name of somebody else", csr("a.example.org", "bob.example.org"), "", "", request.Names, "not responsible for bob.example.org"},
		{"no host", csr("www.example.net"), "", "", request.Names, "not responsible"},
		{"a wildcard", csr("*.a.example.org"), "", "", request.Names, "no wildcards"},
		{"an address", csr("192.0.2.1"), "", "", request.Names, "IP address"},
		{"a key that the profile does not take", p384, "", "small", request.CSR, "takes no p384"},
		{"no issuer", good, "other", "", request.Chosen, "no such issuer"},
		{"no profile", good, "main", "other", request.Profile, "no such profile"},
	} {
		t.Run(c.what, func(t *testing.T) {
			a := a
			a.CSR, a.Issuer, a.Profile = c.csr, c.issuer, c.profile
			refusedAt(t, desk, a, c.field, c.why)
		})
	}
	a.CSR, a.Form = good, "short"
	refusedAt(t, desk, a, request.Form, "not complete")
	a.Form = token
	if _, err := desk.Get(t.Context(), a); err != nil {
		t.Errorf("the form is good for nothing after what was refused: %v", err)
	}
}

func TestABlockedKeyIsRefused(t *testing.T) {
	desk, a := newDesk(t)
	a.CSR = csr("a.example.org")
	c := must(desk.Get(t.Context(), a))
	if err := desk.Store.Revoke(t.Context(), c.Serial, acme.KeyCompromise, time.Now()); err != nil {
		t.Fatal(err)
	}
	a.Form = "a form that is new to us"
	refusedAt(t, desk, a, request.CSR, "is blocked")
}

// zone answers with the CAA records that it has, and that there are none of other names.
type zone map[string]string

func (z zone) Lookup(_ context.Context, name string, t uint16) (validation.Answer, error) {
	if z[name] == "" || t != dns.TypeCAA {
		return validation.Answer{}, nil
	}
	rr, err := dns.NewRR(dns.Fqdn(name) + " 60 IN CAA " + z[name])
	return validation.Answer{Records: []dns.RR{rr}}, err
}

func TestCAARecordsAreLookedAtWhereTheyAreForOrders(t *testing.T) {
	desk, a := newDesk(t)
	records := zone{"b.example.org": `0 issue "elsewhere.example"`}
	desk.Runner.Validator.Resolver = records
	a.CSR = csr("a.example.org", "b.example.org")
	if _, err := desk.Get(t.Context(), a); err != nil {
		t.Errorf("the issuer looks at none: %v", err)
	}
	a.Form = "a form that is new to us"
	desk.Runner.Directories = map[string]validation.Policy{"main": {CAA: true, Identities: []string{"ca.example.org"}}}
	if r := refusedAt(t, desk, a, request.Names, "names another CA"); r != nil && (len(r.Names) != 1 || r.Names[0].Identifier.Value != "b.example.org") {
		t.Errorf("%+v", r.Names)
	}
	records["b.example.org"] = `0 issue "ca.example.org"`
	if _, err := desk.Get(t.Context(), a); err != nil {
		t.Errorf("with a record that allows it: %v", err)
	}
}

func FuzzLook(f *testing.F) {
	desk, a := newDesk(f)
	good := csr("a.example.org")
	f.Add(good)
	f.Add(inPEM(good))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n"))
	f.Add([]byte{0x30, 0x82, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		a.CSR = data
		p, err := desk.Look(t.Context(), a)
		var r *request.Refused
		if err != nil && !errors.As(err, &r) {
			t.Errorf("it is not said what is wrong: %v", err)
		}
		if err == nil && (p.CSR == nil || len(p.Names) == 0) {
			t.Errorf("granted: %+v", p)
		}
	})
}
