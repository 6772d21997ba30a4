package store

import (
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"vidimus/internal/acme"
	"vidimus/internal/store/postgrestest"
)

// What is on record before challenges became a part of their authorization is there
// afterwards, also what is being validated.
func TestRowsOfBeforeAreTakenOver(t *testing.T) {
	before := []string{
		`INSERT INTO account (id, directory, thumbprint, jwk, status, contact, bound, created_at) VALUES (1, 'main', 't', '{}', 'valid', '[]', FALSE, 0)`,
		`INSERT INTO acme_order (id, account_id, status, identifiers, replaces, created_at, expires_at)
			VALUES (5, 1, 'pending', '[{"type":"dns","value":"a.example.org"},{"type":"dns","value":"b.example.org"}]', '', 0, 1)`,
		`INSERT INTO authz (id, account_id, type, value, wildcard, status, created_at, expires_at)
			VALUES (7, 1, 'dns', 'a.example.org', FALSE, 'pending', 0, 1), (8, 1, 'dns', 'b.example.org', FALSE, 'valid', 0, 1)`,
		`INSERT INTO order_authz (order_id, position, authz_id) VALUES (5, 0, 7), (5, 1, 8)`,
		`INSERT INTO challenge (id, authz_id, type, token, status, validated_at, error, started_at, record) VALUES
			(1, 7, 'http-01', 'x', 'processing', NULL, NULL, 4, NULL), (2, 7, 'dns-01', 'y', 'invalid', NULL, '{"type":"urn:e","detail":"no"}', 3, '{"ms":1}'),
			(3, 8, 'dns-01', 'z', 'valid', 1000, NULL, 2, NULL)`,
		`INSERT INTO certificate (serial, issuer, order_id, account_id, tbs, spki, not_before, not_after, created_at) VALUES ('4a', 'main', 5, 1, 'x', 'x', 0, 1, 0)`,
		`INSERT INTO certificate_name (value, serial) VALUES ('a.example.org', '4a'), ('b.example.org', '4a')`,
	}
	upgraded(t, 7, before, func(t *testing.T, s *Store) {
		o, err := s.Order(t.Context(), 5)
		if err != nil || len(o.Authzs) != 2 || o.Authzs[0] != 7 || o.Authzs[1] != 8 {
			t.Fatalf("order %+v, %v", o, err)
		}
		a, err := s.Authz(t.Context(), 8)
		if err != nil || len(a.Challenges) != 1 || a.Challenges[0].Validated.UnixMilli() != 1000 || a.Challenges[0].Status != acme.Valid {
			t.Errorf("authorization %+v, %v", a, err)
		}
		all, err := s.ProcessingAfter(t.Context(), 0, 10)
		if err != nil || len(all) != 1 || all[0].Authz != 7 || all[0].Token != "x" || all[0].Account != 1 {
			t.Fatalf("processing: %+v, %v", all, err)
		}
		if err := s.FinishChallenge(t.Context(), all[0], nil, day, day); err != nil {
			t.Fatal(err)
		}
		a, err = s.Authz(t.Context(), 7)
		if err != nil || a.Status != acme.Valid || len(a.Challenges) != 2 || a.Challenges[1].Error == nil || a.Challenges[1].Error.Detail != "no" ||
			string(a.Challenges[1].Record) != `{"ms":1}` {
			t.Errorf("authorization %+v, %v", a, err)
		}
		if o, err = s.Order(t.Context(), 5); err != nil || o.Status != acme.Ready {
			t.Errorf("order %+v, %v; want it ready", o, err)
		}
		n := 0
		err = s.Certificates(t.Context(), Selection{Names: []string{"b.example.org"}, History: true}, func(Certificate) error { n++; return nil })
		if err != nil || n != 1 {
			t.Errorf("%d certificates, %v", n, err)
		}
	})
}

// upgraded runs a test on both databases, of which the tables were once of a version, with
// these rows.
func upgraded(t *testing.T, version int64, before []string, check func(t *testing.T, s *Store)) {
	test := func(t *testing.T, database, driver string, dialect goose.Dialect, m migrations) {
		db, err := sql.Open(driver, database)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p, err := goose.NewProvider(dialect, db, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.UpTo(t.Context(), version); err != nil {
			t.Fatal(err)
		}
		for _, q := range before {
			if _, err := db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
		db.Close()
		check(t, openAt(t, database))
	}
	t.Run("SQLite", func(t *testing.T) {
		test(t, filepath.Join(t.TempDir(), "test.db"), "sqlite", goose.DialectSQLite3, migrations{toSQLite})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		stdlib.GetDefaultDriver() // which has the name pgx
		test(t, postgrestest.URL(t), "pgx", goose.DialectPostgres, migrations{toPostgres})
	})
}

// Who was responsible is so afterwards, by a party of the same number, and who comes later
// gets another; a host without anybody becomes the CA team's.
func TestPeopleOfBeforeAreResponsibleStill(t *testing.T) {
	upgraded(t, 10, []string{
		`INSERT INTO person (id, login, name, email, created_at) VALUES (3, 'ada', 'Ada', 'ada@example.org', 0)`,
		`INSERT INTO host (fqdn, created_at) VALUES ('a.example.org', 0), ('b.example.org', 0)`,
		`INSERT INTO host_person (fqdn, person_id) VALUES ('a.example.org', 3)`,
		`INSERT INTO acme_id (id, fqdn, created_at, kid) VALUES (5, 'a.example.org', 0, 'k')`,
		`INSERT INTO acme_id_name (acme_id, fqdn) VALUES (5, 'a.example.org'), (5, 'b.example.org')`,
	}, func(t *testing.T, s *Store) {
		ctx := t.Context()
		if err := s.AddPerson(ctx, Person{Login: "bob", Created: day}); err != nil {
			t.Fatal(err)
		}
		ada, err := s.Person(ctx, "ada")
		if err != nil || ada.ID != 3 || !slices.Equal(ada.Hosts, []string{"a.example.org"}) {
			t.Errorf("%+v, %v", ada, err)
		}
		if bob, err := s.Person(ctx, "bob"); err != nil || bob.ID == 3 || len(bob.Hosts) > 0 {
			t.Errorf("%+v, %v", bob, err)
		}
		for fqdn, team := range map[string]bool{"a.example.org": false, "b.example.org": true} {
			if h, err := s.Host(ctx, fqdn); err != nil || h.Team != team || !slices.Equal(h.ACMEIDs, []string{"a.example.org"}) {
				t.Errorf("%+v, %v", h, err)
			}
		}
		c, err := s.Coverage(ctx, 5, []string{"a.example.org", "b.example.org", "c.example.org"})
		if want := map[string]CoveredName{"a.example.org": {Shared: true}, "b.example.org": {Team: true}}; err != nil || !c.Edited || !maps.Equal(c.Names, want) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
