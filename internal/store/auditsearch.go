package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/audit"
)

// AuditSelection says which rows of the audit log to find, newest first.
type AuditSelection struct {
	Object string       // exactly; then not what each issuance writes
	Action audit.Action // exactly, or all of a kind: "certificate."
	Actor  string       // what the actor has: a person's login, an ACME-ID, an account's number, an address
	From   time.Time    // or at that time; zero for any
	To     time.Time    // earlier than that
	Before int64        // only rows at an earlier position in the chain, or with Object of a lower number; 0 for all
	Limit  int
}

// FoundAudit is what was found.
type FoundAudit struct {
	Rows []audit.Row
	// Next is where to look further, as [AuditSelection.Before]; 0 when that was all.
	Next int64
	// Until is the time of the last row that was looked at.
	Until time.Time
}

// auditWindow is how many rows are looked through at once.
const auditWindow = 4000

// SearchAudit finds sealed rows: those of an object by an index, others among the next
// [auditWindow] rows of the time span, so that an answer may be short and not the end.
func (s *Store) SearchAudit(ctx context.Context, sel AuditSelection) (f FoundAudit, err error) {
	if sel.Object != "" {
		return s.searchObject(ctx, sel)
	}
	first, err := s.auditAt(ctx, sel.From)
	if err != nil {
		return f, err
	}
	end, err := s.auditEnd(ctx, sel)
	if err != nil || end <= first {
		return f, err
	}
	low := max(first, end-auditWindow)
	where, args := `position < $1 AND position >= $2`, []any{end, low}
	f.Rows, err = s.foundAudit(ctx, sel, where, args, `position`)
	if err != nil {
		return f, err
	}
	switch n := len(f.Rows); {
	case n > 0 && n == sel.Limit:
		f.Next, f.Until = f.Rows[n-1].Position, f.Rows[n-1].At
	case low > first:
		f.Next = low
		rows, err := s.AuditRows(ctx, low-1, 1)
		if err != nil {
			return f, err
		}
		if len(rows) > 0 {
			f.Until = rows[0].At
		}
	}
	if f.Next <= first {
		f.Next = 0
	}
	return f, nil
}

// auditEnd is the position behind the last row to look at.
func (s *Store) auditEnd(ctx context.Context, sel AuditSelection) (int64, error) {
	head, err := s.AuditHead(ctx)
	if err != nil {
		return 0, err
	}
	end := head.Position + 1
	if !sel.To.IsZero() {
		if end, err = s.auditAt(ctx, sel.To.Add(2*auditDisorder)); err != nil {
			return 0, err
		}
	}
	if sel.Before > 0 {
		end = min(end, sel.Before)
	}
	return end, nil
}

// searchObject finds by the index of objects, which lacks what each issuance writes.
func (s *Store) searchObject(ctx context.Context, sel AuditSelection) (f FoundAudit, err error) {
	where, args := `object = $1 AND action NOT IN ('authorization.validated', 'certificate.intended', 'certificate.issued')`, []any{sel.Object}
	if sel.Before > 0 {
		where, args = where+` AND id < $2`, append(args, sel.Before)
	}
	f.Rows, err = s.foundAudit(ctx, sel, where, args, `id`)
	if n := len(f.Rows); n > 0 && n == sel.Limit {
		f.Next = f.Rows[n-1].ID
	}
	return f, err
}

func (s *Store) foundAudit(ctx context.Context, sel AuditSelection, where string, args []any, order string) ([]audit.Row, error) {
	one := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	switch a := string(sel.Action); {
	case strings.HasSuffix(a, "."):
		where += ` AND action >= ` + one(a) + ` AND action < ` + one(beyond(a))
	case a != "":
		where += ` AND action = ` + one(a)
	}
	if sel.Actor != "" { // it is a JSON object of texts and a number
		text := containing(strings.ToLower(strings.Trim(toJSON(sel.Actor), `"`)))
		text = text[1 : len(text)-1]
		where += ` AND (lower(actor) LIKE ` + one(`%:"`+text+`"%`) + ` ESCAPE '\' OR lower(actor) LIKE ` + one(`%:"`+text+`:%`) + ` ESCAPE '\'`
		if _, err := strconv.ParseInt(sel.Actor, 10, 64); err == nil {
			where += ` OR lower(actor) LIKE ` + one(`%"account":`+text+`,%`) + ` OR lower(actor) LIKE ` + one(`%"account":`+text+`}`)
		}
		where += `)`
	}
	if !sel.From.IsZero() {
		where += ` AND at >= ` + one(millis(sel.From))
	}
	if !sel.To.IsZero() {
		where += ` AND at < ` + one(millis(sel.To))
	}
	return collect(ctx, s.read, scanAudit, auditColumns+` WHERE `+where+` ORDER BY `+order+` DESC LIMIT `+one(sel.Limit), args...)
}

// auditDisorder is how much earlier a row may be than one before it in the chain: rows
// are sealed within seconds of their time.
const auditDisorder = time.Minute

// auditAt is the position of the first row from a time on, less auditDisorder; 1 for the
// zero time. Positions have no gaps.
func (s *Store) auditAt(ctx context.Context, t time.Time) (int64, error) {
	if t.IsZero() {
		return 1, nil
	}
	head, err := s.AuditHead(ctx)
	if err != nil {
		return 0, err
	}
	t = t.Add(-auditDisorder)
	low, high := int64(1), head.Position+1
	for low < high {
		middle := low + (high-low)/2
		at, err := one(ctx, s.read, scanInt, `SELECT at FROM audit WHERE position = $1`, middle)
		switch {
		case errors.Is(err, ErrNotFound): // somebody has removed it, which audit verify tells
			low = middle + 1
		case err != nil:
			return 0, err
		case at < t.UnixMilli():
			low = middle + 1
		default:
			high = middle
		}
	}
	return low, nil
}
