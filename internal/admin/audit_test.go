package admin

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/internal/audit"
	"vidimus/internal/store"
)

// auditLog is a log with n rows, some of them by operator "ada", and its file.
func auditLog(t *testing.T, n int) (db *store.Store, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "test.db")
	db, err := store.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for i := range n {
		var who audit.Actor
		if i%2 == 1 {
			who.Operator = "ada"
		}
		if err := db.Record(audit.With(t.Context(), who), audit.Event{Action: "host.created", Object: fmt.Sprintf("h%d.example.org", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.SealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db, file
}

// tamper changes the database as somebody with all rights to it could.
func tamper(t *testing.T, file string, statements ...string) {
	t.Helper()
	raw, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, s := range append([]string{`DROP TRIGGER audit_kept`, `DROP TRIGGER audit_sealed_once`}, statements...) {
		if _, err := raw.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestVerifyFindsWhatWasDoneToTheLog(t *testing.T) {
	for _, tt := range []struct {
		name       string
		statements []string
		want       string // "": whole
	}{
		{"nothing", nil, ""},
		{"object altered", []string{`UPDATE audit SET object = 'x' WHERE position = 4`}, "the row at position 4 "},
		{"actor altered", []string{`UPDATE audit SET actor = '{"operator":"bela"}' WHERE position = 1`}, "the row at position 1 "},
		{"time altered", []string{`UPDATE audit SET at = at + 1 WHERE position = 7`}, "the row at position 7 "},
		{"row removed", []string{`DELETE FROM audit WHERE position = 3`}, "position 3 is missing"},
		{"row removed and the gap closed", []string{`DELETE FROM audit WHERE position = 3`,
			`UPDATE audit SET position = -position WHERE position > 3`, `UPDATE audit SET position = -position - 1 WHERE position < 0`}, "the row at position 3 "},
		{"two swapped", []string{`UPDATE audit SET position = -1 WHERE position = 2`, `UPDATE audit SET position = 2 WHERE position = 5`,
			`UPDATE audit SET position = 5 WHERE position = -1`}, "the row at position 2 "},
		{"two swapped with their hashes", []string{`CREATE TEMP TABLE x AS SELECT * FROM audit WHERE position IN (2, 5)`,
			`UPDATE audit SET object = (SELECT object FROM x WHERE position = 7 - audit.position) WHERE position IN (2, 5)`}, "the row at position 2 "},
		{"end removed", []string{`DELETE FROM audit WHERE position > 8`}, "it ends at position 8, but 9 rows were sealed"},
		{"last row altered with its hash", []string{`UPDATE audit SET hash = 'x' WHERE position = 9`}, "the row at position 9 "},
		{"first removed", []string{`DELETE FROM audit WHERE position = 1`}, "position 1 is missing"},
		{"all removed", []string{`DELETE FROM audit`}, "it ends at position 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, file := auditLog(t, 9)
			if len(tt.statements) > 0 {
				tamper(t, file, tt.statements...)
			}
			v, err := verifyAudit(t.Context(), db, "")
			switch {
			case tt.want == "" && (err != nil || v.Position != 9):
				t.Errorf("%+v, %v; want it whole", v, err)
			case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)):
				t.Errorf("%v; want %q", err, tt.want)
			}
		})
	}
}

// Whoever can write anything can make another chain that is whole; a hash noted
// elsewhere tells.
func TestVerifyExpectsAHashNotedElsewhere(t *testing.T) {
	db, file := auditLog(t, 5)
	noted, err := db.AuditHead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Record(t.Context(), audit.Event{Action: "test"}); err != nil {
		t.Fatal(err)
	}
	if v, err := verifyAudit(t.Context(), db, noted.Hash); err != nil || v.Unsealed != 1 {
		t.Errorf("%+v, %v; want it whole with one row to be sealed", v, err)
	}
	tamper(t, file, `DELETE FROM audit WHERE position > 3`,
		`UPDATE audit_head SET position = 3, hash = (SELECT hash FROM audit WHERE position = 3)`)
	if v, err := verifyAudit(t.Context(), db, ""); err != nil || v.Position != 3 {
		t.Errorf("a chain that was cut with care: %+v, %v", v, err)
	}
	if _, err := verifyAudit(t.Context(), db, noted.Hash); err == nil || !strings.Contains(err.Error(), "no row has the hash "+noted.Hash) {
		t.Errorf("with the hash noted: %v", err)
	}
}

func TestExportFiltersAndFollowsPages(t *testing.T) {
	const n = auditPage + 7
	db, file := auditLog(t, n)
	// Each row a second after the one before.
	tamper(t, file, `UPDATE audit SET at = 1750000000000 + 1000 * position`)
	export := func(since, until, action, object string, f auditFilter) (rows []audit.Row) {
		t.Helper()
		if err := f.read(since, until, action, object); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := exportAudit(t.Context(), db, &f, &out); err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(&out)
		for dec.More() {
			var r audit.Row
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		return rows
	}
	for _, tt := range []struct {
		name                         string
		since, until, action, object string
		f                            auditFilter
		want                         int
	}{
		{"all", "", "", "", "", auditFilter{}, n},
		{"since", "2025-06-15T15:15:00Z", "", "", "", auditFilter{}, n - 499},
		{"until", "", "2025-06-15T15:15:00Z", "", "", auditFilter{}, 499},
		{"day before", "", "2025-06-15", "", "", auditFilter{}, 0},
		{"action", "", "", `host\..*`, "", auditFilter{}, n},
		{"part of an action", "", "", `host`, "", auditFilter{}, 0},
		{"object", "", "", "", "h3.example.org", auditFilter{}, 1},
		{"operator", "", "", "", "", auditFilter{operator: "ada"}, n / 2},
		{"account", "", "", "", "", auditFilter{account: 3}, 0},
		{"result", "", "", "", "", auditFilter{result: "done"}, n},
	} {
		if got := export(tt.since, tt.until, tt.action, tt.object, tt.f); len(got) != tt.want {
			t.Errorf("%s: %d rows; want %d", tt.name, len(got), tt.want)
		}
	}
	for _, bad := range [][4]string{{"soon"}, {"", "1 Jan"}, {"", "", "("}} {
		if err := new(auditFilter).read(bad[0], bad[1], bad[2], bad[3]); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// What is exported can be checked by whoever has it, with nothing else.
func TestAnExportCanBeVerified(t *testing.T) {
	db, _ := auditLog(t, 20)
	var out bytes.Buffer
	if err := exportAudit(t.Context(), db, new(auditFilter), &out); err != nil {
		t.Fatal(err)
	}
	var chain audit.Chain
	for line := range bytes.Lines(out.Bytes()) {
		var r audit.Row
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if err := chain.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if head, err := db.AuditHead(t.Context()); err != nil || head.Hash != chain.Hash() {
		t.Errorf("it ends with %s; want %s, %v", chain.Hash(), head.Hash, err)
	}
}
