package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"vidimus/internal/audit"
)

// Filling puts rows into an empty database by the hundred thousand, below all rules: only
// what is made up to try things comes this way. Nothing else may write meanwhile, and it
// is used by one goroutine.
type Filling struct {
	store *Store
	head  AuditHead
	next  map[string]int64
}

// Rows are rows of one table. Their values are int64, string, []byte, bool or nil.
type Rows struct {
	Table   string
	Columns []string
	Rows    [][]any
}

// numbered are the tables whose numbers a filling gives itself.
var numbered = []string{"party", "acme_id", "account", "acme_order", "client", "revocation", "audit"}

// Fill begins to fill; [Filling.Close] must end it.
func (s *Store) Fill(ctx context.Context) (*Filling, error) {
	f := &Filling{store: s, next: make(map[string]int64)}
	if s.postgres == nil {
		// Rows go to all places of the indexes, which the usual 2 MB do not hold.
		if _, err := s.write.ExecContext(ctx, `PRAGMA cache_size = -400000`); err != nil {
			return nil, err
		}
	}
	if err := s.SealAudit(ctx); err != nil {
		return nil, err
	}
	var err error
	if f.head, err = s.AuditHead(ctx); err != nil {
		return nil, err
	}
	for _, table := range numbered {
		if f.next[table], err = one(ctx, s.read, scanInt, `SELECT COALESCE(MAX(id), 0) + 1 FROM `+table); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Numbers reserves n numbers of a table, and returns the first.
func (f *Filling) Numbers(table string, n int) int64 {
	first := f.next[table]
	f.next[table] += int64(n)
	return first
}

// Events makes the rows of events, in the order of their time, and seals them.
func (f *Filling) Events(rows []audit.Row) Rows {
	out := Rows{Table: "audit", Columns: []string{"id", "at", "actor", "action", "object", "result", "detail", "position", "hash"}}
	first := f.Numbers("audit", len(rows))
	for i := range rows {
		r := &rows[i]
		r.ID, r.Position, r.Result = first+int64(i), f.head.Position+1, cmp.Or(r.Result, "done")
		r.Hash = r.Sum(f.head.Hash)
		f.head = AuditHead{r.Position, r.Hash}
		out.Rows = append(out.Rows, []any{r.ID, r.At.UnixMilli(), string(r.Actor), string(r.Action), r.Object, r.Result, string(r.Detail), r.Position, r.Hash})
	}
	return out
}

// Add adds rows, in the order given, by one transaction.
func (f *Filling) Add(ctx context.Context, all ...Rows) error {
	if f.store.pool != nil {
		return pgx.BeginFunc(ctx, f.store.pool, func(tx pgx.Tx) error {
			for _, r := range all {
				if _, err := tx.CopyFrom(ctx, pgx.Identifier{r.Table}, r.Columns, pgx.CopyFromRows(r.Rows)); err != nil {
					return fmt.Errorf("filling %s: %w", r.Table, err)
				}
			}
			_, err := tx.Exec(ctx, `UPDATE audit_head SET position = $1, hash = $2 WHERE id = 1`, f.head.Position, f.head.Hash)
			return err
		})
	}
	return f.store.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, r := range all {
			head := `INSERT INTO ` + r.Table + ` (` + strings.Join(r.Columns, ", ") + `) VALUES `
			for chunk := range slices.Chunk(r.Rows, 4*maxTogether) {
				if _, err := tx.ExecContext(ctx, head+rowsOf(len(chunk), make([]string, len(r.Columns))...), slices.Concat(chunk...)...); err != nil {
					return fmt.Errorf("filling %s: %w", r.Table, err)
				}
			}
		}
		return changeOne(ctx, tx, `UPDATE audit_head SET position = $1, hash = $2 WHERE id = 1`, f.head.Position, f.head.Hash)
	})
}

// Close ends the filling: the database gives the next numbers itself, and knows what it
// has.
func (f *Filling) Close(ctx context.Context) error {
	if f.store.postgres == nil {
		_, err := f.store.write.ExecContext(ctx, `PRAGMA cache_size = -2000`)
		_, werr := f.store.write.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
		return errors.Join(err, werr)
	}
	conn, err := f.store.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, table := range numbered {
		if _, err := conn.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('`+table+`', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM `+table+`), FALSE)`); err != nil {
			return err
		}
	}
	// Autovacuum would come later, and with it good plans.
	if _, err := conn.ExecContext(ctx, `SET statement_timeout = 0`); err != nil {
		return err
	}
	defer conn.ExecContext(ctx, `RESET statement_timeout`)
	for _, table := range append([]string{"host", "host_party", "member", "person", "acme_id_name", "certificate", "certificate_name"}, numbered...) {
		if _, err := conn.ExecContext(ctx, `VACUUM (ANALYZE) `+table); err != nil {
			return err
		}
	}
	return nil
}
