package demo_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/demo"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func TestWhatIsMadeUpIsAsIfItHadBeenIssued(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, postgrestest.URL(t)) })
}

func test(t *testing.T, database string) {
	ctx, now := t.Context(), time.Now()
	db, err := store.Open(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.AddPerson(ctx, store.Person{Login: "ada", Created: now}); err != nil {
		t.Fatal(err)
	}
	iss, ca := newIssuer(t, db, now)
	const hosts = 300
	if err := demo.Fill(ctx, db, demo.Organisation{Hosts: hosts, Issuer: iss, Directory: "main", Member: "ada", Now: now, Progress: t.Logf}); err != nil {
		t.Fatal(err)
	}

	valid, revoked, expired := 0, 0, 0
	if err := db.Certificates(ctx, store.Selection{Any: true, History: true, Now: now}, func(c store.Certificate) error {
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			return err
		}
		if err := cert.CheckSignatureFrom(ca); err != nil {
			return err
		}
		if fmt.Sprintf("%x", cert.SerialNumber) != c.Serial || !cert.NotAfter.Equal(c.NotAfter) || len(cert.DNSNames) == 0 || len(cert.CRLDistributionPoints) != 1 {
			t.Errorf("the certificate is not that of its record: %+v", c)
		}
		switch {
		case !c.Revoked.IsZero():
			revoked++
		case c.NotAfter.Before(now):
			expired++
		default:
			valid++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if valid+revoked+expired != 10*hosts || valid < hosts/2 || revoked == 0 || expired < hosts {
		t.Errorf("%d valid, %d revoked, %d expired", valid, revoked, expired)
	}

	var chain audit.Chain
	for {
		rows, err := db.AuditRows(ctx, chain.Position, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := chain.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		if len(rows) == 0 {
			break
		}
	}
	if head, err := db.AuditHead(ctx); err != nil || head.Position != chain.Position || head.Hash != chain.Hash() {
		t.Errorf("the chain ends at %d, not at %+v, %v", chain.Position, head, err)
	}

	// What comes next has numbers of its own.
	if err := db.AddPerson(ctx, store.Person{Login: "bela", Created: now}); err != nil {
		t.Error(err)
	}
	p, err := db.Person(ctx, "ada")
	if err != nil || len(p.Hosts) == 0 {
		t.Errorf("ada has %d hosts, %v", len(p.Hosts), err)
	}
}

func newIssuer(t *testing.T, db *store.Store, now time.Time) (*issuer.Issuer, *x509.Certificate) {
	t.Helper()
	root, err := issuer.NewRoot("Test", now)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := issuer.NewIssuing("Test", "main", root, now)
	if err != nil {
		t.Fatal(err)
	}
	iss, err := issuer.New(issuer.Issuer{Name: "main", Validity: 90 * 24 * time.Hour, Store: db, Intermediates: []*issuer.Intermediate{
		{CA: ca.Certificate, Chains: [][]*x509.Certificate{{ca.Certificate}}, Root: root.Certificate, Key: ca.Key, CRLBase: "http://ca.uni.test/crl/"}}})
	if err != nil {
		t.Fatal(err)
	}
	return iss, ca.Certificate
}
