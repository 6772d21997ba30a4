package revocation

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const life = DefaultValidity

// stage is a CA with certificates on record, and a clock that is set by hand.
type stage struct {
	testing.TB
	signer Signer
	shards *Shards
	db     *store.Store
	now    time.Time
}

func newSigner(t testing.TB, id byte) Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{id}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign,
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Signer{Issuer: "main", CA: ca, Key: key}
}

func newStage(t testing.TB) *stage { return newStageAt(t, filepath.Join(t.TempDir(), "test.db")) }

// onEach runs a test on each kind of database.
func onEach(t *testing.T, test func(s *stage)) {
	t.Run("SQLite", func(t *testing.T) { test(newStage(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(newStageAt(t, postgrestest.URL(t))) })
}

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func newStageAt(t testing.TB, database string) *stage {
	t.Helper()
	db, err := store.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &stage{TB: t, signer: newSigner(t, 1), db: db, now: noon}
	s.shards = s.newShards(s.signer, 0)
	if err := s.shards.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) clock() time.Time { return s.now }

// newShards is what another process has, too.
func (s *stage) newShards(ca Signer, size int) *Shards {
	return &Shards{Issuer: "main", CA: ca.ID(), Base: "http://ca.test/crl/", Size: size, Store: s.db, Now: s.clock}
}

func (s *stage) publisher() *Publisher {
	return NewPublisher(s.db, Options{Now: s.clock}, s.signer)
}

// record records a certificate that ends at a time, in the next place of shards.
func (s *stage) record(shards *Shards, serial string, end time.Time) store.Shard {
	s.Helper()
	shard, err := shards.Next(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	c := store.Certificate{Serial: serial, Issuer: "main", Shard: shard.ID, TBS: []byte("tbs"), SPKI: []byte(serial),
		NotBefore: noon.AddDate(0, -1, 0), NotAfter: end, Created: noon}
	if err := s.db.BeginIssuance(s.Context(), c, ""); err != nil {
		s.Fatal(err)
	}
	if err := s.db.FinishIssuance(s.Context(), serial, []byte("der"), noon); err != nil {
		s.Fatal(err)
	}
	return shard
}

// revoke records a certificate, and revokes it now.
func (s *stage) revoke(serial string, end time.Time, reason acme.RevocationReason) store.Shard {
	s.Helper()
	shard := s.record(s.shards, serial, end)
	if err := s.db.Revoke(s.Context(), serial, reason, s.now); err != nil {
		s.Fatal(err)
	}
	return shard
}

// fetch gets a CRL, checks its signature, and lists the serials that it names.
func (s *stage) fetch(p *Publisher, path string) (*x509.RevocationList, []string) {
	s.Helper()
	der, err := p.CRL(s.Context(), path)
	if err != nil {
		s.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		s.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(p.signers[must(s.db.Shard(s.Context(), path)).CA].CA); err != nil {
		s.Error(err)
	}
	var serials []string
	for _, e := range crl.RevokedCertificateEntries {
		serials = append(serials, fmt.Sprintf("%02x", e.SerialNumber))
	}
	return crl, serials
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestANewCRLComesWithAChangeOrAtHalfItsLife(t *testing.T) {
	onEach(t, aNewCRLComesWithAChangeOrAtHalfItsLife)
}

func aNewCRLComesWithAChangeOrAtHalfItsLife(s *stage) {
	t := s.TB
	p := s.publisher()
	var last *x509.RevocationList
	for _, step := range []struct {
		name   string
		after  time.Duration
		revoke string
		fresh  bool
	}{
		{"the first", 0, "", true},
		{"at once again", 0, "", false},
		{"before half its life", life/2 - time.Second, "", false},
		{"at half its life", time.Second, "", true},
		{"a revocation", time.Second, "4a", true},
		{"nothing new", time.Hour, "", false},
		{"another revocation", 0, "4b", true},
		{"and one in the same second", 0, "4c", true},
		{"a clock set back", -48 * time.Hour, "", true},
		{"a revocation before", 0, "4d", true},
	} {
		s.now = s.now.Add(step.after)
		if step.revoke != "" {
			s.revoke(step.revoke, noon.AddDate(0, 3, 0), acme.KeyCompromise)
		}
		crl, serials := s.fetch(p, "main")
		if last != nil {
			if grown := crl.Number.Cmp(last.Number); grown < 0 || (grown > 0) != step.fresh {
				t.Errorf("%s: number %d after %d; a new one: %v", step.name, crl.Number, last.Number, step.fresh)
			}
		}
		if crl.NextUpdate.Sub(s.now) < life/2 || crl.ThisUpdate.After(s.now) {
			t.Errorf("%s: good from %s to %s at %s", step.name, crl.ThisUpdate, crl.NextUpdate, s.now)
		}
		if step.revoke != "" && !slices.Contains(serials, step.revoke) {
			t.Errorf("%s: names %q", step.name, serials)
		}
		last = crl
	}
}

func TestARestartSignsNothing(t *testing.T) {
	s := newStage(t)
	s.revoke("4a", noon.AddDate(0, 3, 0), 4)
	first := must(s.publisher().CRL(t.Context(), "main"))
	if again := must(s.publisher().CRL(t.Context(), "main")); !bytes.Equal(first, again) {
		t.Error("another process serves another CRL")
	}
}

func TestNumbersGrowWhenABackupIsRestored(t *testing.T) {
	s := newStage(t)
	before, _ := s.fetch(s.publisher(), "main")
	s.now = s.now.Add(time.Hour)
	old := newStage(t) // knows nothing of the CRL
	old.now = s.now
	after, _ := old.fetch(old.publisher(), "main")
	if after.Number.Cmp(before.Number) <= 0 {
		t.Errorf("number %d after %d", after.Number, before.Number)
	}
}

func TestACRLNamesWhatIsRevokedUntilItHasExpired(t *testing.T) {
	onEach(t, aCRLNamesWhatIsRevokedUntilItHasExpired)
}

func aCRLNamesWhatIsRevokedUntilItHasExpired(s *stage) {
	t := s.TB
	s.revoke("4a", noon.Add(24*time.Hour), acme.KeyCompromise)
	s.revoke("4b", noon.Add(48*time.Hour), 0)
	s.record(s.shards, "4c", noon.Add(48*time.Hour))
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
		crl, serials := s.fetch(p, "main")
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

func TestShardsStayWithinTheirSize(t *testing.T) { onEach(t, shardsStayWithinTheirSize) }

func shardsStayWithinTheirSize(s *stage) {
	t := s.TB
	const size, each = 100, 130
	end := noon.AddDate(0, 3, 0)
	count := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for process := range 3 { // one after another starts again, and loses its places
		all.Go(func() {
			shards := s.newShards(s.signer, size)
			for n := range each {
				if n%50 == 49 {
					shards = s.newShards(s.signer, size)
				}
				shard := s.record(shards, fmt.Sprintf("4%d%04d", process, n), end)
				mu.Lock()
				count[shard.Path]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	total := 0
	for path, n := range count {
		total += n
		if n > size {
			t.Errorf("%s has %d certificates", path, n)
		}
	}
	if total != 3*each || len(count) != 4 || count["main"] != size {
		t.Errorf("%d certificates in %v", total, count)
	}
}

func TestACRLSaysWhatItIsFor(t *testing.T) { onEach(t, aCRLSaysWhatItIsFor) }

func aCRLSaysWhatItIsFor(s *stage) {
	t := s.TB
	s.revoke("4a", noon.AddDate(0, 3, 0), 0)
	other := newSigner(t, 2) // the next CA certificate of the issuer
	next := s.newShards(other, 0)
	second := s.record(next, "4b", noon.AddDate(0, 3, 0))
	if err := s.db.Revoke(t.Context(), "4b", 0, noon); err != nil {
		t.Fatal(err)
	}
	p := NewPublisher(s.db, Options{Now: s.clock}, s.signer, other)
	for path, serial := range map[string]string{"main": "4a", second.Path: "4b"} {
		crl, serials := s.fetch(p, path)
		if !slices.Equal(serials, []string{serial}) {
			t.Errorf("%s names %q", path, serials)
		}
		url, found := "http://ca.test/crl/"+path+".crl", false
		for _, e := range crl.Extensions {
			if e.Id.String() == "2.5.29.28" {
				found = e.Critical && bytes.Contains(e.Value, append([]byte{0x86, byte(len(url))}, url...))
			}
		}
		if !found {
			t.Errorf("%s: its extensions are %v", path, crl.Extensions)
		}
	}
	if _, err := p.CRL(t.Context(), "main/77"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a CRL that doesn't exist: %v", err)
	}
}

func TestSignDueSignsAheadUntilAShardIsDead(t *testing.T) {
	onEach(t, signDueSignsAheadUntilAShardIsDead)
}

func signDueSignsAheadUntilAShardIsDead(s *stage) {
	t := s.TB
	s.revoke("4a", noon.Add(40*24*time.Hour), 0)
	p := s.publisher()
	number := func() int64 { return must(s.db.Shard(t.Context(), "main")).Number }
	for _, step := range []struct {
		name  string
		at    time.Time
		fresh bool
	}{
		{"revoked", noon, true},
		{"nothing to do", noon.Add(time.Hour), false},
		{"half its life", noon.Add(life / 2), true},
		{"the last", noon.Add(41 * 24 * time.Hour), true},
		{"dead", noon.Add(42 * 24 * time.Hour), false},
	} {
		s.now = step.at
		before := number()
		if err := p.SignDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if (number() > before) != step.fresh {
			t.Errorf("%s: number %d after %d", step.name, number(), before)
		}
	}
	if crl, _ := s.fetch(p, "main"); crl.NextUpdate.Before(s.now) {
		t.Error("who asks for the CRL of a dead shard gets an old one")
	}
}

func TestTwoProcessesServeOneCRL(t *testing.T) { onEach(t, twoProcessesServeOneCRL) }

func twoProcessesServeOneCRL(s *stage) {
	t := s.TB
	for n := range 20 {
		s.revoke(fmt.Sprintf("4%03d", n), noon.AddDate(0, 3, 0), 0)
		one, other := s.publisher(), s.publisher()
		got := make([][]byte, 8)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				p := one
				if i%2 == 1 {
					p = other
				}
				var err error
				if got[i], err = p.CRL(context.Background(), "main"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, der := range got[1:] {
			if !bytes.Equal(der, got[0]) {
				t.Fatal("two readers got different CRLs")
			}
		}
	}
}
