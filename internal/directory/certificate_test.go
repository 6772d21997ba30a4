package directory_test

import (
	"testing"
	"time"

	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

func TestWhoMaySeeAndRevokeACertificate(t *testing.T) {
	d := open(t)
	person := func(login string) int64 {
		t.Helper()
		if err := d.Store.AddPerson(t.Context(), store.Person{Login: login, Created: time.Now()}); err != nil {
			t.Fatal(err)
		}
		p, err := d.Store.PersonAlone(t.Context(), login)
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	ada, bob := person("ada"), person("bob")
	for fqdn, logins := range map[string][]string{"a.example.org": {"ada"}, "b.example.org": {"ada", "bob"}, "id.example.org": {"bob"}} {
		if _, err := d.AddHost(t.Context(), fqdn, directory.People(logins)); err != nil {
			t.Fatal(err)
		}
	}
	names := func(values ...string) (ids []identifier.Identifier) {
		for _, v := range values {
			id, err := identifier.Parse(v)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	both := names("a.example.org", "b.example.org")
	person1 := func(id int64) directory.Editor { return directory.Editor{Person: id} }
	for what, c := range map[string]struct {
		e    directory.Editor
		of   directory.Issued
		see  bool
		want directory.Revocable
	}{
		"responsible for all":                   {person1(ada), directory.Issued{Names: both}, true, directory.Revocable{Any: true}},
		"who asked for it":                      {person1(ada), directory.Issued{Names: both, Own: true}, true, directory.Revocable{Any: true, Compromise: true}},
		"who asked, and lost a name":            {person1(bob), directory.Issued{Names: both, Own: true}, true, directory.Revocable{}},
		"responsible for one":                   {person1(bob), directory.Issued{Names: both}, true, directory.Revocable{}},
		"a wildcard's host":                     {person1(ada), directory.Issued{Names: names("*.a.example.org")}, true, directory.Revocable{Any: true}},
		"editor of its ACME-ID":                 {person1(bob), directory.Issued{Names: names("b.example.org"), ACMEID: "id.example.org"}, true, directory.Revocable{Any: true, Compromise: true}},
		"not editor of its ACME-ID":             {person1(ada), directory.Issued{Names: names("b.example.org"), ACMEID: "id.example.org"}, true, directory.Revocable{Any: true}},
		"a host that is gone":                   {person1(ada), directory.Issued{Names: names("gone.example.org"), Own: true}, false, directory.Revocable{}},
		"an address":                            {person1(ada), directory.Issued{Names: names("192.0.2.1")}, false, directory.Revocable{}},
		"no name":                               {person1(ada), directory.Issued{Own: true}, false, directory.Revocable{}},
		"nobody":                                {directory.Editor{}, directory.Issued{Names: both}, false, directory.Revocable{}},
		"operator":                              {directory.Editor{Role: directory.Operator}, directory.Issued{Names: names("gone.example.org")}, true, directory.Revocable{Any: true, Compromise: true}},
		"auditor, though responsible for every": {directory.Editor{Person: ada, Role: directory.Auditor}, directory.Issued{Names: both, Own: true}, true, directory.Revocable{}},
	} {
		got, err := d.MayRevoke(t.Context(), c.e, c.of)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", what, got, err, c.want)
		}
		see, err := d.MaySeeCertificate(t.Context(), c.e, c.of)
		if err != nil || see != c.see {
			t.Errorf("%s: sees it %t, %v", what, see, err)
		}
	}
}
