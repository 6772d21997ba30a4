package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// Each filter finds what a look at every certificate does, page by page, in its order.
func TestCertificatesAreListedByAllThatPeopleAskFor(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		all, person := variousCertificates(t, s)
		fits := func(f CertificateFilter, c ListedCertificate, revoked bool) bool {
			has := func(hosts ...string) bool {
				return slices.ContainsFunc(c.Names, func(id identifier.Identifier) bool { return slices.Contains(hosts, id.Base().Value) })
			}
			state := Valid
			switch {
			case revoked:
				state = Revoked
			case !c.NotAfter.After(f.Now):
				state = Expired
			}
			return (f.Person == 0 || has("a.example.org", "b.example.org")) && (f.Host == "" || has(strings.TrimPrefix(f.Host, "*."))) &&
				(f.Key == nil || slices.Equal(f.Key, c.SPKI)) && (f.ACMEID == "" || f.ACMEID == c.ACMEID) && (f.Issuer == "" || f.Issuer == c.Issuer) &&
				(f.State == "" || f.State == state) && (f.From.IsZero() || !c.NotAfter.Before(f.From)) && (f.Before.IsZero() || c.NotAfter.Before(f.Before))
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		found := 0
		for range 200 {
			f := CertificateFilter{Now: day, Issuers: []string{"main", "other"}}
			some := func(set ...func()) {
				for _, fn := range set {
					if rnd.IntN(4) == 0 {
						fn()
					}
				}
			}
			some(func() { f.Person = person }, func() { f.Host = []string{"a.example.org", "*.b.example.org", "c.example.org"}[rnd.IntN(3)] },
				func() { f.Key = []byte{byte(rnd.IntN(3))} }, func() { f.ACMEID = "a.example.org" }, func() { f.Issuer = []string{"main", "other", "none"}[rnd.IntN(3)] },
				func() { f.State = []CertificateState{Valid, Expired, Revoked}[rnd.IntN(3)] }, func() { f.From = day.AddDate(0, 0, rnd.IntN(20)-10) },
				func() { f.Before = day.AddDate(0, 0, rnd.IntN(20)-10) })
			byExpiry, desc := f.ByExpiry()
			var want []ListedCertificate
			for _, c := range all {
				if fits(f, c.ListedCertificate, c.revoked) {
					want = append(want, c.ListedCertificate)
				}
			}
			slices.SortFunc(want, func(a, b ListedCertificate) int {
				switch {
				case !byExpiry:
					return -strings.Compare(a.Serial, b.Serial)
				case desc:
					return -comparePlaces(a.NotAfter.UnixMilli(), b.NotAfter.UnixMilli(), a.Serial, b.Serial)
				}
				return comparePlaces(a.NotAfter.UnixMilli(), b.NotAfter.UnixMilli(), a.Serial, b.Serial)
			})
			found += len(want)
			var got []string
			for after, more := "", true; more; {
				page, next, err := s.ListCertificates(t.Context(), f, after, 7)
				if err != nil {
					t.Fatalf("%+v: %v", f, err)
				}
				for _, c := range page {
					got = append(got, c.Serial+c.ACMEID)
				}
				after, more = next, next != ""
			}
			wanted := make([]string, len(want))
			for i, c := range want {
				wanted[i] = c.Serial + c.ACMEID
			}
			if !slices.Equal(got, wanted) {
				t.Fatalf("%+v:\n%v\nwant\n%v", f, got, wanted)
			}
		}
		if found < 500 {
			t.Errorf("only %d were to be found", found)
		}
		for _, place := range []string{"x", "1-", "-1", "99999999999999999999-a", "'"} {
			if page, next, err := s.ListCertificates(t.Context(), CertificateFilter{State: Valid, Now: day, Issuers: []string{"main"}}, place, 7); err != nil || len(page) > 0 || next != "" {
				t.Errorf("behind %q: %v %q %v", place, page, next, err)
			}
		}
	})
}

type knownCertificate struct {
	ListedCertificate
	revoked bool
}

