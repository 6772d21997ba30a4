package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
)

// writer runs changes one after another, in the order in which they came: SQLite has
// one writer, and a queue here is fairer than database/sql's and cheaper than SQLite's
// busy loop. Changes that wait while another is committed then share one commit, as
// making it durable takes as long for many as for one. Each is still all or nothing by
// itself, and its caller goes on only when it is durable.
//
// The goroutine of the first change in a group commits for all of it, and then calls
// on the first that came meanwhile; so there is nothing to start or to stop.
type writer struct {
	db *sql.DB // of one connection; only the goroutine that commits uses it

	mu      sync.Mutex
	busy    bool      // somebody commits, or was called on to
	waiting []*change // in order; none when not busy

	commits atomic.Int64
}

// change is what one caller wants done.
type change struct {
	ctx  context.Context
	fn   func(ctx context.Context, tx *sql.Tx) error
	call chan bool // true: commit the next group, you are first in it; false: err is set

	err      error // these are read by the caller after call, and written before
	panicked any
}

// maxGroup bounds what one commit takes with it, and so how long the first waits.
const maxGroup = 64

// do runs fn in a transaction. It runs fn again, in a new transaction, when the one
// that it shared with others came to nothing: fn must not build on what it set before.
func (w *writer) do(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	c := &change{ctx: ctx, fn: fn, call: make(chan bool, 1)}
	w.mu.Lock()
	first := !w.busy
	w.busy = true
	w.waiting = append(w.waiting, c)
	w.mu.Unlock()
	if first || <-c.call {
		w.commitNext()
	}
	if c.panicked != nil {
		panic(c.panicked) // where its cause is, and not in another's request
	}
	if short(c.err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, c.err)
	}
	return c.err
}

// commitNext commits what waits; the caller's change is the first of it.
func (w *writer) commitNext() {
	w.mu.Lock()
	n := min(len(w.waiting), maxGroup)
	group := w.waiting[:n:n]
	w.waiting = w.waiting[n:]
	w.mu.Unlock()

	w.commit(group)
	for _, c := range group[1:] {
		c.call <- false
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.busy, w.waiting = false, nil
		return
	}
	w.waiting[0].call <- true
}

// commit sets the result of each change. Hardly any fails, so they are first tried as one,
// which spares the savepoints; then with them; then each alone.
func (w *writer) commit(group []*change) {
	if len(group) > 1 && (w.together(group, false) == nil || w.together(group, true) == nil) {
		return
	}
	for _, c := range group {
		c.err = w.alone(c)
	}
}

func (w *writer) alone(c *change) error {
	tx, err := w.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := c.run(tx); err != nil {
		return err
	}
	return w.counted(tx.Commit())
}

// together commits all changes, or apart, behind savepoints, all but those that fail. An
// error means that nothing is committed: one of them failed, or, apart, something that is
// known to be no single one's fault, as SQLite gave up the transaction or the disk is full.
func (w *writer) together(group []*change, apart bool) error {
	ctx := context.Background()
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		// Another process wrote for ten seconds: enough of waiting, for each of them.
		for _, c := range group {
			c.err = err
		}
		return nil
	}
	defer tx.Rollback()
	for _, c := range group {
		if !apart {
			if c.err = c.run(tx); c.err != nil {
				return c.err
			}
			continue
		}
		if _, err := tx.ExecContext(ctx, `SAVEPOINT one_change`); err != nil {
			return err
		}
		if c.err = c.run(tx); c.err != nil {
			if _, err := tx.ExecContext(ctx, `ROLLBACK TO one_change`); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `RELEASE one_change`); err != nil {
			return err
		}
	}
	return w.counted(tx.Commit())
}

// run is fn, with a panic kept for the caller, lest all who wait do so for ever.
func (c *change) run(tx *sql.Tx) (err error) {
	defer func() {
		if c.panicked = recover(); c.panicked != nil {
			err = fmt.Errorf("panic: %v", c.panicked)
		}
	}()
	return c.fn(c.ctx, tx)
}
