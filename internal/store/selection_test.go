package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// selectable records certificates to select from; the last letter of a serial is the
// certificate's.
func selectable(t *testing.T, s *Store) (account int64) {
	t.Helper()
	a := newTestAccount(t, s, "selectable")
	shard, err := s.TakePlaces(t.Context(), "main", "01", "", 10, 10, day)
	if err != nil {
		t.Fatal(err)
	}
	for serial, c := range map[string]Certificate{
		"0a": {Issuer: "main", Account: a.ID, SPKI: []byte("key"), Created: day, Names: dnsNames("www.example.org", "example.org")},
		"0b": {Issuer: "main", SPKI: []byte("other"), Created: day.Add(time.Hour), Names: dnsNames("*.example.org")},
		"0c": {Issuer: "staging", SPKI: []byte("key"), Created: day.Add(2 * time.Hour), Names: dnsNames("myexample.org", "a.b.example.org")},
		"0d": {Issuer: "main", Account: a.ID, SPKI: []byte("d"), Created: day, Names: dnsNames("org")},
		"0e": {Issuer: "main", Account: a.ID, SPKI: []byte("key"), Created: day, NotAfter: day, Names: dnsNames("www.example.org")}, // has ended
		"0f": {Issuer: "main", Account: a.ID, SPKI: []byte("key"), Created: day, Names: dnsNames("www.example.org")},                // will be revoked
	} {
		c.Serial, c.Shard, c.TBS, c.NotBefore = serial, shard.ID, []byte("tbs"), day.Add(-time.Hour)
		if c.NotAfter.IsZero() {
			c.NotAfter = day.AddDate(0, 3, 0)
		}
		if err := s.BeginIssuance(t.Context(), c, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Revoke(t.Context(), "0f", acme.KeyCompromise, day); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func dnsNames(names ...string) (ids []identifier.Identifier) {
	for _, n := range names {
		ids = append(ids, identifier.Identifier{Type: identifier.DNS, Value: n})
	}
	return ids
}

func TestASelectionIsOfWhatFitsAllConditions(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := selectable(t, s)
		for _, tt := range []struct {
			sel  Selection
			want string
		}{
			{Selection{Serials: []string{"0a", "0d", "0f", "77"}}, "0a 0d"},
			{Selection{Names: []string{"www.example.org"}}, "0a"},
			{Selection{Names: []string{"www.example.org", "*.example.org"}}, "0a 0b"},
			{Selection{Trees: []string{"example.org"}}, "0a 0b 0c"},
			{Selection{Trees: []string{"b.example.org", "org"}}, "0a 0b 0c 0d"},
			{Selection{Trees: []string{"a.b.example.org"}}, "0c"},
			{Selection{Keys: [][]byte{[]byte("key")}}, "0a 0c"},
			{Selection{Keys: [][]byte{[]byte("key")}, Issuers: []string{"main"}}, "0a"},
			{Selection{Accounts: []int64{account}}, "0a 0d"},
			{Selection{ACMEIDs: []string{"www.example.org"}}, ""},
			{Selection{IssuedAfter: day.Add(time.Hour)}, "0b 0c"},
			{Selection{IssuedAfter: day.Add(time.Hour), IssuedBefore: day.Add(2 * time.Hour)}, "0b"},
			{Selection{IssuedBefore: day.Add(time.Minute), Accounts: []int64{account}, Trees: []string{"example.org"}}, "0a"},
			{Selection{Issuers: []string{"main"}, Replaceable: true}, ""}, // none is signed
		} {
			tt.sel.Now = day
			var got []string
			for after := ""; ; { // one on each page
				serials, err := s.Selected(t.Context(), tt.sel, after, 1)
				if err != nil {
					t.Fatalf("%s: %v", tt.sel, err)
				}
				if len(serials) == 0 {
					break
				}
				after = serials[0]
				got = append(got, serials...)
			}
			n, err := s.CountSelected(t.Context(), tt.sel)
			if err != nil || strings.Join(got, " ") != tt.want || int(n) != len(got) {
				t.Errorf("%s: %v, counted %d, %v; want %s", tt.sel, got, n, err, tt.want)
			}
		}
		year := day.AddDate(1, 0, 0) // when all have ended
		for _, tt := range []struct {
			sel  Selection
			want string
		}{
			{Selection{Now: year, Any: true}, ""},
			{Selection{Now: day, Any: true}, "0a 0b 0c 0d"},
			{Selection{Now: year, Any: true, History: true}, "0a 0b 0c 0d 0e 0f"},
			{Selection{Now: year, Trees: []string{"example.org"}, History: true}, "0a 0b 0c 0e 0f"},
		} {
			var got []string
			err := s.Certificates(t.Context(), tt.sel, func(c Certificate) error { got = append(got, c.Serial); return nil })
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("%+v: %v, %v; want %s", tt.sel, got, err, tt.want)
			}
		}
		if _, err := s.CountSelected(t.Context(), Selection{Now: day, Replaceable: true}); !errors.Is(err, ErrEverything) {
			t.Errorf("no condition: %v", err)
		}
	})
}

