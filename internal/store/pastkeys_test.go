package store

import (
	"strings"
	"testing"
)

func TestTheKeysThatAnAccountHadAreKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		a, other := newTestAccount(t, s, "key0"), newTestAccount(t, s, "other0")
		for _, key := range []string{"key1", "key2", "key3"} {
			if err := s.SetAccountKey(t.Context(), a, key, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			a.Thumbprint = key
		}
		if err := s.SetAccountKey(t.Context(), other, "other1", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if got, err := s.PastThumbprints(t.Context(), a.ID); err != nil || strings.Join(got, " ") != "key2 key1 key0" {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := s.PastThumbprints(t.Context(), 77); err != nil || len(got) > 0 {
			t.Errorf("of no account: %v, %v", got, err)
		}
	})
}
