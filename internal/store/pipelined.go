package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// pipelined is a connector to PostgreSQL whose transactions take fewer round trips: BEGIN,
// and the statements whose results nobody waits for (see [unawaited]), go out together
// with the next statement whose result somebody does, or with COMMIT.
type pipelined struct{ driver.Connector }

func (p pipelined) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &pipelinedConn{Conn: c.(*stdlib.Conn)}, nil
}

type unawaitedKey struct{}

// unawaited marks the ExecContext of a statement, inside a transaction, as one of which
// only an error is of interest, at the latest at the commit. It says that no row changed.
func unawaited(ctx context.Context) context.Context {
	return context.WithValue(ctx, unawaitedKey{}, true)
}

// pipelinedConn is used by one goroutine at a time, as database/sql promises.
type pipelinedConn struct {
	*stdlib.Conn
	begin bool       // BEGIN has not been sent yet
	later *pgx.Batch // goes out with what comes next; nil outside transactions
}

// BeginTx implements [driver.ConnBeginTx].
func (c *pipelinedConn) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	if o != (driver.TxOptions{}) {
		return nil, errors.New("transactions are as the database has them by default")
	}
	c.begin, c.later = true, new(pgx.Batch)
	return (*pipelinedTx)(c), nil
}

func plain(args []driver.NamedValue) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a.Value
	}
	return out
}

// ExecContext implements [driver.ExecerContext].
func (c *pipelinedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.later != nil && ctx.Value(unawaitedKey{}) != nil {
		c.later.Queue(query, plain(args)...)
		return driver.RowsAffected(0), nil
	}
	if !c.waiting() {
		return c.Conn.ExecContext(ctx, query, args)
	}
	var tag pgconn.CommandTag
	err := c.flush(ctx, query, args, func(r pgx.BatchResults) (err error) {
		tag, err = r.Exec()
		return err
	})
	return driver.RowsAffected(tag.RowsAffected()), err
}

// QueryContext implements [driver.QueryerContext].
func (c *pipelinedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !c.waiting() {
		return c.Conn.QueryContext(ctx, query, args)
	}
	rows := new(readRows)
	err := c.flush(ctx, query, args, func(r pgx.BatchResults) error {
		got, err := r.Query()
		if err != nil {
			return err
		}
		defer got.Close()
		return rows.read(got)
	})
	return rows, err
}

// waiting tells whether something has not been sent yet.
func (c *pipelinedConn) waiting() bool { return c.begin || c.later != nil && c.later.Len() > 0 }

// flush sends what waits, and behind it a statement.
func (c *pipelinedConn) flush(ctx context.Context, query string, args []driver.NamedValue, result func(pgx.BatchResults) error) error {
	b := new(pgx.Batch)
	if c.begin {
		b.Queue("begin")
	}
	b.QueuedQueries = append(b.QueuedQueries, c.later.QueuedQueries...)
	ahead := b.Len()
	b.Queue(query, plain(args)...)
	c.begin, c.later = false, new(pgx.Batch)
	r := c.Conn.Conn().SendBatch(ctx, b)
	var err error
	for range ahead {
		if _, err = r.Exec(); err != nil {
			break
		}
	}
	if err == nil {
		err = result(r)
	}
	return closed(r, err)
}

// closed ends a batch whose error so far is err.
func closed(r pgx.BatchResults, err error) error {
	if end := r.Close(); err == nil {
		return end
	}
	return err
}

// pipelinedTx is the transaction of its connection.
type pipelinedTx pipelinedConn

// Commit implements [driver.Tx].
func (t *pipelinedTx) Commit() error {
	ctx := context.Background()
	b := t.later
	t.later = nil
	conn := t.Conn.Conn()
	if t.begin {
		if t.begin = false; b.Len() == 0 {
			return nil // nothing was done
		}
		if _, err := conn.Exec(ctx, "begin"); err != nil {
			return err
		}
	}
	b.Queue("commit")
	r := conn.SendBatch(ctx, b)
	var tag pgconn.CommandTag
	var err error
	for range b.Len() {
		if tag, err = r.Exec(); err != nil {
			break
		}
	}
	err = closed(r, err)
	if err == nil && tag.String() == "ROLLBACK" {
		return errors.New("the transaction was given up because a statement in it had failed")
	}
	if err != nil && !conn.IsClosed() {
		conn.Exec(ctx, "rollback")
	}
	return err
}

// Rollback implements [driver.Tx].
func (t *pipelinedTx) Rollback() error {
	begun := !t.begin
	t.begin, t.later = false, nil
	if !begun || t.Conn.Conn().IsClosed() {
		return nil
	}
	_, err := t.Conn.Conn().Exec(context.Background(), "rollback")
	return err
}

// readRows are rows that have been read.
type readRows struct {
	columns []string
	rows    [][]any
}

// read reads values of the types that our tables have.
func (r *readRows) read(rows pgx.Rows) error {
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		for i, v := range values {
			switch v := v.(type) {
			case nil, int64, string, bool, []byte:
			case int32:
				values[i] = int64(v)
			default:
				return fmt.Errorf("column %d is a %T", i+1, v)
			}
		}
		r.rows = append(r.rows, values)
	}
	for _, f := range rows.FieldDescriptions() {
		r.columns = append(r.columns, f.Name)
	}
	return rows.Err()
}

// Columns implements [driver.Rows].
func (r *readRows) Columns() []string { return r.columns }

// Close implements [driver.Rows].
func (r *readRows) Close() error { return nil }

// Next implements [driver.Rows].
func (r *readRows) Next(dest []driver.Value) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	for i, v := range r.rows[0] {
		dest[i] = v
	}
	r.rows = r.rows[1:]
	return nil
}
