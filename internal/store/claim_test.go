package store

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestOneServerClaimsASQLiteDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var all []*Store
	for range 2 {
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		all = append(all, s)
	}
	first, second := all[0], all[1]
	if err := first.Claim(); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(); err == nil || !strings.Contains(err.Error(), "another vidimusd (process ") {
		t.Errorf("a second server: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(); err != nil {
		t.Errorf("when the first has ended: %v", err)
	}
}
