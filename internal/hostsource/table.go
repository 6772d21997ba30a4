package hostsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// table collects the rows of a table whose columns have names. A thing may be in several
// rows, one for each person or group: their lists are joined, and of the rest the first
// counts.
type table struct {
	kind   string // hosts, people or groups
	key    string // the column that says what a row is about
	lists  []string
	cols   []string // what each column means; "": nothing
	column map[string]int
	rows   map[string]*joined
	order  []string
}

type joined struct {
	lists [2][]string
	rest  map[string]string
}

// tables are what the columns of each table may mean: the first is its key, then come
// those that are lists.
var tables = map[string]struct {
	columns []string
	lists   int
}{
	"hosts":  {[]string{"fqdn", "people", "groups"}, 2},
	"people": {[]string{"login", "name", "email"}, 0},
	"groups": {[]string{"name", "members", "title"}, 1},
}

// newTable is for a table with these headings; renamed says what headings are called that
// have other names than we give them.
func newTable(kind string, headings []string, renamed map[string]string) (*table, error) {
	def := tables[kind]
	t := &table{kind: kind, key: def.columns[0], lists: def.columns[1 : 1+def.lists], cols: make([]string, len(headings)),
		column: make(map[string]int), rows: make(map[string]*joined)}
	for i, h := range headings {
		h = strings.TrimSpace(strings.TrimPrefix(h, "\ufeff"))
		meaning := ""
		for _, c := range def.columns {
			as := c
			if renamed[c] != "" {
				as = renamed[c]
			}
			if strings.EqualFold(h, as) {
				meaning = c
			}
		}
		if meaning == "" && kind == "hosts" {
			meaning = h
		}
		if meaning == "" {
			continue
		}
		if _, twice := t.column[meaning]; twice {
			return nil, fmt.Errorf("there are two columns %q", h)
		}
		t.column[meaning], t.cols[i] = i, meaning
	}
	if _, is := t.column[t.key]; !is {
		return nil, fmt.Errorf("there is no column %q; there are: %s", t.key, strings.Join(headings, ", "))
	}
	for c, as := range renamed {
		if _, is := t.column[c]; !is && slices.Contains(def.columns, c) {
			return nil, fmt.Errorf("there is no column %q, which is to be %s; there are: %s", as, c, strings.Join(headings, ", "))
		}
	}
	return t, nil
}

// row takes a row up.
func (t *table) row(cells []string) error {
	key := strings.TrimSpace(cells[t.column[t.key]])
	if key == "" {
		return errors.New("it has no " + t.key)
	}
	j := t.rows[key]
	if j == nil {
		j = &joined{}
		t.rows[key] = j
		t.order = append(t.order, key)
	}
	for i, cell := range cells {
		meaning := t.cols[i]
		if cell == "" || meaning == "" || meaning == t.key {
			continue
		}
		if n := slices.Index(t.lists, meaning); n >= 0 {
			for _, s := range listIn(cell) {
				if !slices.Contains(j.lists[n], s) {
					j.lists[n] = append(j.lists[n], s)
				}
			}
			continue
		}
		if j.rest == nil {
			j.rest = make(map[string]string)
		}
		if _, is := j.rest[meaning]; !is {
			j.rest[meaning] = cell
		}
	}
	return nil
}

// listIn splits a cell that holds several names: by commas, semicolons, bars or lines, and
// otherwise by nothing, as names of groups may have spaces.
func listIn(cell string) (all []string) {
	for _, s := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(",;|\n\r", r) }) {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, strings.Clone(s))
		}
	}
	return all
}

// give gives all to a sink.
func (t *table) give(to Sink) error {
	for _, key := range t.order {
		j := t.rows[key]
		delete(t.rows, key)
		var err error
		switch t.kind {
		case "hosts":
			err = to.Host(Host{FQDN: key, People: j.lists[0], Groups: j.lists[1], Details: j.rest})
		case "people":
			err = to.Person(Person{Login: key, Name: j.rest["name"], Email: j.rest["email"]})
		default:
			err = to.Group(Group{Name: key, Title: j.rest["title"], Members: j.lists[0]})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