// variousCertificates makes certificates, and a person who is responsible for a.example.org
// by themselves and for b.example.org by a group.
func variousCertificates(t *testing.T, s *Store) (all []knownCertificate, person int64) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.AddPerson(t.Context(), Person{Login: "ada", Created: day}))
	must(s.AddGroup(t.Context(), Group{Name: "web", Members: []string{"ada"}}))
	for fqdn, p := range map[string]Party{"a.example.org": {Name: "ada"}, "b.example.org": {Group: true, Name: "web"}} {
		must(s.AddHost(t.Context(), fqdn, []Party{p}, day))
	}
	ada, err := s.PersonAlone(t.Context(), "ada")
	must(err)
	must(s.AddACMEID(t.Context(), "a.example.org", []string{"a.example.org"}, Credentials{"kid", []byte("key")}, day))
	id, err := s.ACMEID(t.Context(), "a.example.org")
	must(err)
	a := Account{ACMEID: id.ID, Directory: "main", Thumbprint: "x", JWK: []byte("{}"), Status: acme.Valid, Created: day}
	must(s.NewBoundAccount(t.Context(), &a, "kid"))
	shard, err := s.TakePlaces(t.Context(), "main", "01", "http://ca.test/crl/", 1000, 1000, day)
	must(err)
	rnd := rand.New(rand.NewPCG(3, 4))
	hosts := []string{"a.example.org", "*.a.example.org", "b.example.org", "*.b.example.org", "c.example.org", "d.example.org"}
	for i := range 90 {
		c := knownCertificate{ListedCertificate: ListedCertificate{Certificate: Certificate{Serial: fmt.Sprintf("%04x", i), Issuer: []string{"main", "main", "other"}[rnd.IntN(3)],
			Shard: shard.ID, TBS: []byte("tbs"), SPKI: []byte{byte(rnd.IntN(3))}, Created: day, NotBefore: day.AddDate(0, -1, 0), NotAfter: day.AddDate(0, 0, rnd.IntN(20)-10)}}}
		if rnd.IntN(2) == 0 {
			c.Account, c.ACMEID = a.ID, "a.example.org"
		}
		for _, n := range rnd.Perm(len(hosts))[:1+rnd.IntN(2)] {
			c.Names = append(c.Names, dnsNames(hosts[n])...)
		}
		must(s.BeginIssuance(t.Context(), c.Certificate, ""))
		if rnd.IntN(5) > 0 {
			must(s.FinishIssuance(t.Context(), c.Serial, []byte("der"), day))
		}
		if rnd.IntN(4) == 0 {
			c.revoked = true
			must(s.Revoke(t.Context(), c.Serial, acme.RevocationReason(4), day))
		}
		all = append(all, c)
	}
	responder := all[0].Certificate // in no CRL
	responder.Serial, responder.Shard, responder.Names = "ff", 0, nil
	must(s.BeginIssuance(t.Context(), responder, ""))
	return all, ada.ID
}

func TestACertificateTellsWhatCameOfIt(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		shard, err := s.TakePlaces(t.Context(), "main", "01", "http://ca.test/crl/", 10, 10, day)
		if err != nil {
			t.Fatal(err)
		}
		for i, serial := range []string{"0a", "0b", "0c"} {
			c := Certificate{Serial: serial, Issuer: "main", Shard: shard.ID, TBS: []byte("tbs"), SPKI: []byte("spki"), Created: day, NotBefore: day,
				NotAfter: day.Add(time.Hour), Names: dnsNames([]string{"a.example.org", "a.example.org", "b.example.org"}[i])}
			if i == 0 {
				c.Person, c.Form, c.Names = "ada", []byte("form"), dnsNames("a.example.org", "b.example.org")
			}
			if err := s.BeginIssuance(t.Context(), c, ""); err != nil {
				t.Fatal(err)
			}
			if err := s.FinishIssuance(t.Context(), serial, []byte("der"), day); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Revoke(t.Context(), "0c", acme.KeyCompromise, day); err != nil {
			t.Fatal(err)
		}
		c, err := s.CertificateStory(t.Context(), "0a")
		if err != nil || c.Person != "ada" || c.CRL != shard.URL() || c.InCRL || c.Client != "" || string(c.DER) != "der" {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err := s.CertificateStory(t.Context(), "0c"); err != nil || c.Revoked.IsZero() || c.InCRL || c.Reason != acme.KeyCompromise {
			t.Errorf("%+v, %v", c, err)
		}
		if got, err := s.OtherwiseCovered(t.Context(), "0a", []string{"a.example.org", "b.example.org"}, day); err != nil || !slices.Equal(got, []string{"a.example.org"}) {
			t.Errorf("others cover %v, %v", got, err)
		}
		again := Certificate{Serial: "0d", Issuer: "main", TBS: []byte("tbs"), SPKI: []byte("spki"), Created: day, NotBefore: day, NotAfter: day, Person: "ada", Form: []byte("form")}
		if err := s.BeginIssuance(t.Context(), again, ""); err != ErrConflict {
			t.Errorf("a second certificate for the form: %v", err)
		}
		if c, err := s.CertificateOfForm(t.Context(), []byte("form")); err != nil || c.Serial != "0a" {
			t.Errorf("of the form: %+v, %v", c, err)
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add("1767225600000-5601a1fe86d2", true)
	f.Add("-1", true)
	f.Fuzz(func(t *testing.T, after string, byExpiry bool) {
		p, ok := parsePlace(after, byExpiry)
		if ok && byExpiry && after != "" {
			if again, ok := parsePlace(fmt.Sprintf("%d-%s", p.notAfter, p.serial), true); !ok || again != p {
				t.Errorf("%q is %+v, and again %+v", after, p, again)
			}
		}
	})
}
