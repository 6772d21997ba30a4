package store

import (
	"context"
	"database/sql/driver"
)

// prepared is a connector whose connections prepare each statement once and keep it:
// parsing and planning cost more than running, for statements that find a row by its
// key. All SQL here is constant text, so there are few.
type prepared struct {
	driver.Connector
	begin string // BEGIN IMMEDIATE, or BEGIN
}

func (p prepared) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{sqliteConn: c.(sqliteConn), begin: p.begin, idle: make(map[string]preparedStmt)}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type preparedStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// maxPrepared is how many statements a connection keeps: more than there are in this
// package, and a bound should somebody build SQL with values in it.
const maxPrepared = 200

// preparedConn is used by one goroutine at a time, as database/sql promises.
type preparedConn struct {
	sqliteConn
	begin string
	idle  map[string]preparedStmt // by its text; what runs is not in it
}

// BeginTx implements [driver.ConnBeginTx] as the driver does, but by statements that are
// kept.
func (c *preparedConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	// One that has begun must not be reported as given up.
	if _, err := c.ExecContext(context.WithoutCancel(ctx), c.begin, nil); err != nil {
		return nil, err
	}
	return preparedTx{c}, nil
}

type preparedTx struct{ c *preparedConn }

// Commit implements [driver.Tx]. After it the connection is in no transaction.
func (t preparedTx) Commit() error {
	_, err := t.c.ExecContext(context.Background(), "COMMIT", nil)
	if err != nil {
		t.Rollback() // fails where the transaction is over, which is well
	}
	return err
}

// Rollback implements [driver.Tx].
func (t preparedTx) Rollback() error {
	_, err := t.c.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// take gives a statement that nobody uses, until [preparedConn.put].
func (c *preparedConn) take(ctx context.Context, query string) (preparedStmt, error) {
	if s, ok := c.idle[query]; ok {
		delete(c.idle, query)
		return s, nil
	}
	s, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.(preparedStmt), nil
}

func (c *preparedConn) put(query string, s preparedStmt) error {
	if _, twice := c.idle[query]; twice || len(c.idle) >= maxPrepared {
		return s.Close()
	}
	c.idle[query] = s
	return nil
}

// ExecContext implements [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.ExecContext(ctx, args)
	if err != nil {
		s.Close() // what failed, and may fail again for the same reason, is not kept
		return nil, err
	}
	return r, c.put(query, s)
}

// QueryContext implements [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		s.Close()
		return nil, err
	}
	return &preparedRows{Rows: r, c: c, query: query, s: s}, nil
}

// preparedRows gives its statement back when it is closed.
type preparedRows struct {
	driver.Rows
	c     *preparedConn
	query string
	s     preparedStmt // nil once given back
}

// Close implements [driver.Rows].
func (r *preparedRows) Close() error {
	err := r.Rows.Close()
	s := r.s
	r.s = nil
	switch {
	case s == nil:
		return err
	case err != nil:
		s.Close()
		return err
	}
	return r.c.put(r.query, s)
}

// Close implements [driver.Conn].
func (c *preparedConn) Close() error {
	for _, s := range c.idle {
		s.Close()
	}
	clear(c.idle)
	return c.sqliteConn.Close()
}
