package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// AccountSelection says which accounts an operator means: those that fit every kind of
// condition that is given, and of each kind one.
type AccountSelection struct {
	Directories []string // their names in URLs
	ACMEIDs     []string // FQDNs
	Thumbprints []string // of their keys, RFC 7638
	Statuses    []acme.Status
	Contacts    []string // parts of a contact, whatever their case
}

// where makes the condition of a selection, with its parameters, which come after those in
// args.
func (sel AccountSelection) where(args []any) (string, []any) {
	conditions := "TRUE"
	anyOf := func(before, after string, values []string) {
		if len(values) == 0 {
			return
		}
		places := make([]string, len(values))
		for i, v := range values {
			args = append(args, v)
			places[i] = "$" + strconv.Itoa(len(args))
		}
		conditions += " AND " + before + strings.Join(places, ", ") + after
	}
	// Of a directory there may be all accounts, which come by their numbers; an index by
	// other columns would have each page sorted.
	anyOf(`a.directory || '' IN (`, `)`, sel.Directories)
	anyOf(`a.acme_id IN (SELECT i.id FROM acme_id i WHERE i.fqdn IN (`, `))`, sel.ACMEIDs)
	anyOf(`a.thumbprint IN (`, `)`, sel.Thumbprints)
	statuses := make([]string, len(sel.Statuses))
	for i, s := range sel.Statuses {
		statuses[i] = string(s)
	}
	anyOf(`a.status IN (`, `)`, statuses)
	var likes []string
	for _, c := range sel.Contacts {
		args = append(args, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(c))+"%")
		likes = append(likes, `lower(a.contact) LIKE $`+strconv.Itoa(len(args))+` ESCAPE '\'`)
	}
	if len(likes) > 0 {
		conditions += " AND (" + strings.Join(likes, " OR ") + ")"
	}
	return conditions, args
}

// Accounts lists up to limit accounts of a selection, by number, behind after.
func (s *Store) Accounts(ctx context.Context, sel AccountSelection, after int64, limit int) ([]Account, error) {
	where, args := sel.where([]any{after, limit})
	return collect(ctx, s.read, scanAccount, `SELECT `+accountColumns+` WHERE a.id > $1 AND `+where+` ORDER BY a.id LIMIT $2`, args...)
}

// AccountUse is what an account has done.
type AccountUse struct {
	Orders       int64     // on record
	LastOrder    time.Time // zero if there is none
	Certificates int64     // ever
	Valid        int64     // of them, neither revoked nor ended
	Newest       []string  // serial numbers of some of those that are valid, the newest first
}

// newestShown is how many serial numbers [AccountUse] has.
const newestShown = 10

// AccountUse counts, by index, what an account has done.
func (s *Store) AccountUse(ctx context.Context, id int64, now time.Time) (u AccountUse, err error) {
	sel := Selection{Accounts: []int64{id}, Now: now}
	where, args, err := sel.where()
	if err != nil {
		return u, err
	}
	last, err := one(ctx, s.read, func(row scanner) (t time.Time, err error) { return t, row.Scan(timeColumn{&t}) },
		`SELECT created_at FROM acme_order WHERE account_id = $1 ORDER BY id DESC LIMIT 1`, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return u, err
	}
	u.LastOrder = last
	for _, q := range []struct {
		to    *int64
		query string
		args  []any
	}{
		{&u.Orders, `SELECT COUNT(*) FROM acme_order WHERE account_id = $1`, []any{id}},
		{&u.Certificates, `SELECT COUNT(*) FROM certificate WHERE account_id = $1`, []any{id}},
		{&u.Valid, `SELECT COUNT(*) FROM certificate c WHERE ` + where, args},
	} {
		if *q.to, err = one(ctx, s.read, scanInt, q.query, q.args...); err != nil {
			return u, err
		}
	}
	u.Newest, err = collect(ctx, s.read, scanString, `SELECT c.serial FROM certificate c WHERE `+where+` ORDER BY c.serial DESC LIMIT `+strconv.Itoa(newestShown), args...)
	return u, err
}

// RevokeAccount ends an account for the operators' sake (RFC 8555 §7.1.6), and what it has
// begun as [Store.DeactivateAccount] does; why is for the audit log.
func (s *Store) RevokeAccount(ctx context.Context, id int64, problem *acme.Problem, why string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := move(ctx, tx, acme.Accounts, "account", id, acme.Valid, acme.Revoked); err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.AccountRevoked, Object: object(id), Detail: audit.Detail{"why": why}}); err != nil {
			return err
		}
		return s.endBegun(ctx, tx, id, problem)
	})
}
