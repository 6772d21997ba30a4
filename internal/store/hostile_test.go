package store

import (
	"errors"
	"testing"
)

// What a client makes up is not found, whatever bytes it is of.
func TestWhatIsNoTextIsNotFound(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		for _, text := range []string{"\x00", "a\x00b", "\xff", "\xc3", "\ufffd"} {
			for what, find := range map[string]func() error{
				"certificate": func() error { _, err := s.Certificate(ctx, text); return err },
				"status":      func() error { _, err := s.CertificateStatus(ctx, text); return err },
				"ACME-ID":     func() error { _, err := s.ACMEIDByKID(ctx, text); return err },
				"shard":       func() error { _, err := s.Shard(ctx, text); return err },
				"account":     func() error { _, err := s.AccountByKey(ctx, "main", text); return err },
			} {
				if err := find(); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s %q: %v", what, text, err)
				}
			}
		}
	})
}
