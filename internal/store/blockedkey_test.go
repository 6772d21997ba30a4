package store

import (
	"errors"
	"testing"
)

func TestAnOperatorBlocksAndUnblocksAKey(t *testing.T) { onBoth(t, blocksAndUnblocks) }

func blocksAndUnblocks(t *testing.T, s *Store) {
	ctx := t.Context()
	a, b := []byte("a"), []byte("b")
	if err := s.BlockKeyFor(ctx, b, "found in a firmware", day); err != nil {
		t.Fatal(err)
	}
	if err := s.BlockKeyFor(ctx, b, "again", day); !errors.Is(err, ErrConflict) {
		t.Errorf("blocking again: %v; want a conflict", err)
	}
	if err := s.BlockKey(ctx, a, day); err != nil {
		t.Fatal(err)
	}
	all, err := s.BlockedKeys(ctx)
	if err != nil || len(all) != 2 || all[0].Why != "" || string(all[1].SPKI) != "b" || all[1].Why != "found in a firmware" || !all[1].Blocked.Equal(day) {
		t.Errorf("blocked are %+v, %v", all, err)
	}
	if err := s.UnblockKey(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := s.UnblockKey(ctx, b); !errors.Is(err, ErrNotFound) {
		t.Errorf("unblocking again: %v; want not found", err)
	}
	if blocked, err := s.KeyBlocked(ctx, b); err != nil || blocked {
		t.Errorf("still blocked: %v, %v", blocked, err)
	}
}
