package store

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"vidimus/internal/store/postgrestest"
)

// Certificates from before there were shards are in a CRL at the URL that they name.
func TestOldCertificatesGetAShard(t *testing.T) {
	file, url := filepath.Join(t.TempDir(), "test.db"), postgrestest.URL(t)
	for _, tt := range []struct {
		name, driver, open, database string
		dialect                      goose.Dialect
		files                        migrations
	}{
		{"SQLite", "sqlite", file, file, goose.DialectSQLite3, migrations{toSQLite}},
		{"PostgreSQL", "pgx", url, url, goose.DialectPostgres, migrations{toPostgres}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, err := sql.Open(tt.driver, tt.open)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			p, err := goose.NewProvider(tt.dialect, db, tt.files)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.UpTo(t.Context(), 4); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				`INSERT INTO crl (issuer, number) VALUES ('main', 7)`,
				`INSERT INTO certificate (serial, issuer, tbs, spki, not_before, not_after, created_at, authority_key)
					VALUES ('0a', 'main', 'tbs', 'spki', 1, 9000, 1, ''), ('0b', 'main', 'tbs', 'spki', 1, 9000, 1, ''), ('0c', 'other', 'tbs', 'spki', 1, 9000, 1, '')`,
				`INSERT INTO revocation (issuer, serial, reason, revoked_at) VALUES ('main', '0b', 4, 5)`,
			} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			db.Close()

			s := openAt(t, tt.database)
			for _, ca := range []string{"01", "02"} { // the first that asks gets them
				if err := s.AdoptShards(t.Context(), "main", ca, "http://ca.test/crl/"); err != nil {
					t.Fatal(err)
				}
			}
			sh, err := s.Shard(t.Context(), "main")
			if err != nil || sh.CA != "01" || sh.URL() != "http://ca.test/crl/main.crl" || sh.Number != 7 || sh.Changes == sh.Seen {
				t.Errorf("its shard is %+v, %v", sh, err)
			}
			if due, err := s.DueShards(t.Context(), "01", time.Now(), 9); err != nil || len(due) != 1 {
				t.Errorf("due are %+v, %v", due, err)
			}
			revoked, err := s.Revocations(t.Context(), sh.ID, time.UnixMilli(8000))
			if err != nil || len(revoked) != 1 || revoked[0].Serial != "0b" || revoked[0].Reason != 4 {
				t.Errorf("revoked are %+v, %v", revoked, err)
			}
			if c, err := s.CertificateStatus(t.Context(), "0a"); err != nil || c.CA != "01" || !c.Revoked.IsZero() {
				t.Errorf("a good one is %+v, %v", c, err)
			}
			if err := s.Revoke(t.Context(), "0a", 0, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
}
