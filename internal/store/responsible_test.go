package store

import (
	"errors"
	"slices"
	"testing"

	"vidimus/internal/audit"
)

func TestPeopleOfAHostChange(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for _, login := range []string{"ada", "bob"} {
			if err := s.AddPerson(t.Context(), Person{Login: login, Created: day}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AddHost(t.Context(), "www.example.org", []Party{{Name: "ada"}}, day); err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			fqdn        string
			add, remove []string
			err         error
			then        []string
		}{
			{"www.example.org", []string{"bob"}, nil, nil, []string{"ada", "bob"}},
			{"www.example.org", []string{"bob"}, []string{"ada"}, nil, []string{"bob"}},
			{"www.example.org", []string{"ada"}, []string{"nobody"}, ErrNotFound, []string{"bob"}},
			{"www.example.org", []string{"ada", "nobody"}, []string{"bob"}, ErrNotFound, []string{"bob"}},
			{"nowhere.example.org", []string{"ada"}, nil, ErrNotFound, []string{"bob"}},
		} {
			if err := s.ChangeParties(t.Context(), x.fqdn, people(x.add), people(x.remove), false); !errors.Is(err, x.err) {
				t.Errorf("%s +%v -%v: %v, want %v", x.fqdn, x.add, x.remove, err, x.err)
			}
			if h, err := s.Host(t.Context(), "www.example.org"); err != nil || !slices.Equal(h.People, x.then) {
				t.Errorf("%s +%v -%v: %v, %v; want %v", x.fqdn, x.add, x.remove, h.People, err, x.then)
			}
		}
		n, err := one(t.Context(), s.read, scanInt, `SELECT COUNT(*) FROM audit WHERE action = $1 AND object = $2`, string(audit.HostPeople), "www.example.org")
		if err != nil || n != 2 {
			t.Errorf("%d events, %v; want one for each change", n, err)
		}
	})
}

func people(logins []string) (all []Party) {
	for _, l := range logins {
		all = append(all, Party{Name: l})
	}
	return all
}
