package store

import (
	"context"
	"database/sql"
	"testing"

	"vidimus/internal/audit"
)

// What an event costs beside its change: writing it, and sealing it later.
func BenchmarkAudit(b *testing.B) {
	s, err := Open(b.Context(), b.TempDir()+"/bench.db")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const together = 512
	e := audit.Event{Action: audit.CertificateIntended, Object: "4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a", Detail: audit.Detail{
		"issuer": "main", "names": []string{"www.example.org"}, "order": 12345, "account": 17}}
	ctx := audit.With(b.Context(), audit.Actor{Account: 17, ACMEID: "www.example.org", Address: "192.0.2.1:12345", Request: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})
	write := func(n int) {
		if err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			for range n {
				if err := record(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("write", func(b *testing.B) {
		for n := b.N; n > 0; n -= together {
			write(min(n, together))
		}
	})
	b.Run("seal", func(b *testing.B) {
		for n := b.N; n > 0; n -= together {
			b.StopTimer()
			write(min(n, together))
			b.StartTimer()
			if err := s.SealAudit(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
