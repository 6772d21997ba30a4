package store

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
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
	where, limit, args := sel.by("h.fqdn")
	return collect(ctx, s.read, func(row scanner) (h ListedHost, err error) {
		err = row.Scan(&h.FQDN, &h.Team, &h.Nobody)
		return h, err
	}, `SELECT h.fqdn, h.team, NOT h.team AND NOT EXISTS (SELECT 1 FROM host_party p JOIN member m ON m.party_id = p.party_id WHERE p.fqdn = h.fqdn)
		FROM host h WHERE `+where+` ORDER BY h.fqdn LIMIT `+limit, args...)
}

// by is the condition that a column, an FQDN, is of the selection, the place of its limit,
// and the arguments of both.
func (sel HostSelection) by(column string) (where, limit string, args []any) {
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	where = column + ` > ` + arg(sel.After)
	if sel.Person != 0 {
		where = column + ` IN (SELECT q.fqdn FROM member o JOIN host_party q ON q.party_id = o.party_id WHERE o.person_id = ` + arg(sel.Person) + ` AND q.fqdn > $1)`
	}
	if sel.Contains != "" {
		where += ` AND lower(` + column + `) LIKE ` + arg(containing(sel.Contains)) + ` ESCAPE '\'`
	}
	return where, arg(sel.Limit), args
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

// ListedACMEID is an ACME-ID in a list.
type ListedACMEID struct {
	FQDN       string
	Created    time.Time
	Invalid    time.Time // since when; zero while it is good
	Waiting    bool      // credentials wait for somebody to register with them
	Registered bool      // an account is bound to it, and good
	Suspended  bool
	Names      int
}

// ListACMEIDs lists of each FQDN the last ACME-ID, in the order of their FQDNs; for a
// person those that bear the name of a host they are responsible for.
func (s *Store) ListACMEIDs(ctx context.Context, sel HostSelection) ([]ListedACMEID, error) {
	where, limit, args := sel.by("i.fqdn")
	return collect(ctx, s.read, func(row scanner) (a ListedACMEID, err error) {
		err = row.Scan(&a.FQDN, timeColumn{&a.Created}, timeColumn{&a.Invalid}, &a.Waiting, &a.Registered, &a.Suspended, &a.Names)
		return a, err
	}, `SELECT i.fqdn, i.created_at, i.invalid_at, i.hmac_key IS NOT NULL, `+registered+`,
			EXISTS (SELECT 1 FROM suspension s WHERE s.kind = 'acme-id' AND s.object = i.fqdn),
			(SELECT COUNT(*) FROM acme_id_name n WHERE n.acme_id = i.id)
		FROM acme_id i WHERE `+where+` AND NOT EXISTS (SELECT 1 FROM acme_id j WHERE j.fqdn = i.fqdn AND j.id > i.id)
		ORDER BY i.fqdn LIMIT `+limit, args...)
}

// AccountsOfACMEID lists the valid accounts that are bound to an ACME-ID, the newest
// first.
func (s *Store) AccountsOfACMEID(ctx context.Context, id int64, limit int) ([]Account, error) {
	return collect(ctx, s.read, scanAccount, `SELECT `+accountColumns+` WHERE a.acme_id = $1 AND a.status = 'valid' ORDER BY a.id DESC LIMIT $2`, id, limit)
}
