package portal

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/store"
)

func (p *Portal) auditRoutes() {
	p.handle("GET /portal/audit", overseer, p.auditPage)
	p.handle("GET /portal/audit/export", overseer, p.exportAudit)
}

// auditList is what the page of the audit log shows.
type auditList struct {
	Object, Actor, Action, From, To string // as typed
	FromWrong, ToWrong              string
	Actions                         []string
	Rows                            []auditRow
	Until                           time.Time // how far it was looked through, when there is more
	Next, First                     string    // URLs; "" for none
	CSV, JSONL                      string    // URLs
}

// auditRow is an event for people to read.
type auditRow struct {
	audit.Row
	Who, More string
}

// auditActions are what may be chosen; all of a kind, for one that ends in a dot.
var auditActions = []string{"account.", "acme-id.", "authorization.", "certificate.", "certificate.issued", "certificate.revoked", "credentials.",
	"group.", "host.", "key.", "login.", "login.failed", "password.", "person.", "renewal.", "server.", "source.", "suspension.", "totp.", "wildcards."}

// auditPage finds events. Queries: 1 by object, else up to 5, and 20 for each end of the
// time span.
func (p *Portal) auditPage(r *request) error {
	list, sel := auditSelection(r)
	if list.FromWrong != "" || list.ToWrong != "" {
		return r.showAs(http.StatusUnprocessableEntity, "audit", list)
	}
	sel.Limit = perPage
	found, err := p.Store.SearchAudit(r.Context(), sel)
	if err != nil {
		return err
	}
	for _, row := range found.Rows {
		list.Rows = append(list.Rows, auditRow{row, audit.Name(row.Actor), indented(row)})
	}
	values := list.values()
	list.CSV = "/portal/audit/export?" + values.Encode()
	values.Set("format", "jsonl")
	list.JSONL = "/portal/audit/export?" + values.Encode()
	values.Del("format")
	if sel.Before != 0 {
		list.First = "/portal/audit?" + values.Encode()
	}
	if found.Next != 0 {
		values.Set("before", strconv.FormatInt(found.Next, 10))
		list.Next, list.Until = "/portal/audit?"+values.Encode(), found.Until
	}
	return r.show("audit", list)
}

// values is the query of a URL that asks the same.
func (l auditList) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"object": l.Object, "actor": l.Actor, "action": l.Action, "from": l.From, "to": l.To} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// auditSelection reads what is asked for, and says what is wrong with it.
func auditSelection(r *request) (list auditList, sel store.AuditSelection) {
	text := func(name string) string { return clipped(strings.TrimSpace(r.FormValue(name)), 300) }
	list = auditList{Object: text("object"), Actor: text("actor"), Action: text("action"), From: text("from"), To: text("to"), Actions: auditActions}
	sel = store.AuditSelection{Object: list.Object, Actor: list.Actor, Action: audit.Action(list.Action)}
	sel.Before, _ = strconv.ParseInt(r.FormValue("before"), 10, 64)
	var ok bool
	if sel.From, ok = momentOf(list.From, false); !ok {
		list.FromWrong = r.t("audit.time-wrong")
	}
	if sel.To, ok = momentOf(list.To, true); !ok {
		list.ToWrong = r.t("audit.time-wrong")
	}
	return list, sel
}

// momentOf reads a day or a moment, in UTC; the end of a day is that of its last moment.
func momentOf(text string, end bool) (t time.Time, ok bool) {
	if text == "" {
		return t, true
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		if end {
			t = t.AddDate(0, 0, 1)
		}
		return t, true
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return t, false
}

// indented is what a row says of actor and detail, in full.
func indented(row audit.Row) string {
	var b bytes.Buffer
	data, err := json.Marshal(map[string]json.RawMessage{"actor": row.Actor, "detail": row.Detail})
	if err != nil || json.Indent(&b, data, "", "  ") != nil {
		return string(row.Actor) + "\n" + string(row.Detail)
	}
	return b.String()
}

const (
	// exportMost is how many events an export has at most; what is older is asked for by
	// a time span.
	exportMost = 100_000
	exportFor  = 45 * time.Second
)

// exportAudit sends what was found as CSV or JSON lines, newest first.
func (p *Portal) exportAudit(r *request) error {
	list, sel := auditSelection(r)
	if list.FromWrong != "" || list.ToWrong != "" {
		return r.showAs(http.StatusUnprocessableEntity, "audit", list)
	}
	sel.Limit = 1000
	found, err := p.Store.SearchAudit(r.Context(), sel)
	if err != nil {
		return err
	}
	jsonLines := r.FormValue("format") == "jsonl"
	mediaType, name := "text/csv; charset=utf-8; header=present", "audit.csv"
	if jsonLines {
		mediaType, name = "application/jsonl", "audit.jsonl"
	}
	r.w.Header().Set("Content-Type", mediaType)
	r.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	lines, table := json.NewEncoder(r.w), csv.NewWriter(r.w)
	if !jsonLines {
		table.Write([]string{"time", "actor", "action", "object", "result", "detail", "address", "request", "position", "hash"})
	}
	for sent, begin := 0, time.Now(); ; {
		for _, row := range found.Rows {
			if jsonLines {
				err = lines.Encode(row)
			} else {
				err = table.Write(auditCells(row))
			}
			if err != nil {
				return nil // nobody reads on
			}
		}
		table.Flush()
		sent += len(found.Rows)
		if found.Next == 0 || sent >= exportMost || time.Since(begin) > exportFor || r.Context().Err() != nil {
			return nil
		}
		sel.Before = found.Next
		if found, err = p.Store.SearchAudit(r.Context(), sel); err != nil {
			p.Log.ErrorContext(r.Context(), "an export of the audit log was cut short", "err", err)
			panic(http.ErrAbortHandler) // so that it is seen
		}
	}
}

func auditCells(row audit.Row) []string {
	var a audit.Actor
	_ = json.Unmarshal(row.Actor, &a) // what it isn't is left out
	cells := []string{row.At.Format(time.RFC3339Nano), audit.Name(row.Actor), string(row.Action), row.Object, row.Result, string(row.Detail), a.Address, a.Request,
		strconv.FormatInt(row.Position, 10), row.Hash}
	for i := range cells {
		cells[i] = noFormula(cells[i])
	}
	return cells
}

// noFormula keeps a spreadsheet from taking a text for a formula.
func noFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
