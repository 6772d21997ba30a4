package store

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
)

// onConn runs fn on one connection, and returns how many statements that keeps then.
func onConn(t *testing.T, s *Store, fn func(c *sql.Conn)) (kept int) {
	t.Helper()
	c, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fn(c)
	if err := c.Raw(func(raw any) error { kept = len(raw.(*preparedConn).idle); return nil }); err != nil {
		t.Fatal(err)
	}
	return kept
}

func queryInt(t *testing.T, c *sql.Conn, query string, args ...any) (n int) {
	t.Helper()
	if err := c.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Error(err)
	}
	return n
}

func TestStatementRunsInsideItself(t *testing.T) {
	const query = `SELECT value FROM json_each($1)`
	kept := onConn(t, openNew(t), func(c *sql.Conn) {
		rows, err := c.QueryContext(t.Context(), query, "[1,2,3]")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for want := 1; rows.Next(); want++ {
			var outer int
			if err := rows.Scan(&outer); err != nil || outer != want {
				t.Errorf("outer row: %d, %v; want %d", outer, err, want)
			}
			if inner := queryInt(t, c, query, fmt.Sprintf("[%d]", 10*want)); inner != 10*want {
				t.Errorf("inner row: %d; want %d", inner, 10*want)
			}
		}
	})
	if kept != 1 {
		t.Errorf("%d statements kept; want 1", kept)
	}
}

func TestStatementIsGoodAfterOneThatFailed(t *testing.T) {
	onConn(t, openNew(t), func(c *sql.Conn) {
		const query = `SELECT json_array_length($1)`
		for _, text := range []string{"[1]", "no JSON", "[1,2]"} {
			var n int
			err := c.QueryRowContext(t.Context(), query, text).Scan(&n)
			if bad := text == "no JSON"; (err != nil) != bad {
				t.Errorf("%s: %v", text, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := c.QueryContext(ctx, `SELECT value FROM json_each($1)`, "[1,2,3]")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		rows.Close()
		if n := queryInt(t, c, `SELECT value FROM json_each($1)`, "[7]"); n != 7 {
			t.Errorf("after one that was cancelled: %d; want 7", n)
		}
	})
}

func TestStatementsKeptAreFew(t *testing.T) {
	kept := onConn(t, openNew(t), func(c *sql.Conn) {
		for i := range 2 * maxPrepared {
			if n := queryInt(t, c, fmt.Sprintf("SELECT %d", i)); n != i {
				t.Errorf("%d; want %d", n, i)
			}
		}
	})
	if kept > maxPrepared {
		t.Errorf("%d statements kept; want at most %d", kept, maxPrepared)
	}
}

func TestStatementSeesTablesThatChangedSince(t *testing.T) {
	s := openNew(t)
	ctx := t.Context()
	const query = `SELECT * FROM blocked_key`
	for i, change := range []string{`INSERT INTO blocked_key (spki, blocked_at) VALUES ('k', 1)`, `ALTER TABLE blocked_key ADD COLUMN more INTEGER`} {
		if _, err := s.write.ExecContext(ctx, change); err != nil {
			t.Fatal(err)
		}
		rows, err := s.read.QueryContext(ctx, query)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		rows.Close()
		if err != nil || len(columns) != 3+i {
			t.Errorf("after %q: %q, %v; want %d columns", change, columns, err, 3+i)
		}
	}
}
