package revocation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stage is a CA with certificates on record, and a clock that is set by hand.
type stage struct {
	*testing.T
	signer Signer
	db     *store.Store
	now    time.Time
}

func newStage(t *testing.T) *stage {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{1}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &stage{t, Signer{"main", "01", ca, key}, db, noon}
}

func (s *stage) publisher() *Publisher {
	return NewPublisher(s.signer, s.db, func() time.Time { return s.now })
}

// revoke records a certificate of an issuer that ends at a time, and revokes it now.
func (s *stage) revoke(issuer, serial string, end time.Time, reason acme.RevocationReason) {
	s.Helper()
	c := store.Certificate{Serial: serial, Issuer: issuer, TBS: []byte("tbs"), SPKI: []byte(serial),
		NotBefore: noon.AddDate(0, -1, 0), NotAfter: end, Created: noon}
	if err := s.db.BeginIssuance(s.Context(), c, ""); err != nil {
		s.Fatal(err)
	}
	if err := s.db.Revoke(s.Context(), c, reason, s.now); err != nil {
		s.Fatal(err)
	}
}

// fetch gets a CRL, checks its signature, and lists the serials that it names.
func (s *stage) fetch(p *Publisher) (*x509.RevocationList, []string) {
	s.Helper()
	der, err := p.CRL(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		s.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(s.signer.CA); err != nil {
		s.Error(err)
	}
	var serials []string
	for _, e := range crl.RevokedCertificateEntries {
		serials = append(serials, fmt.Sprintf("%02x", e.SerialNumber))
	}
	return crl, serials
}

func TestANewCRLComesWithAChangeOrAtHalfItsLife(t *testing.T) {
	s := newStage(t)
	p := s.publisher()
	steps := []struct {
		name   string
		after  time.Duration
		revoke string
		number int64
	}{
		{"the first", 0, "", 1},
		{"at once again", 0, "", 1},
		{"before half its life", Life/2 - time.Second, "", 1},
		{"at half its life", time.Second, "", 2},
		{"a revocation", time.Second, "4a", 3},
		{"nothing new", time.Hour, "", 3},
		{"another revocation, at the same moment", 0, "4b", 4},
		{"a clock set back", -48 * time.Hour, "", 5},
	}
	for _, step := range steps {
		s.now = s.now.Add(step.after)
		if step.revoke != "" {
			s.revoke("main", step.revoke, noon.AddDate(0, 3, 0), acme.KeyCompromise)
		}
		crl, serials := s.fetch(p)
		if crl.Number.Int64() != step.number {
			t.Errorf("%s: number %d; want %d", step.name, crl.Number, step.number)
		}
		if crl.NextUpdate.Sub(s.now) < Life/2 || crl.ThisUpdate.After(s.now) {
			t.Errorf("%s: good from %s to %s at %s", step.name, crl.ThisUpdate, crl.NextUpdate, s.now)
		}
		if step.revoke != "" && !slices.Contains(serials, step.revoke) {
			t.Errorf("%s: names %q", step.name, serials)
		}
	}
}

func TestNumbersGrowAcrossRestarts(t *testing.T) {
	s := newStage(t)
	for want := int64(1); want <= 3; want++ {
		if crl, _ := s.fetch(s.publisher()); crl.Number.Int64() != want {
			t.Errorf("number %d; want %d", crl.Number, want)
		}
	}
}

func TestACRLNamesWhatIsRevokedUntilItHasExpired(t *testing.T) {
	s := newStage(t)
	s.revoke("main", "4a", noon.Add(24*time.Hour), acme.KeyCompromise)
	s.revoke("main", "4b", noon.Add(48*time.Hour), 0)
	s.revoke("other", "4c", noon.Add(48*time.Hour), acme.KeyCompromise)
	p := s.publisher()
	for _, step := range []struct {
		at   time.Time
		want []string
	}{
		{noon, []string{"4a", "4b"}},
		{noon.Add(24*time.Hour + 30*time.Minute), []string{"4a", "4b"}}, // for clocks that are slow
		{noon.Add(37 * time.Hour), []string{"4b"}},
		{noon.Add(50 * time.Hour), nil},
	} {
		s.now = step.at
		crl, serials := s.fetch(p)
		if !slices.Equal(serials, step.want) {
			t.Errorf("at %s it names %q; want %q", step.at, serials, step.want)
		}
		for _, e := range crl.RevokedCertificateEntries {
			want := map[int64]acme.RevocationReason{0x4a: acme.KeyCompromise}[e.SerialNumber.Int64()]
			if e.ReasonCode != int(want) || !e.RevocationTime.Equal(noon) {
				t.Errorf("%x: reason %d at %s", e.SerialNumber, e.ReasonCode, e.RevocationTime)
			}
		}
	}
}

func TestManyReadersGetOneCRL(t *testing.T) {
	s := newStage(t)
	p := s.publisher()
	const readers = 8
	got := make([][]byte, readers)
	var all sync.WaitGroup
	for n := range readers {
		all.Go(func() {
			var err error
			if got[n], err = p.CRL(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, der := range got[1:] {
		if !bytes.Equal(der, got[0]) {
			t.Error("two readers got different CRLs")
		}
	}
}
