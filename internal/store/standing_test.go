package store

import (
	"testing"
	"time"

	"vidimus/internal/identifier"
)

// What the portal's pages list is the same on both databases.
func TestHowHostsStand(t *testing.T) { onBoth(t, testHowHostsStand) }

func testHowHostsStand(t *testing.T, s *Store) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.AddPerson(ctx, Person{Login: "ada", Created: day}))
	must(s.AddGroup(ctx, Group{Name: "empty"}))
	ada, err := s.PersonAlone(ctx, "ada")
	must(err)
	must(s.AddHost(ctx, "www.example.org", []Party{{Name: "ada"}}, day))
	must(s.AddHost(ctx, "a_b.example.org", nil, day))
	must(s.AddHost(ctx, "lost.example.org", []Party{{Group: true, Name: "empty"}}, day))
	must(s.AddACMEID(ctx, "www.example.org", []string{"www.example.org"}, Credentials{"kid", []byte("key")}, day))
	id, err := s.ACMEID(ctx, "www.example.org")
	must(err)
	for text, want := range map[string]int{"": 3, "example": 3, "a_b": 1, "_": 1, "%": 0, `\`: 0, "www": 1} {
		if all, err := s.ListHosts(ctx, HostSelection{Contains: text, Limit: 9}); err != nil || len(all) != want {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
	all, err := s.ListHosts(ctx, HostSelection{Limit: 9})
	must(err)
	if !all[0].Team || all[0].Nobody || !all[1].Nobody || all[2].Nobody || all[2].Team {
		t.Errorf("%+v", all)
	}
	for _, sel := range []HostSelection{{Person: ada.ID, Limit: 9}, {Person: ada.ID, Contains: "www", Limit: 9}} {
		if all, err := s.ListHosts(ctx, sel); err != nil || len(all) != 1 || all[0].FQDN != "www.example.org" {
			t.Errorf("%v, %v", all, err)
		}
		if all, err := s.ListACMEIDs(ctx, sel); err != nil || len(all) != 1 || !all[0].Waiting || all[0].Registered || all[0].Suspended || all[0].Names != len(id.Names) {
			t.Errorf("%v, %v", all, err)
		}
	}
	client, err := s.Client(ctx, "client/1")
	must(err)
	if again, err := s.Client(ctx, "client/1"); err != nil || again != client {
		t.Error(again, client, err)
	}
	account := Account{Directory: "main", Thumbprint: "t", JWK: []byte("{}"), Status: "valid", Created: day, ACMEID: id.ID, ACMEIDFQDN: id.FQDN}
	must(s.NewBoundAccount(ctx, &account, "kid"))
	for i, issuer := range []string{"main", "main", "staging"} {
		c := Certificate{Serial: []string{"10", "11", "12"}[i], Issuer: issuer, Account: account.ID, Client: client, TBS: []byte("tbs"), SPKI: []byte("spki"),
			Names: []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}}, NotBefore: day, NotAfter: day.Add(time.Hour), Created: day}
		must(s.BeginIssuance(ctx, c, ""))
		must(s.FinishIssuance(ctx, c.Serial, []byte("der"), day))
	}
	newest, err := s.Newest(ctx, []string{"www.example.org", "*.example.org", "a_b.example.org"}, []string{"staging"})
	must(err)
	if c := newest["www.example.org"]; len(newest) != 1 || c.Serial != "11" || c.Client != "client/1" || c.ACMEID != "www.example.org" {
		t.Errorf("%+v", newest)
	}
	if all, err := s.CertificatesOf(ctx, "www.example.org", 2); err != nil || len(all) != 2 || all[0].Serial != "12" {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := s.CertificatesOfACMEID(ctx, id.ID, 9); err != nil || len(all) != 3 || all[0].Serial != "12" {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := s.AccountsOfACMEID(ctx, id.ID, 9); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := s.AuditOf(ctx, "www.example.org", 9); err != nil || len(all) != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	covering, err := s.ACMEIDsCovering(ctx, []string{"www.example.org", "example.org"})
	must(err)
	if len(covering) != 1 || !covering[0].Registered || covering[0].Waiting {
		t.Errorf("%+v", covering)
	}
	must(s.SetLanguage(ctx, ada.ID, "de"))
	if p, err := s.PersonAlone(ctx, "ada"); err != nil || p.Language != "de" {
		t.Errorf("%+v, %v", p, err)
	}
}
