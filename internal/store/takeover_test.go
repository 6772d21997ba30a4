package store

import (
	"context"
	"testing"
	"time"

	"vidimus/internal/acme"
)

func TestOfManyServersOneTakesAValidationOver(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint")
		_, authzs := twoNames(t, s, account) // both processing
		if got, err := s.TakeOver(t.Context(), time.Hour, 10); err != nil || len(got) != 0 {
			t.Fatalf("what has just begun is taken over: %+v, %v", got, err)
		}
		// As if they had begun long ago.
		const age = 10 * time.Minute
		if err := s.updateOne(t.Context(), `UPDATE authz SET started_at = 1 WHERE id = $1`, authzs[0].ID); err != nil {
			t.Fatal(err)
		}
		if err := s.updateOne(t.Context(), `UPDATE authz SET started_at = 2 WHERE id = $1`, authzs[1].ID); err != nil {
			t.Fatal(err)
		}
		abandoned := func(want bool) {
			t.Helper()
			if got, err := s.Abandoned(t.Context(), age); err != nil || got != want {
				t.Errorf("abandoned: %v, %v; want %v", got, err, want)
			}
		}
		abandoned(true)
		seen := make(chan Challenge, 100)
		take := func() error {
			got, err := s.TakeOver(context.Background(), age, 1)
			for _, c := range got {
				seen <- c
			}
			return err
		}
		for _, err := range race(take, take, take, take, take, take) {
			if err != nil {
				t.Error(err)
			}
		}
		close(seen)
		abandoned(false)
		times := make(map[int64]int)
		for c := range seen {
			times[c.ID]++
			if c.Status != acme.Processing || c.Account != account.ID || c.Token == "" {
				t.Errorf("taken over: %+v", c)
			}
		}
		if len(times) != 2 || times[authzs[0].Challenges[0].ID] != 1 || times[authzs[1].Challenges[0].ID] != 1 {
			t.Errorf("taken over how often: %v; want each once", times)
		}
	})
}

// Otherwise those with the lowest numbers would be taken again and again.
func TestWhatWaitsLongestIsTakenOverFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		_, authzs := twoNames(t, s, newTestAccount(t, s, "thumbprint"))
		for i, started := range []int64{2, 1} {
			if err := s.updateOne(t.Context(), `UPDATE authz SET started_at = $1 WHERE id = $2`, started, authzs[i].ID); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{1, 0} {
			if got, err := s.TakeOver(t.Context(), time.Minute, 1); err != nil || len(got) != 1 || got[0].Authz != authzs[i].ID {
				t.Errorf("%+v, %v; want authorization %d", got, err, authzs[i].ID)
			}
		}
	})
}
