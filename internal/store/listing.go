package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// HostSelection says which hosts to list, in the order of their names.
type HostSelection struct {
	Person   int64  // only those this person is responsible for; 0 for all
	Contains string // only those that have this, in lower case, in their name
	After    string // only those behind this name
	Limit    int
}

// ListedHost is a host in a list.
type ListedHost struct {
	FQDN   string
	Team   bool // the CA team is responsible for it
	Nobody bool // nobody is
}

// ListHosts lists hosts. A part of a name is looked for among all names that are left.
func (s *Store) ListHosts(ctx context.Context, sel HostSelection) ([]ListedHost, error) {
	args := []any{sel.After}
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	where := `h.fqdn > $1`
	if sel.Person != 0 {
		where = `h.fqdn IN (SELECT q.fqdn FROM member o JOIN host_party q ON q.party_id = o.party_id WHERE o.person_id = ` + arg(sel.Person) + ` AND q.fqdn > $1)`
	}
	if sel.Contains != "" {
		where += ` AND lower(h.fqdn) LIKE ` + arg(containing(sel.Contains)) + ` ESCAPE '\'`
	}
	return collect(ctx, s.read, func(row scanner) (h ListedHost, err error) {
		err = row.Scan(&h.FQDN, &h.Team, &h.Nobody)
		return h, err
	}, `SELECT h.fqdn, h.team, NOT h.team AND NOT EXISTS (SELECT 1 FROM host_party p JOIN member m ON m.party_id = p.party_id WHERE p.fqdn = h.fqdn)
		FROM host h WHERE `+where+` ORDER BY h.fqdn LIMIT `+arg(sel.Limit), args...)
}

// containing is the pattern of LIKE ESCAPE '\' for what has text in it.
func containing(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// SetLanguage keeps in which language a person wants the pages.
func (s *Store) SetLanguage(ctx context.Context, person int64, language string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE person SET language = $1 WHERE id = $2`, language, person)
		return err
	})
}
