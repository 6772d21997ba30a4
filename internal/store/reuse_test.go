package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// plan tells how SQLite runs a query.
func plan(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		all = append(all, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// A pending order's authorizations are not in the index, so their number costs nothing.
func TestNewOrderFindsReusableAuthorizationsByTheirIndex(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "test.db"))
	for _, n := range []int{1, 3, 100} {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf("h%d.example.org", i)
		}
		query, args := reusableQuery(1, values, day)
		got := plan(t, s, query, args...)
		if !strings.Contains(got, "USING INDEX authz_reusable (account_id=? AND value=? AND expires_at>?)") || strings.Contains(got, "SCAN") {
			t.Errorf("%d names: the plan is\n%s", n, got)
		}
	}
	if got := plan(t, s, supersedeQuery, 1); !strings.Contains(got, "USING INDEX authz_reusable (account_id=? AND value=?)") || strings.Contains(got, "SCAN") {
		t.Errorf("the plan of superseding is\n%s", got)
	}
}

// proved is an authorization of the account by a challenge, beside an order.
func proved(t *testing.T, s *Store, account int64, value string, life time.Duration) *Authz {
	t.Helper()
	z := &Authz{Account: account, Identifier: identifier.Identifier{Type: identifier.DNS, Value: value}, Status: acme.Pending, Reusable: true,
		Created: day, Expires: day.Add(time.Hour), Challenges: []Challenge{{Type: acme.HTTP01, Token: "token", Status: acme.Pending}}}
	if err := s.NewAuthz(t.Context(), z); err != nil {
		t.Fatal(err)
	}
	if life == 0 {
		return z
	}
	if err := s.StartChallenge(t.Context(), z.Challenges[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishChallenge(t.Context(), z.Challenges[0], nil, day, day.Add(life)); err != nil {
		t.Fatal(err)
	}
	return z
}

func TestReusableAreTheNewestProofAndWhatWasMadeInAdvance(t *testing.T) {
	onBoth(t, reusableAreTheNewest)
}

func reusableAreTheNewest(t *testing.T, s *Store) {
	o, _ := newTestOrder(t, s, acme.Pending) // its pending authorization is its own
	other := newTestAccount(t, s, "other")
	proved(t, s, other.ID, "www.example.org", 48*time.Hour)
	proved(t, s, o.Account, "www.example.org", 48*time.Hour)
	newest := proved(t, s, o.Account, "www.example.org", 36*time.Hour)
	inAdvance := proved(t, s, o.Account, "www.example.org", 0)
	ended := proved(t, s, o.Account, "www.example.org", 48*time.Hour)
	if err := s.DeactivateAuthz(t.Context(), ended.ID, acme.Valid, acme.Problemf(acme.Unauthorized, "no")); err != nil {
		t.Fatal(err)
	}
	elsewhere := proved(t, s, o.Account, "mail.example.org", 48*time.Hour)

	list := func(beyond time.Duration, values ...string) (ids []int64) {
		t.Helper()
		all, err := s.ReusableAuthzs(t.Context(), o.Account, values, day.Add(beyond))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			ids = append(ids, a.ID)
		}
		return ids
	}
	// The newest proof had taken the place of the first, and the ended one that of it.
	if got := list(0, "www.example.org"); fmt.Sprint(got) != fmt.Sprint([]int64{inAdvance.ID}) {
		t.Errorf("reusable are %v; want %d alone, not %d", got, inAdvance.ID, newest.ID)
	}
	if got := list(0, "www.example.org", "mail.example.org", "x.example.org"); len(got) != 2 || got[1] != elsewhere.ID {
		t.Errorf("of three names %v are reusable", got)
	}
	if got := list(48*time.Hour, "mail.example.org"); len(got) != 0 {
		t.Errorf("beyond its end %v is reusable", got)
	}
}

func TestAnOrderTakesUpOnlyWhatIsStillThere(t *testing.T) {
	onBoth(t, takesUpWhatIsThere)
}

func takesUpWhatIsThere(t *testing.T, s *Store) {
	account := newTestAccount(t, s, "thumbprint")
	for _, life := range []time.Duration{0, time.Hour} {
		z := proved(t, s, account.ID, "www.example.org", life)
		read, err := s.Authz(t.Context(), z.ID)
		if err != nil {
			t.Fatal(err)
		}
		place := func() error {
			o := Order{Account: account.ID, Status: acme.Pending, Identifiers: []identifier.Identifier{read.Identifier}, Created: day, Expires: day.Add(time.Hour)}
			return s.NewOrder(t.Context(), &o, []*Authz{&read})
		}
		if err := place(); err != nil {
			t.Errorf("%s: %v", read.Status, err)
		}
		if err := s.DeactivateAuthz(t.Context(), read.ID, read.Status, acme.Problemf(acme.Unauthorized, "no")); err != nil {
			t.Fatal(err)
		}
		if err := place(); !errors.Is(err, ErrConflict) {
			t.Errorf("%s, then deactivated: %v; want a conflict", read.Status, err)
		}
	}
}

func TestTheEndOfAnAccountEndsWhatItHasBegun(t *testing.T) {
	onBoth(t, endOfAnAccount)
}

func endOfAnAccount(t *testing.T, s *Store) {
	o, z := newTestOrder(t, s, acme.Pending)
	valid := proved(t, s, o.Account, "www.example.org", time.Hour)
	inAdvance := proved(t, s, o.Account, "mail.example.org", 0)
	done := Order{Account: o.Account, Status: acme.Ready, Identifiers: o.Identifiers, Created: day, Expires: day.Add(time.Hour)}
	if err := s.NewOrder(t.Context(), &done, nil); err != nil {
		t.Fatal(err)
	}
	c := testCertificate("4a", done)
	if err := s.BeginIssuance(t.Context(), c, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishIssuance(t.Context(), c.Serial, []byte("der"), day); err != nil {
		t.Fatal(err)
	}

	if err := s.DeactivateAccount(t.Context(), o.Account, &acme.Problem{Type: acme.Unauthorized, Detail: "it was deactivated"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != acme.Invalid || got.Error == nil {
		t.Errorf("the pending order is %s, %v, %v", got.Status, got.Error, err)
	}
	if got, err := s.Order(t.Context(), done.ID); err != nil || got.Status != acme.Valid {
		t.Errorf("the order with its certificate is %s, %v", got.Status, err)
	}
	for _, id := range []int64{z.ID, valid.ID, inAdvance.ID} {
		if got, err := s.Authz(t.Context(), id); err != nil || got.Status != acme.Deactivated {
			t.Errorf("authorization %d is %s, %v", id, got.Status, err)
		}
	}
	if err := s.DeactivateAccount(t.Context(), o.Account, &acme.Problem{}); !errors.Is(err, ErrConflict) {
		t.Errorf("once more: %v; want a conflict", err)
	}
}
