package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
)

func TestAccountsAreSelectedAndPaged(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i, a := range []Account{
			{Directory: "main-open", Contact: []string{"mailto:Ada@example.org"}},
			{Directory: "main-open", Contact: []string{"mailto:bela@example.org", "mailto:100%_sure@example.org"}},
			{Directory: "main"},
			{Directory: "main-open", Contact: []string{"mailto:adam@example.org"}},
		} {
			a.Thumbprint, a.JWK, a.Status, a.Created = fmt.Sprintf("key%d", i+1), []byte("{}"), acme.Valid, day
			if err := s.NewAccount(t.Context(), &a); err != nil || a.ID != int64(i+1) {
				t.Fatal(a.ID, err)
			}
		}
		if err := s.RevokeAccount(t.Context(), 2, &acme.Problem{Type: acme.Unauthorized}, "a test"); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			sel   AccountSelection
			after int64
			limit int
			want  string
		}{
			{AccountSelection{}, 0, 10, "1 2 3 4"},
			{AccountSelection{}, 1, 2, "2 3"},
			{AccountSelection{Directories: []string{"main-open"}}, 0, 10, "1 2 4"},
			{AccountSelection{Directories: []string{"main-open", "main"}}, 0, 3, "1 2 3"},
			{AccountSelection{Directories: []string{"nope"}}, 0, 3, ""},
			{AccountSelection{Contacts: []string{"ADA@example.org"}}, 0, 10, "1"},
			{AccountSelection{Contacts: []string{"ada", "bela"}}, 0, 10, "1 2 4"},
			{AccountSelection{Contacts: []string{"100%_"}}, 0, 10, "2"},
			{AccountSelection{Contacts: []string{`b_la`, `%`}}, 0, 10, "2"},
			{AccountSelection{Contacts: []string{`\`}}, 0, 10, ""},
			{AccountSelection{Statuses: []acme.Status{acme.Revoked, acme.Deactivated}}, 0, 10, "2"},
			{AccountSelection{Statuses: []acme.Status{acme.Valid}, Directories: []string{"main-open"}, Contacts: []string{"ada"}}, 1, 10, "4"},
			{AccountSelection{Thumbprints: []string{"key3", "key9"}}, 0, 10, "3"},
			{AccountSelection{ACMEIDs: []string{"www.example.org"}}, 0, 10, ""},
		} {
			all, err := s.Accounts(t.Context(), tt.sel, tt.after, tt.limit)
			var got []string
			for _, a := range all {
				got = append(got, fmt.Sprint(a.ID))
			}
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("%+v behind %d: %s, %v; want %s", tt.sel, tt.after, got, err, tt.want)
			}
		}
	})
}

func TestTheUseOfAnAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := selectable(t, s)
		u, err := s.AccountUse(t.Context(), account, day)
		if err != nil || u.Orders != 0 || !u.LastOrder.IsZero() || u.Certificates != 4 || u.Valid != 2 || strings.Join(u.Newest, " ") != "0d 0a" {
			t.Errorf("%+v, %v", u, err)
		}
		o := Order{Account: account, Status: acme.Ready, Created: day, Expires: day.Add(time.Hour)}
		if err := s.NewOrder(t.Context(), &o, nil); err != nil {
			t.Fatal(err)
		}
		if u, err = s.AccountUse(t.Context(), account, day); err != nil || u.Orders != 1 || !u.LastOrder.Equal(day) {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestAnAccountThatIsRevokedEndsWhatItHasBegun(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		o, z := newTestOrder(t, s, acme.Pending)
		if err := s.RevokeAccount(t.Context(), o.Account, &acme.Problem{Type: acme.Unauthorized, Detail: "ended"}, "ticket 815"); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Account(t.Context(), o.Account); err != nil || got.Status != acme.Revoked {
			t.Errorf("the account is %s, %v", got.Status, err)
		}
		if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != acme.Invalid || got.Error == nil || got.Error.Detail != "ended" {
			t.Errorf("its order is %s, %v, %v", got.Status, got.Error, err)
		}
		if got, err := s.Authz(t.Context(), z.ID); err != nil || got.Status != acme.Deactivated {
			t.Errorf("its authorization is %s, %v", got.Status, err)
		}
		if err := s.RevokeAccount(t.Context(), o.Account, &acme.Problem{}, ""); !errors.Is(err, ErrConflict) {
			t.Errorf("once more: %v; want a conflict", err)
		}
		rows, err := s.AuditUnsealed(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if last := rows[len(rows)-1]; last.Action != "account.revoked" || !strings.Contains(string(last.Detail), "ticket 815") {
			t.Errorf("the audit log ends with %s %s", last.Action, last.Detail)
		}
	})
}

func TestWhatBeginsWithAPrefixIsCompleted(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i := range 121 {
			newTestAccount(t, s, fmt.Sprintf("key%d", i))
		}
		for _, h := range []string{"www.example.org", "www2.example.org", "mail.example.org"} {
			if err := s.AddHost(t.Context(), h, nil, day); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AddACMEID(t.Context(), "www.example.org", []string{"www.example.org"}, Credentials{KID: "kid"}, day); err != nil {
			t.Fatal(err)
		}
		selectable(t, s)
		for _, tt := range []struct {
			from   func(prefix string, limit int) ([]string, error)
			prefix string
			limit  int
			want   string
		}{
			{func(p string, n int) ([]string, error) { return s.HostsFrom(t.Context(), p, n) }, "www", 10, "www.example.org www2.example.org"},
			{func(p string, n int) ([]string, error) { return s.HostsFrom(t.Context(), p, n) }, "", 2, "mail.example.org www.example.org"},
			{func(p string, n int) ([]string, error) { return s.ACMEIDsFrom(t.Context(), p, n) }, "w", 2, "www.example.org"},
			{func(p string, n int) ([]string, error) { return s.SerialsFrom(t.Context(), p, n) }, "0", 2, "0a 0b"},
			{func(p string, n int) ([]string, error) { return s.SerialsFrom(t.Context(), p, n) }, "1", 2, ""},
			{func(p string, n int) ([]string, error) { return s.AccountsFrom(t.Context(), p, n) }, "12", 10, "12 120 121 122"},
			{func(p string, n int) ([]string, error) { return s.AccountsFrom(t.Context(), p, n) }, "", 3, "1 2 3"},
			{func(p string, n int) ([]string, error) { return s.AccountsFrom(t.Context(), p, n) }, "9", 3, "9 90 91"},
			{func(p string, n int) ([]string, error) { return s.AccountsFrom(t.Context(), p, n) }, "0", 3, ""},
			{func(p string, n int) ([]string, error) { return s.AccountsFrom(t.Context(), p, n) }, "x", 3, ""},
		} {
			all, err := tt.from(tt.prefix, tt.limit)
			for i := range all {
				all[i], _, _ = strings.Cut(all[i], "\t")
			}
			if err != nil || strings.Join(all, " ") != tt.want {
				t.Errorf("%q: %s, %v; want %s", tt.prefix, all, err, tt.want)
			}
		}
	})
}
