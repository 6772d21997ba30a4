package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// placed is an order of the account with the authorizations, fresh ones for the names.
func placed(t *testing.T, s *Store, account int64, expires time.Time, authzs ...*Authz) Order {
	t.Helper()
	o := Order{Account: account, Status: acme.Pending, Created: expires.Add(-time.Hour), Expires: expires}
	for _, a := range authzs {
		o.Identifiers = append(o.Identifiers, a.Identifier)
	}
	if err := s.NewOrder(t.Context(), &o, authzs); err != nil {
		t.Fatal(err)
	}
	return o
}

func pendingAuthz(account int64, name string, expires time.Time) *Authz {
	return &Authz{Account: account, Identifier: identifier.Identifier{Type: identifier.DNS, Value: name}, Status: acme.Pending, Created: day,
		Expires: expires, Challenges: []Challenge{{Type: acme.HTTP01, Token: name, Status: acme.Pending}}}
}

func removeAll(t *testing.T, s *Store, before time.Time, limit int) (all Removed) {
	t.Helper()
	for range 100 {
		stale, err := s.Stale(t.Context(), before)
		if err != nil {
			t.Fatal(err)
		}
		r, more, err := s.RemoveStale(t.Context(), before, limit)
		if err != nil {
			t.Fatal(err)
		}
		all.Orders, all.Authzs, all.Windows = all.Orders+r.Orders, all.Authzs+r.Authzs, all.Windows+r.Windows
		if !stale && (more || r != Removed{}) {
			t.Fatalf("nothing was stale, but %+v was removed", r)
		}
		if !more {
			if stale, err := s.Stale(t.Context(), before); err != nil || stale {
				t.Fatalf("something is left: %v, %v", stale, err)
			}
			return all
		}
	}
	t.Fatal("it never ends")
	return all
}

func TestStaleRecordsAreRemovedAndWhatIsNeededStays(t *testing.T) {
	for _, limit := range []int{1, 2, 1000} {
		onBoth(t, func(t *testing.T, s *Store) { staleRecordsAreRemoved(t, s, limit) })
	}
}

func staleRecordsAreRemoved(t *testing.T, s *Store, limit int) {
	account := newTestAccount(t, s, "thumbprint").ID
	old, later := day.Add(time.Hour), day.Add(30*24*time.Hour)

	valid := proved(t, s, account, "valid.example.org", later.Sub(day)) // outlives the order that it was for
	forValid := placed(t, s, account, old, reread(t, s, valid))
	stale := pendingAuthz(account, "stale.example.org", old)
	staleOrder := placed(t, s, account, old, stale)
	kept := pendingAuthz(account, "kept.example.org", old)
	withCertificate := placed(t, s, account, old, kept)
	finish(t, s, withCertificate, "aa")
	advance := proved(t, s, account, "advance.example.org", 0) // made in advance, and never used
	running := pendingAuthz(account, "running.example.org", later)
	runningOrder := placed(t, s, account, later, running)
	lateAuthz := pendingAuthz(account, "late.example.org", old)
	late := placed(t, s, account, old, lateAuthz) // behind one that has not expired: next time

	removed := removeAll(t, s, day.Add(24*time.Hour), limit)
	if removed.Orders != 2 || removed.Authzs != 1 {
		t.Errorf("removed %+v; want 2 orders and 1 authorization", removed)
	}
	gone := func(what string, err error, want bool) {
		t.Helper()
		if err != nil && !errors.Is(err, ErrNotFound) || errors.Is(err, ErrNotFound) != want {
			t.Errorf("%s: %v; want it gone: %v", what, err, want)
		}
	}
	order := func(o Order) error { _, err := s.Order(t.Context(), o.ID); return err }
	authz := func(a *Authz) error { _, err := s.Authz(t.Context(), a.ID); return err }
	gone("an order whose authorization is valid", order(forValid), true)
	gone("a valid authorization", authz(valid), false)
	gone("a stale order", order(staleOrder), true)
	gone("its authorization", authz(stale), true)
	gone("an order with a certificate", order(withCertificate), false)
	gone("its authorization", authz(kept), false)
	gone("an order that waits", order(runningOrder), false)
	gone("a stale order behind it", order(late), false)
	if all, err := s.ReusableAuthzs(t.Context(), account, []string{"valid.example.org"}, day.Add(24*time.Hour)); err != nil || len(all) != 1 {
		t.Errorf("reusable: %+v, %v", all, err)
	}
	if all, err := s.OrdersOf(t.Context(), account, 0, 10); err != nil || len(all) != 3 {
		t.Errorf("orders of the account: %v, %v", all, err)
	}

	// Later all has expired, but the newest of each stays, for its number.
	removeAll(t, s, later.Add(24*time.Hour), limit)
	gone("what was valid", authz(valid), true)
	gone("what was made in advance", authz(advance), true)
	gone("an order that waited", order(runningOrder), true)
	gone("its authorization", authz(running), true)
	gone("the newest order", order(late), false)
	gone("the newest authorization", authz(lateAuthz), false)
	gone("an order with a certificate", order(withCertificate), false)
	if next := placed(t, s, account, later, pendingAuthz(account, "next.example.org", later)); next.ID <= late.ID {
		t.Errorf("the number %d is given again", next.ID)
	}
	removeAll(t, s, later.Add(24*time.Hour), limit)
	gone("what was the newest order", order(late), true)
	gone("its authorization", authz(lateAuthz), true)
	gone("the authorization of an order with a certificate", authz(kept), false)
}

