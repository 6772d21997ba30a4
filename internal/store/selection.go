package store

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Selection says which certificates an operator means: those that fit every kind of
// condition that is given, and of each kind one. They are of clients or the server
// itself, and are neither revoked nor ended.
type Selection struct {
	Serials      []string // hexadecimal, lower case
	Names        []string // identifiers' values
	Trees        []string // DNS names: these and all below
	Keys         [][]byte // SHA-256 of the subject public key info
	Accounts     []int64
	ACMEIDs      []string // FQDNs
	Issuers      []string
	IssuedAfter  time.Time // or at that time; zero for any
	IssuedBefore time.Time

	Now time.Time // they end later
	// Replaceable leaves out what is not signed yet, what has been replaced (RFC 9773), and
	// the server's own.
	Replaceable bool
	// Revoked and ended certificates, and those of OCSP responders, are in it too.
	History bool
	// Any makes a selection without a condition one of all; otherwise it is refused.
	Any bool
}

// ErrEverything says that a selection has no condition.
var ErrEverything = errors.New("the selection has no condition, so it is of all certificates")

// where makes the condition of a selection, with its parameters.
func (s Selection) where() (string, []any, error) {
	var conditions []string
	var args []any
	one := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	anyOf := func(format string, n int, value func(i int) any) {
		list := make([]string, n)
		for i := range list {
			list[i] = one(value(i))
		}
		if n > 0 {
			conditions = append(conditions, strings.Replace(format, "…", strings.Join(list, ", "), 1))
		}
	}
	anyOf(`c.serial IN (…)`, len(s.Serials), func(i int) any { return s.Serials[i] })
	anyOf(`c.serial IN (SELECT n.serial FROM certificate_name n WHERE n.value IN (…))`, len(s.Names), func(i int) any { return s.Names[i] })
	anyOf(`c.spki IN (…)`, len(s.Keys), func(i int) any { return s.Keys[i] })
	anyOf(`c.account_id IN (…)`, len(s.Accounts), func(i int) any { return s.Accounts[i] })
	anyOf(`c.account_id IN (SELECT a.id FROM account a JOIN acme_id i ON i.id = a.acme_id WHERE i.fqdn IN (…))`,
		len(s.ACMEIDs), func(i int) any { return s.ACMEIDs[i] })
	anyOf(`c.issuer IN (…)`, len(s.Issuers), func(i int) any { return s.Issuers[i] })
	var trees []string
	for _, name := range s.Trees { // no index has the end of names: all are read
		trees = append(trees, `n.value = `+one(name), `substr(n.value, length(n.value) - `+strconv.Itoa(len(name))+`) = `+one("."+name))
	}
	if len(trees) > 0 {
		conditions = append(conditions, `c.serial IN (SELECT n.serial FROM certificate_name n WHERE `+strings.Join(trees, " OR ")+`)`)
	}
	if !s.IssuedAfter.IsZero() {
		conditions = append(conditions, `c.created_at >= `+one(millis(s.IssuedAfter)))
	}
	if !s.IssuedBefore.IsZero() {
		conditions = append(conditions, `c.created_at < `+one(millis(s.IssuedBefore)))
	}
	switch {
	case len(conditions) == 0 && !s.Any:
		return "", nil, ErrEverything
	case len(conditions) == 0 && s.History:
		return "TRUE", nil, nil
	case s.History:
		return strings.Join(conditions, " AND "), args, nil
	}
	// Certificates of OCSP responders are in no CRL: nobody asks about them.
	conditions = append(conditions, `c.not_after > `+one(millis(s.Now)), `c.shard_id IS NOT NULL`,
		`NOT EXISTS (SELECT 1 FROM revocation r WHERE r.serial = c.serial)`)
	if s.Replaceable {
		conditions = append(conditions, `c.der IS NOT NULL`, `c.replaced_by IS NULL`, `c.account_id IS NOT NULL`)
	}
	return strings.Join(conditions, " AND "), args, nil
}

// String is the selection for people, and for the record.
func (s Selection) String() string {
	var parts []string
	list := func(what string, values []string) {
		if len(values) > 0 {
			parts = append(parts, what+" "+strings.Join(values, ", "))
		}
	}
	list("serial", s.Serials)
	list("name", s.Names)
	list("below", s.Trees)
	keys, accounts := make([]string, len(s.Keys)), make([]string, len(s.Accounts))
	for i, k := range s.Keys {
		keys[i] = hex.EncodeToString(k)
	}
	for i, a := range s.Accounts {
		accounts[i] = strconv.FormatInt(a, 10)
	}
	list("key", keys)
	list("account", accounts)
	list("ACME-ID", s.ACMEIDs)
	list("issuer", s.Issuers)
	if !s.IssuedAfter.IsZero() {
		parts = append(parts, "issued from "+s.IssuedAfter.UTC().Format(time.RFC3339))
	}
	if !s.IssuedBefore.IsZero() {
		parts = append(parts, "issued before "+s.IssuedBefore.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, "; ")
}

// CountSelected counts the certificates of a selection.
func (s *Store) CountSelected(ctx context.Context, sel Selection) (int64, error) {
	where, args, err := sel.where()
	if err != nil {
		return 0, err
	}
	return one(ctx, s.read, scanInt, `SELECT COUNT(*) FROM certificate c WHERE `+where, args...)
}

// Selected lists up to limit serials of a selection, in their order, behind after.
func (s *Store) Selected(ctx context.Context, sel Selection, after string, limit int) ([]string, error) {
	where, args, err := sel.where()
	if err != nil {
		return nil, err
	}
	args = append(args, after, limit)
	n := len(args)
	return collect(ctx, s.read, scanString, `SELECT c.serial FROM certificate c WHERE `+where+
		` AND c.serial > $`+strconv.Itoa(n-1)+` ORDER BY c.serial LIMIT $`+strconv.Itoa(n), args...)
}

// Certificates calls fn for each certificate of a selection, in the order of their serial
// numbers, with all but their names.
func (s *Store) Certificates(ctx context.Context, sel Selection, fn func(Certificate) error) error {
	where, args, err := sel.where()
	if err != nil {
		return err
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+certificateColumns+` WHERE `+where+` ORDER BY c.serial`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanCertificate(rows)
		if err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return rows.Err()
}
