package store

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"testing"

	"vidimus/internal/acme"
)

// What is listed, more than a page of it, is what one finds each by its name.
func TestListsAreOfAllWithAllTheirParts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, login := range []string{"ada", "bela", "cyd"} {
			must(s.AddPerson(ctx, Person{Login: login, Created: day}))
		}
		must(s.AddGroup(ctx, Group{Name: "admins", Members: []string{"ada", "cyd"}}))
		const n = listPage + 20
		for i := range n {
			h := fmt.Sprintf("h%04d.example.org", i)
			parties := []Party{{Name: "ada"}, {Name: "bela"}, {Group: true, Name: "admins"}}[i%3 : i%3+i%2]
			must(s.AddHost(ctx, h, parties, day))
			if i%40 == 0 {
				must(s.AddACMEID(ctx, h, []string{h, "h0000.example.org"}, Credentials{KID: h, HMACKey: []byte("key")}, day))
			}
		}
		a, err := s.ACMEID(ctx, "h0040.example.org")
		must(err)
		must(s.RemoveACMEID(ctx, a.ID, day))
		must(s.AddACMEID(ctx, "h0040.example.org", []string{"h0041.example.org"}, Credentials{KID: "again", HMACKey: []byte("key")}, day))
		b, err := s.ACMEID(ctx, "h0040.example.org")
		must(err)
		must(s.NewBoundAccount(ctx, &Account{Directory: "main", Thumbprint: "key", JWK: []byte("{}"), Status: acme.Valid, Created: day, ACMEID: b.ID, ACMEIDFQDN: b.FQDN}, "again"))

		var hosts, people, ids int
		must(s.EachHost(ctx, func(h Host) error {
			want, err := s.Host(ctx, h.FQDN)
			must(err)
			if hosts++; !reflect.DeepEqual(h, want) {
				t.Errorf("%+v; want %+v", h, want)
			}
			return nil
		}))
		must(s.EachPerson(ctx, func(p Person) error {
			want, err := s.Person(ctx, p.Login)
			must(err)
			if people++; fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", want) {
				t.Errorf("%+v; want %+v", p, want)
			}
			return nil
		}))
		var last ACMEID
		must(s.EachACMEID(ctx, func(a ACMEID) error {
			want, err := s.ACMEIDByID(ctx, a.ID)
			must(err)
			if ids++; fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", want) {
				t.Errorf("%+v; want %+v", a, want)
			}
			if a.FQDN < last.FQDN || a.FQDN == last.FQDN && a.ID <= last.ID {
				t.Errorf("%s comes behind %s", a.FQDN, last.FQDN)
			}
			last = a
			return nil
		}))
		if hosts != n || people != 3 || ids != n/40+2 {
			t.Errorf("%d hosts, %d people, %d ACME-IDs", hosts, people, ids)
		}
	})
}

// BenchmarkLists lists VIDIMUS_LISTED hosts, 1,000 by default, each of one person and with
// an ACME-ID of five names, and ACME-IDs.
func BenchmarkLists(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("VIDIMUS_LISTED"))
	if err != nil {
		n = 1000
	}
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, q := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO host (fqdn, created_at) SELECT printf('h%07d.example.org', i), 0 FROM n`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO acme_id (id, fqdn, created_at, kid) SELECT i, printf('h%07d.example.org', i), 0, i FROM n`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1), k(j) AS (VALUES (0), (1), (2), (3), (4))
			INSERT INTO acme_id_name (acme_id, name, fqdn) SELECT i, printf('h%07d.example.org', (i + j) % $1 + 1), printf('h%07d.example.org', (i + j) % $1 + 1) FROM n, k`,
		`INSERT INTO party (id, kind, name) SELECT 1, 'person', 'ada' WHERE $1 > 0`,
		`INSERT INTO host_party (fqdn, party_id) SELECT fqdn, 1 FROM host WHERE $1 > 0`,
	} {
		if _, err := s.write.ExecContext(b.Context(), q, n); err != nil {
			b.Fatal(err)
		}
	}
	for name, list := range map[string]func() (int, error){
		"hosts": func() (got int, err error) {
			return got, s.EachHost(b.Context(), func(h Host) error { got += len(h.People); return nil })
		},
		"acme-ids": func() (got int, err error) {
			return got, s.EachACMEID(b.Context(), func(a ACMEID) error { got += len(a.Names) / 5; return nil })
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := list(); err != nil || got != n {
					b.Fatal(got, err)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MiB-in-use")
		})
	}
}
