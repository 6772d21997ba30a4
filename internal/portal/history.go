package portal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"vidimus/internal/audit"
)

// event is a row of the audit log for people to read.
type event struct {
	At   time.Time
	Who  string
	From string // address; "" when it isn't known, or the visitor sees only what is theirs
	What string
}

// history is what was done last to an object, by its name in the audit log. Queries: 1.
func (p *Portal) history(r *request, object string) ([]event, error) {
	rows, err := p.Store.AuditOf(r.Context(), object, 30)
	if err != nil {
		return nil, err
	}
	all := make([]event, len(rows))
	for i, row := range rows {
		all[i] = event{At: row.At, Who: audit.Name(row.Actor), What: r.language.action(row.Action)}
		if extra := extras(row.Detail); extra != "" {
			all[i].What += ": " + extra
		}
		var a audit.Actor
		if json.Unmarshal(row.Actor, &a) != nil {
			continue
		}
		if a == (audit.Actor{Address: a.Address, Request: a.Request}) && a.Address != "" {
			all[i].Who = r.t("history.client") // which had no account yet
		}
		if r.visitor.Editor.SeesAll() {
			all[i].From = place(a.Address)
		}
	}
	return all, nil
}

// action words an action of the audit log.
func (l *language) action(a audit.Action) string {
	if text, ok := l.texts["event."+string(a)]; ok {
		return text
	}
	return string(a)
}

// extras words what in the detail of an event people ask about: what came and went, and
// why.
func extras(data json.RawMessage) string {
	var d map[string]any
	if json.Unmarshal(data, &d) != nil {
		return ""
	}
	var parts []string
	for _, x := range []struct{ sign, key string }{{"+", "added"}, {"+", "added_groups"}, {"+", "people"}, {"+", "groups"}, {"+", "names"}, {"+", "members"},
		{"−", "removed"}, {"−", "removed_groups"}} {
		list, _ := d[x.key].([]any)
		for i, v := range list {
			if i == 20 {
				parts = append(parts, "…")
				break
			}
			parts = append(parts, x.sign+fmt.Sprint(v))
		}
	}
	for _, key := range []string{"role", "kind", "reason", "why"} {
		if s, ok := d[key].(string); ok && s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(slices.Compact(parts), ", ")
}
