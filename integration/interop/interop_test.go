// Package interop sets the ACME clients that people use before vidimusd. "make
// interop" tries all that each of them has, and writes docs/interop.md from the
// outcomes; without -table some are tried, in less than a minute.
package interop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

var tableFile = flag.String("table", "", "try everything, and write the table to this `FILE`")

// clients are the table's rows.
var clients = []*client{certbot, lego, uacme, dehydrated, lacme, caddy, apache, autocert, certmagic, acmez, vidimus}

// quick are the clients of which two columns are tried in each test; the others are in
// the tests of integration/server and integration/client.
var quick = []*client{dehydrated, lacme, caddy, apache}

func TestClientsOfDebian(t *testing.T) {
	if *tableFile != "" {
		t.Skip("the table has it all")
	}
	for _, c := range quick {
		t.Run(c.name, func(t *testing.T) {
			c.need(t)
			s := newSite(t, c.short)
			for _, col := range columns {
				if col.name != binding && col.name != httpChallenge {
					continue
				}
				if got := c.try(t, s, col.name); got.mark == fails {
					t.Errorf("%s: %s\n%s", col.name, got.failure, got.log)
				}
			}
		})
	}
}

func TestTable(t *testing.T) {
	if *tableFile == "" {
		t.Skip("without -table FILE the table is not made; make interop does it")
	}
	file, err := filepath.Abs(filepath.Join(peer.Root(t), *tableFile))
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]row, len(clients))
	t.Run("all", func(t *testing.T) {
		for i, c := range clients {
			t.Run(strings.ReplaceAll(c.name, "/", " "), func(t *testing.T) {
				t.Parallel()
				rows[i] = c.row(t)
			})
		}
	})
	for i, r := range rows {
		if r.name == "" {
			t.Fatalf("%s was not tried, so %s is left as it was", clients[i].name, *tableFile)
		}
	}
	if err := os.WriteFile(file, []byte(document(rows)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// row tries everything with a client.
func (c *client) row(t *testing.T) row {
	c.need(t)
	r := row{name: c.name, version: c.version(t), cells: make(map[column]cell)}
	s := newSite(t, c.short)
	for _, col := range columns {
		got := c.try(t, s, col.name)
		r.cells[col.name] = got
		switch {
		case got.mark == fails && !got.explained:
			t.Errorf("%s: %s; see %s", col.name, got.failure, got.logFile)
		default:
			t.Logf("%s: %s %s", col.name, got.mark, strings.Join(got.notes, "; "))
		}
	}
	return r
}

// need skips the test where the client isn't installed or can't be tried; with
// VIDIMUS_PEERS=required what is missing is a failure.
func (c *client) need(t *testing.T) {
	t.Helper()
	for _, program := range c.needs {
		peer.Need(t, program)
	}
	if c.asRoot && os.Geteuid() != 0 {
		t.Skipf("%s can be tried by root only", c.name)
	}
}

// cell is what came of an attempt.
type cell struct {
	mark      string // ok, lacks or fails
	notes     []string
	failure   string
	explained bool // the failure is the client's own, as a note says
	log       string
	logFile   string
}

const (
	ok    = "ok"
	lacks = "–"
	fails = "**fails**"
)

// try tries one column with a client.
func (c *client) try(t *testing.T, s *site, name column) cell {
	file := filepath.Join(peer.Root(t), ".cache/interop", fileName(c.name), fileName(string(name))+".log")
	before := len(s.Log.String())
	l, hasNot := c.lacks[name]
	a := try(t, file, func(a *attempt) {
		if hasNot {
			l.show(a)
			return
		}
		for _, r := range c.reasons {
			if r.column == name {
				a.hopeless = regexp.MustCompile(r.pattern)
			}
		}
		for _, col := range columns {
			if col.name == name {
				col.try(a, c, s)
			}
		}
	})
	got := cell{mark: ok, notes: a.notes, failure: a.failure, log: a.output.String(), logFile: file}
	switch {
	case a.failure != "":
		got.mark = fails
		c.explain(a, name, &got)
	case a.lack:
		got.mark = lacks
	}
	if server := s.Log.String(); len(server) > before {
		appendTo(t, file, "\nvidimusd meanwhile:\n"+server[before:])
	}
	return got
}

// explain finds the reason for a failure in the client's own words.
func (c *client) explain(a *attempt, name column, got *cell) {
	for _, r := range c.reasons {
		if r.column != name || !a.seen(r.pattern) {
			continue
		}
		got.explained, got.notes = true, append(got.notes, r.why)
		if r.lack {
			got.mark = lacks
		}
		return
	}
	got.notes = append(got.notes, got.failure)
}

// show shows that the client hasn't it: what the probe prints has not the word.
func (l lack) show(a *attempt) {
	out := a.run(l.command(a))
	if strings.Contains(strings.ToLower(out), strings.ToLower(l.word)) {
		a.Fatalf("%s: but %v prints %q", l.why, l.probe, l.word)
	}
	a.lacking(l.why)
}

func fileName(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, s), "-")
}

func appendTo(t *testing.T, file, text string) {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprint(f, text)
}