// reread is an authorization as it is on record.
func reread(t *testing.T, s *Store, a *Authz) *Authz {
	t.Helper()
	got, err := s.Authz(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	return &got
}

// finish gives an order a certificate.
func finish(t *testing.T, s *Store, o Order, serial string) {
	t.Helper()
	for _, status := range []string{"ready", "processing", "valid"} {
		if err := s.updateOne(t.Context(), `UPDATE acme_order SET status = $1, serial = $2 WHERE id = $3`, status, serial, o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.updateOne(t.Context(), `INSERT INTO certificate (serial, issuer, order_id, account_id, tbs, der, spki, not_before, not_after, created_at)
		VALUES ($1, 'main', $2, $3, $4, $4, $4, 0, 1, 0)`, serial, o.ID, o.Account, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestWindowsOfEndedCallsAreRemovedButCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint").ID
		for _, serial := range []string{"aa", "ab", "ac"} {
			finish(t, s, placed(t, s, account, day, pendingAuthz(account, serial+".example.org", day)), serial)
		}
		newer := placed(t, s, account, day, pendingAuthz(account, "aa.example.org", day))
		if err := s.updateOne(t.Context(), `UPDATE certificate SET replaced_by = $1 WHERE serial = 'aa'`, newer.ID); err != nil {
			t.Fatal(err)
		}
		for _, until := range []time.Time{day, {}} {
			call, err := s.NewRenewalCall(t.Context(), RenewalCall{Selection: "all", Created: day, Until: until})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.AddRenewalWindows(t.Context(), call, []RenewalWindow{{Serial: "aa", Start: day, End: day}, {Serial: "ab", Start: day, End: day}, {Serial: "ac", Start: day, End: day}}); err != nil {
				t.Fatal(err)
			}
		}
		before, err := s.RenewalCalls(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r := removeAll(t, s, day.Add(time.Hour), 2); r.Windows != 3 {
			t.Errorf("removed %+v; want the 3 windows of the call that has ended", r)
		}
		after, err := s.RenewalCalls(t.Context())
		if err != nil || len(after) != 2 || after[0] != before[0] || after[1] != before[1] || after[1].Certificates != 3 || after[1].Replaced != 1 {
			t.Errorf("the calls were %+v and are %+v, %v", before, after, err)
		}
		if w, err := s.RenewalWindow(t.Context(), "ab", day); err != nil || w.Serial != "ab" {
			t.Errorf("the window of the call that holds: %+v, %v", w, err)
		}
	})
}

func TestServersThatCleanUpAtOnceRemoveEachRecordOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint").ID
		const n = 40
		for range n + 1 {
			placed(t, s, account, day, pendingAuthz(account, "a.example.org", day), pendingAuthz(account, "b.example.org", day))
		}
		counts := make(chan Removed, 100)
		clean := func() error {
			for {
				r, more, err := s.RemoveStale(t.Context(), day.Add(time.Hour), 3)
				if err != nil || !more {
					return err
				}
				counts <- r
			}
		}
		for _, err := range race(clean, clean, clean) {
			if err != nil {
				t.Error(err)
			}
		}
		close(counts)
		var orders, authzs int64
		for r := range counts {
			orders, authzs = orders+r.Orders, authzs+r.Authzs
		}
		if left, err := s.OrdersOf(t.Context(), account, 0, 100); err != nil || len(left) != 1 || orders > n {
			t.Errorf("%d orders and %d authorizations were removed, %v are left, %v", orders, authzs, left, err)
		}
	})
}

// All that the clean-up asks is found by an index, also what SQLite asks by itself to
// see that nothing refers to what is removed.
func TestCleanUpGoesByIndexes(t *testing.T) {
	s := openNew(t)
	for _, c := range []struct {
		query string
		args  []any
	}{
		{oldOrdersQuery, []any{1}},
		{oldAuthzsQuery, []any{1}},
		{removeOrdersQuery, []any{1, 2, 3}},
		{unlinkQuery, []any{1, 2}},
		{removeAuthzQuery, []any{1, 2}},
		{removeAuthzsQuery, []any{1, 2, 3}},
		{endedWindowsQuery, []any{1, 2}},
		{`SELECT 1 FROM certificate WHERE order_id = $1`, []any{1}},
		{`SELECT 1 FROM certificate WHERE replaced_by = $1`, []any{1}},
		{`SELECT 1 FROM order_authz WHERE authz_id = $1`, []any{1}},
	} {
		for line := range strings.Lines(plan(t, s, c.query, c.args...)) {
			if strings.HasPrefix(strings.TrimSpace(line), "SCAN") && !strings.Contains(line, "CONSTANT ROW") {
				t.Errorf("%s\nscans: %s", c.query, line)
			}
		}
	}
	rows, err := s.read.QueryContext(t.Context(), `SELECT m.name, f."from" FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table' AND f."table" IN ('acme_order', 'authz')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	known := map[string]bool{"certificate.order_id": true, "certificate.replaced_by": true, "order_authz.authz_id": true}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		if !known[table+"."+column] {
			t.Errorf("%s.%s refers to what is removed, and is not looked at here", table, column)
		}
		delete(known, table+"."+column)
	}
	if err := rows.Err(); err != nil || len(known) > 0 {
		t.Errorf("no references from %v, %v", known, err)
	}
}