func TestRevokeAllTakesABatch(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		selectable(t, s)
		n, err := s.RevokeAll(t.Context(), []string{"0a", "0b", "0f", "77"}, acme.KeyCompromise, day)
		if err != nil || n != 2 {
			t.Errorf("%d revoked, %v; want the two that were not", n, err)
		}
		for key, want := range map[string]bool{"key": true, "other": true, "d": false} {
			if blocked, err := s.KeyBlocked(t.Context(), []byte(key)); err != nil || blocked != want {
				t.Errorf("key %s blocked: %v, %v", key, blocked, err)
			}
		}
		sh, err := s.Shard(t.Context(), "main")
		if err != nil || sh.Changes != 2 || !sh.Due.Equal(day) {
			t.Errorf("its shard is %+v, %v", sh, err)
		}
		if err := s.Revoke(t.Context(), "0a", 0, day); !errors.Is(err, ErrConflict) {
			t.Errorf("again: %v", err)
		}
	})
}

func TestTheNewestCallThatHoldsDecidesTheWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		selectable(t, s)
		call := func(url string, until time.Time, start time.Time) int64 {
			t.Helper()
			id, err := s.NewRenewalCall(t.Context(), RenewalCall{Selection: "all", ExplanationURL: url, Created: day, Until: until})
			if err != nil {
				t.Fatal(err)
			}
			var windows []RenewalWindow
			for _, serial := range []string{"0a", "0b"} {
				windows = append(windows, RenewalWindow{Serial: serial, Start: start, End: start.Add(time.Hour)})
			}
			for range 2 { // again, as after an error
				if err := s.AddRenewalWindows(t.Context(), id, windows); err != nil {
					t.Fatal(err)
				}
			}
			return id
		}
		is := func(what, serial string, now time.Time, url string, start time.Time) {
			t.Helper()
			w, err := s.RenewalWindow(t.Context(), serial, now)
			if url == "" && errors.Is(err, ErrNotFound) {
				return
			}
			if err != nil || w.ExplanationURL != url || !w.Start.Equal(start) || !w.End.Equal(start.Add(time.Hour)) {
				t.Errorf("%s: %+v, %v; want %q from %s", what, w, err, url, start)
			}
		}
		is("none", "0a", day, "", day)
		first := call("first", time.Time{}, day)
		is("one", "0a", day, "first", day)
		is("another certificate", "0c", day, "", day)
		second := call("second", day.Add(time.Hour), day.Add(time.Minute))
		is("two", "0b", day, "second", day.Add(time.Minute))
		is("the second is over", "0b", day.Add(time.Hour), "first", day)
		if err := s.UndoRenewalCall(t.Context(), second, day); err != nil {
			t.Fatal(err)
		}
		is("the second is undone", "0b", day, "first", day)
		if err := s.UndoRenewalCall(t.Context(), second, day); !errors.Is(err, ErrConflict) {
			t.Errorf("undone twice: %v", err)
		}
		calls, err := s.RenewalCalls(t.Context())
		if err != nil || len(calls) != 2 || calls[1].ID != first || calls[1].Certificates != 2 || calls[0].Undone.IsZero() || !calls[1].Undone.IsZero() || calls[0].Replaced != 0 {
			t.Errorf("the calls are %+v, %v", calls, err)
		}
	})
}

// Each look-up of a request must be by an index, also with a million certificates.
func TestRevocationLooksUpByIndex(t *testing.T) {
	s := openNew(t)
	for _, query := range []string{
		`SELECT ` + shardColumns + ` WHERE path = 'main'`,
		`SELECT ` + shardColumns + ` WHERE ca = '01' AND due_at <= 7 ORDER BY due_at LIMIT 9`,
		`SELECT EXISTS (SELECT 1 FROM certificate WHERE shard_id = 1 AND not_after > 7)`,
		`SELECT c.serial, r.revoked_at, r.reason FROM revocation r JOIN certificate c ON c.serial = r.serial WHERE r.shard_id = 1 AND c.not_after > 7 ORDER BY r.id`,
		`SELECT s.ca FROM certificate c LEFT JOIN crl_shard s ON s.id = c.shard_id LEFT JOIN revocation r ON r.serial = c.serial WHERE c.serial = '0a'`,
		`SELECT w.serial FROM renewal_window w JOIN renewal_call c ON c.id = w.call_id WHERE w.serial = '0a' AND c.undone_at IS NULL ORDER BY w.call_id DESC LIMIT 1`,
		`SELECT c.serial FROM certificate c WHERE c.account_id IN (7) AND c.serial > '0a' ORDER BY c.serial LIMIT 9`,
		`SELECT c.serial FROM certificate c WHERE c.spki IN ('k') AND c.serial > '0a' ORDER BY c.serial LIMIT 9`,
	} {
		rows, err := s.read.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+query)
		if err != nil {
			t.Fatal(err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(plan) {
			if strings.HasPrefix(line, "SCAN") && !strings.HasPrefix(line, "SCAN CONSTANT") || strings.Contains(line, "TEMP B-TREE") {
				t.Errorf("%s\nis by\n%s", query, plan)
			}
		}
	}
}
