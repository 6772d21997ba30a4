package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"vidimus/internal/store/postgrestest"
)

func block(ctx context.Context, tx *sql.Tx, key string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO blocked_key (spki, blocked_at) VALUES ($1, 0)`, []byte(key))
	return err
}

// Whatever fails, wherever it is sent, all of a transaction is made or nothing.
func TestPipelinedTransactionIsAllOrNothing(t *testing.T) {
	s := openAt(t, postgrestest.URL(t)+"&pool_max_conns=1") // each finds the connection as the one before left it
	if err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return block(ctx, tx, "taken") }); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	tests := []struct {
		name string
		fn   func(ctx context.Context, tx *sql.Tx) error
		want error // or nil; then key is there
	}{
		{"nothing", func(context.Context, *sql.Tx) error { return nil }, nil},
		{"nothing, and it fails", func(context.Context, *sql.Tx) error { return no }, no},
		{"one", func(ctx context.Context, tx *sql.Tx) error { return block(ctx, tx, "one") }, nil},
		{"one that nobody waits for", func(ctx context.Context, tx *sql.Tx) error {
			return block(unawaited(ctx), tx, "one that nobody waits for")
		}, nil},
		{"both", func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(block(unawaited(ctx), tx, "another"), block(ctx, tx, "both"))
		}, nil},
		{"failed first", func(ctx context.Context, tx *sql.Tx) error { return block(ctx, tx, "taken") }, ErrConflict},
		{"failed second", func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(block(ctx, tx, "failed second"), block(ctx, tx, "taken"))
		}, ErrConflict},
		{"failed unseen", func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(block(ctx, tx, "failed unseen"), block(unawaited(ctx), tx, "taken"), block(unawaited(ctx), tx, "more"))
		}, ErrConflict},
		{"given up", func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(block(ctx, tx, "given up"), block(unawaited(ctx), tx, "more"), no)
		}, no},
	}
	for _, tt := range tests {
		if err := s.update(t.Context(), tt.fn); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v", tt.name, err, tt.want)
		}
		if !strings.HasPrefix(tt.name, "nothing") {
			wantBlocked(t, s, tt.name, tt.want == nil)
		}
	}
	wantBlocked(t, s, "another", true)
	wantBlocked(t, s, "more", false)
	// An error that is not passed on doesn't make a commit of what has been rolled back.
	err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_ = block(ctx, tx, "swallowed")
		_ = block(ctx, tx, "taken")
		return nil
	})
	if err == nil {
		t.Error("a transaction with a failed statement is committed")
	}
	wantBlocked(t, s, "swallowed", false)
}

func TestFirstQueryOfATransactionHasEachType(t *testing.T) {
	s := openAt(t, postgrestest.URL(t))
	err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		var number, small int64
		var text string
		var yes bool
		var raw []byte
		var none sql.NullString
		err := tx.QueryRowContext(ctx, `SELECT CAST(5000000000 AS BIGINT), 7, CAST($1 AS TEXT), TRUE, CAST($2 AS BYTEA), CAST(NULL AS TEXT)`, "täxt", []byte{0, 255}).
			Scan(&number, &small, &text, &yes, &raw, &none)
		if number != 5_000_000_000 || small != 7 || text != "täxt" || !yes || !bytes.Equal(raw, []byte{0, 255}) || none.Valid {
			t.Errorf("%d %d %q %v %x %v", number, small, text, yes, raw, none)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		all, err := collect(ctx, tx, scanID, `SELECT generate_series(CAST(1 AS BIGINT), $1)`, 3)
		if len(all) != 3 || all[2] != 3 {
			t.Errorf("%v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
