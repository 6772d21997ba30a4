package store

import (
	"encoding/json"
	"reflect"
	"testing"

	"vidimus/internal/acme"
)

func TestARecentAuthorizationIsWhatIsOnRecord(t *testing.T) {
	onBoth(t, testARecentAuthorizationIsWhatIsOnRecord)
}

func testARecentAuthorizationIsWhatIsOnRecord(t *testing.T, s *Store) {
	o, z := newTestOrder(t, s, acme.Pending)
	same := func(after string) {
		t.Helper()
		read, err := s.Authz(t.Context(), z.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, lag := range []bool{false, true} {
			recent, err := s.RecentAuthz(t.Context(), z.ID, lag)
			if err != nil || !reflect.DeepEqual(recent, read) {
				t.Errorf("after %s, lag %v:\n%+v, %v, on record is\n%+v", after, lag, recent, err, read)
			}
		}
	}
	remembered := func(want bool, after string) {
		t.Helper()
		if got := s.recent.find(z.ID) != nil; got != want {
			t.Errorf("after %s it is remembered: %v", after, got)
		}
	}
	same("the order")
	remembered(true, "the order")
	c := z.Challenges[0]
	if err := s.StartChallenge(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	same("the start")
	c.Record = json.RawMessage(`{"ms":1}`)
	if err := s.FinishChallenge(t.Context(), c, nil, day, day.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	same("the result")
	remembered(true, "the result")
	if err := s.FinishChallenge(t.Context(), c, nil, day, day.AddDate(0, 0, 1)); err == nil {
		t.Error("a challenge has two results")
	}
	same("a second result")
	if err := s.DeactivateAuthz(t.Context(), z.ID, acme.Valid, acme.Problemf(acme.Unauthorized, "given up")); err != nil {
		t.Fatal(err)
	}
	same("its end")
	remembered(false, "its end")
	o.ID, z = 0, &Authz{Account: z.Account, Identifier: z.Identifier, Status: acme.Pending, Created: day, Expires: day.AddDate(0, 0, 1)}
	if err := s.NewOrder(t.Context(), &o, []*Authz{z}); err != nil {
		t.Fatal(err)
	}
	remembered(true, "another order")
	if err := s.DeactivateAccount(t.Context(), z.Account, acme.Problemf(acme.Unauthorized, "given up")); err != nil {
		t.Fatal(err)
	}
	same("the end of the account")
	remembered(false, "the end of the account")
}

// What another server has changed is not hidden by what this one remembers.
func TestAPendingAuthorizationIsReadWhereServersShareADatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		_, z := newTestOrder(t, s, acme.Pending)
		if _, err := s.read.ExecContext(t.Context(), `UPDATE authz SET status = 'deactivated' WHERE id = $1`, z.ID); err != nil {
			t.Fatal(err)
		}
		want := map[bool]acme.Status{true: acme.Deactivated, false: acme.Pending}[s.Shared()]
		if a, err := s.RecentAuthz(t.Context(), z.ID, false); err != nil || a.Status != want {
			t.Errorf("it is %s, %v; want %s", a.Status, err, want)
		}
	})
}

// Of two changes that are made one after the other, the first may be heard of last.
func TestALateTicketDoesNotBringBackWhatWasChanged(t *testing.T) {
	var r recentAuthzs
	first, second := r.change(1), r.change(1)
	r.changed(second, Authz{ID: 1, Status: acme.Deactivated})
	r.changed(first, Authz{ID: 1, Status: acme.Valid})
	if a := r.find(1); a == nil || a.Status != acme.Deactivated {
		t.Errorf("remembered is %+v", a)
	}
	third := r.change(1)
	r.changed(second, Authz{ID: 1, Status: acme.Deactivated})
	if a := r.find(1); a != nil {
		t.Errorf("while it changes, remembered is %+v", a)
	}
	r.forget()
	r.changed(third, Authz{ID: 1, Status: acme.Valid})
	if a := r.find(1); a != nil {
		t.Errorf("after the end of its account, remembered is %+v", a)
	}
}
