package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

func TestStatisticsTellWhatIsOnRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx, now := t.Context(), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		if _, err := s.Statistics(ctx); !errors.Is(err, ErrNotFound) {
			t.Fatalf("before the first count: %v", err)
		}
		if due, err := s.StatisticsDue(ctx, now); err != nil || !due {
			t.Fatalf("the first count is due: %v, %v", due, err)
		}
		for _, fqdn := range []string{"a.example.org", "b.example.org", "c.example.org"} {
			if err := s.AddHost(ctx, fqdn, nil, now); err != nil {
				t.Fatal(err)
			}
		}
		shard, err := s.TakePlaces(ctx, "main", "01", "", 10, 100, now)
		if err != nil {
			t.Fatal(err)
		}
		account := newTestAccount(t, s, "key").ID
		f, err := s.Fill(ctx)
		if err != nil {
			t.Fatal(err)
		}
		certificate := func(issued, ends time.Time, client any) []any {
			return []any{fmt.Sprintf("56%012x%022x", issued.UnixMilli(), 1), "main", shard.ID, []byte{}, []byte("der"), []byte("spki"),
				issued.UnixMilli(), ends.UnixMilli(), issued.UnixMilli(), client}
		}
		day := 24 * time.Hour
		old, soon, later := certificate(now.Add(-100*day), now.Add(-10*day), nil), certificate(now.Add(-3*day), now.Add(3*day), int64(7)), certificate(now.Add(-time.Hour), now.Add(30*day), int64(7))
		order := func(id int64, at time.Time, problem any) []any {
			return []any{id, account, "invalid", "[]", "", problem, at.UnixMilli(), at.UnixMilli()}
		}
		if err := f.Add(ctx,
			Rows{"client", []string{"id", "user_agent"}, [][]any{{int64(7), "test/1.0"}}},
			Rows{"certificate", []string{"serial", "issuer", "shard_id", "tbs", "der", "spki", "not_before", "not_after", "created_at", "client_id"}, [][]any{old, soon, later}},
			Rows{"certificate_name", []string{"value", "serial"}, [][]any{{"a.example.org", old[0]}, {"b.example.org", soon[0]}, {"b.example.org", later[0]}}},
			Rows{"revocation", []string{"id", "issuer", "serial", "reason", "revoked_at"}, [][]any{{int64(1), "main", old[0], int64(0), now.Add(-95 * day).UnixMilli()},
				{int64(2), "main", soon[0], int64(4), now.Add(-2 * day).UnixMilli()}}},
			Rows{"acme_order", []string{"id", "account_id", "status", "identifiers", "replaces", "error", "created_at", "expires_at"}, [][]any{
				order(10, now.Add(-200*day), toJSON(acme.Problemf(acme.CAA, "long ago"))), order(20, now.Add(-2*day), toJSON(acme.Problemf(acme.DNS, "x"))),
				order(30, now.Add(-2*day), toJSON(acme.Problemf(acme.DNS, "y"))), order(35, now.Add(-day), nil), order(40, now.Add(-time.Minute), toJSON(acme.Problemf(acme.Connection, "z")))}},
		); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.CountStatistics(ctx, now); err != nil {
			t.Fatal(err)
		}
		st, err := s.Statistics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if st.Hosts != 3 || st.HostsWithout != 1 || st.HostsEnded != 1 || st.Valid != 2 || st.Revoked != 2 || !st.At.Equal(now) {
			t.Errorf("got %+v", st)
		}
		if len(st.Weeks) != 13 || st.Weeks[0].Ending != 1 || st.Weeks[0].Hosts != 0 || st.Weeks[4].Ending != 1 || st.Weeks[4].Hosts != 1 {
			t.Errorf("by week: %+v", st.Weeks)
		}
		got := fmt.Sprint(st.Days[89-3], st.Days[89-2], st.Days[89], st.Clients)
		if want := "{2026-11-18 1 0 map[7:1] map[]} {2026-11-19 0 1 map[] map[dns:2]} {2026-11-21 1 0 map[7:1] map[connection:1]} map[7:test/1.0]"; len(st.Days) != 90 || got != want {
			t.Errorf("by day:\n%s\nwant\n%s", got, want)
		}

		// Nothing was done since, then something was; a day that is over stays as it was counted.
		if due, err := s.StatisticsDue(ctx, now.Add(time.Hour)); err != nil || due {
			t.Errorf("nothing was done, and it is due: %v, %v", due, err)
		}
		if err := s.Record(ctx, audit.Event{Action: audit.ServerStarted}); err != nil {
			t.Fatal(err)
		}
		if err := s.SealAudit(ctx); err != nil {
			t.Fatal(err)
		}
		if due, err := s.StatisticsDue(ctx, now.Add(time.Minute)); err != nil || due {
			t.Errorf("due after a minute: %v, %v", due, err)
		}
		if due, err := s.StatisticsDue(ctx, now.Add(time.Hour)); err != nil || !due {
			t.Errorf("something was done, and it is due: %v, %v", due, err)
		}
		if err := s.CountStatistics(ctx, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		again, err := s.Statistics(ctx)
		if err != nil || fmt.Sprint(again.Days) != fmt.Sprint(st.Days) {
			t.Errorf("the days changed: %v\n%+v", err, again.Days)
		}
	})
}
