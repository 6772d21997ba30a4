package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"time"

	"vidimus/internal/audit"
)

// RenewalCall is an operator's wish that certificates be renewed in certain windows
// (RFC 9773).
type RenewalCall struct {
	ID             int64     `json:"id"`
	Selection      string    `json:"selection"`
	ExplanationURL string    `json:"explanation_url,omitempty"`
	Created        time.Time `json:"created"`
	Until          time.Time `json:"until,omitzero"`  // the windows hold until then; zero: as long as the certificates
	Undone         time.Time `json:"undone,omitzero"` // they hold no longer
	Certificates   int64     `json:"certificates"`
	Replaced       int64     `json:"replaced"` // of them, by orders that said so
}

// RenewalWindow is when a certificate is to be renewed.
type RenewalWindow struct {
	Serial         string
	Start, End     time.Time
	ExplanationURL string
}

// NewRenewalCall records a call, still without certificates, and returns its number.
func (s *Store) NewRenewalCall(ctx context.Context, c RenewalCall) (id int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		id, err = insert(ctx, tx, `INSERT INTO renewal_call (selection, explanation_url, created_at, until) VALUES ($1, $2, $3, $4) RETURNING id`,
			c.Selection, c.ExplanationURL, millis(c.Created), millis(c.Until))
		if err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.RenewalCalled, Object: object(id), Detail: audit.Detail{
			"selection": c.Selection, "explanation_url": c.ExplanationURL}})
	})
	return id, err
}

// AddRenewalWindows adds up to [Batch] certificates to a call, in one transaction.
func (s *Store) AddRenewalWindows(ctx context.Context, call int64, windows []RenewalWindow) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for chunk := range slices.Chunk(windows, maxTogether) {
			args := make([]any, 0, 4*len(chunk))
			for _, w := range chunk {
				args = append(args, w.Serial, call, millis(w.Start), millis(w.End))
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO renewal_window (serial, call_id, start_at, end_at) VALUES `+
				rowsOf(len(chunk), "", "", "", "")+` ON CONFLICT (serial, call_id) DO NOTHING`, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// RenewalWindow finds the window of a certificate by the newest call that holds;
// [ErrNotFound] when there is none.
func (s *Store) RenewalWindow(ctx context.Context, serial string, now time.Time) (RenewalWindow, error) {
	return one(ctx, s.read, func(row scanner) (w RenewalWindow, err error) {
		return w, row.Scan(&w.Serial, timeColumn{&w.Start}, timeColumn{&w.End}, &w.ExplanationURL)
	}, `SELECT w.serial, w.start_at, w.end_at, c.explanation_url FROM renewal_window w JOIN renewal_call c ON c.id = w.call_id
		WHERE w.serial = $1 AND c.undone_at IS NULL AND (c.until IS NULL OR c.until > $2) ORDER BY w.call_id DESC LIMIT 1`, serial, millis(now))
}

// RenewalCalls lists all calls, the newest first.
func (s *Store) RenewalCalls(ctx context.Context) ([]RenewalCall, error) {
	return collect(ctx, s.read, func(row scanner) (c RenewalCall, err error) {
		return c, row.Scan(&c.ID, &c.Selection, &c.ExplanationURL, timeColumn{&c.Created}, timeColumn{&c.Until}, timeColumn{&c.Undone},
			&c.Certificates, &c.Replaced)
	}, `SELECT l.id, l.selection, l.explanation_url, l.created_at, l.until, l.undone_at,
			l.removed + (SELECT COUNT(*) FROM renewal_window w WHERE w.call_id = l.id),
			l.removed_replaced + (SELECT COUNT(*) FROM renewal_window w JOIN certificate c ON c.serial = w.serial WHERE w.call_id = l.id AND c.replaced_by IS NOT NULL)
		FROM renewal_call l ORDER BY l.id DESC`)
}

// UndoRenewalCall ends a call: its certificates have the windows that they would have
// without it. [ErrConflict] when there is none, or it has ended.
func (s *Store) UndoRenewalCall(ctx context.Context, id int64, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE renewal_call SET undone_at = $1 WHERE id = $2 AND undone_at IS NULL`, millis(now), id); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.RenewalUndone, Object: strconv.FormatInt(id, 10)})
	})
}
