package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"vidimus/internal/audit"
)

// ACMEID is a named permission: it may manage Names.
type ACMEID struct {
	ID            int64     `json:"-"`
	FQDN          string    `json:"fqdn"`    // the host it is named for
	Names         []string  `json:"names"`   // of hosts, and wildcards above them
	Version       int64     `json:"version"` // counts the changes made to it
	Created       time.Time `json:"created"`
	Invalid       time.Time `json:"invalid,omitzero"`        // since when; zero while it is good
	InvalidWhy    string    `json:"invalid_why,omitempty"`   // and why, when it is known
	KID           string    `json:"kid,omitempty"`           // of the last credentials
	HMACKey       []byte    `json:"-"`                       // nil once used
	CredentialsAt time.Time `json:"credentials_at,omitzero"` // when they were made
	Accounts      []int64   `json:"accounts,omitempty"`      // valid ACME accounts bound to it, but for staging
}

// Credentials are the EAB credentials of an ACME-ID (RFC 8555 §7.3.4).
type Credentials struct {
	KID     string
	HMACKey []byte
}

// AddACMEID makes an ACME-ID with its set of names and its first credentials. It
// fails with [ErrNotFound] when there is no such host, and with [ErrConflict] when
// there is a valid one for that FQDN.
func (s *Store) AddACMEID(ctx context.Context, fqdn string, names []string, c Credentials, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := one(ctx, tx, scanString, `SELECT fqdn FROM host WHERE fqdn = $1`+s.lock(), fqdn); err != nil {
			return err
		}
		id, err := insert(ctx, tx, `INSERT INTO acme_id (fqdn, created_at, kid, hmac_key, credentials_at)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id`,
			fqdn, millis(now), c.KID, c.HMACKey, millis(now))
		if err != nil {
			return err
		}
		if err := addNames(ctx, tx, id, names); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.ACMEIDCreated, Object: fqdn, Detail: audit.Detail{"names": names}},
			audit.Event{Action: audit.CredentialsMade, Object: fqdn, Detail: audit.Detail{"kid": c.KID}})
	})
}

func addNames(ctx context.Context, tx *sql.Tx, id int64, names []string) error {
	for _, n := range names {
		if _, err := tx.ExecContext(ctx, `INSERT INTO acme_id_name (acme_id, name, fqdn) VALUES ($1, $2, $3)
			ON CONFLICT DO NOTHING`, id, n, strings.TrimPrefix(n, "*.")); err != nil {
			return err
		}
	}
	return nil
}

// ChangeNames adds names to, and removes names from, the set of a valid ACME-ID that
// still has this version; [ErrConflict] when it has not.
func (s *Store) ChangeNames(ctx context.Context, id, version int64, add, remove []string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		fqdn, err := changed(ctx, tx, `UPDATE acme_id SET version = version + 1
			WHERE id = $1 AND version = $2 AND invalid_at IS NULL RETURNING fqdn`, id, version)
		if err != nil {
			return err
		}
		for _, n := range remove {
			if err := changeOne(ctx, tx, `DELETE FROM acme_id_name WHERE acme_id = $1 AND name = $2`, id, n); err != nil {
				return missing(err)
			}
		}
		if err := addNames(ctx, tx, id, add); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.ACMEIDNames, Object: fqdn, Detail: audit.Detail{"added": add, "removed": remove}})
	})
}

const acmeIDColumns = `id, fqdn, version, created_at, invalid_at, invalid_why, kid, hmac_key, credentials_at`

func scanACMEID(row scanner) (a ACMEID, err error) {
	var kid sql.NullString
	err = row.Scan(&a.ID, &a.FQDN, &a.Version, timeColumn{&a.Created}, timeColumn{&a.Invalid}, &a.InvalidWhy, &kid, &a.HMACKey, timeColumn{&a.CredentialsAt})
	a.KID = kid.String
	return a, err
}

func (s *Store) completeACMEID(ctx context.Context, a ACMEID, err error) (ACMEID, error) {
	if err != nil {
		return a, err
	}
	if a.Names, err = collect(ctx, s.read, scanString, `SELECT name FROM acme_id_name WHERE acme_id = $1 ORDER BY name`, a.ID); err != nil {
		return a, err
	}
	a.Accounts, err = collect(ctx, s.read, func(row scanner) (id int64, err error) { return id, row.Scan(&id) },
		`SELECT id FROM account WHERE acme_id = $1 AND status = 'valid' AND NOT staging ORDER BY id`, a.ID)
	return a, err
}

// ACMEIDs lists all ACME-IDs by FQDN, those that are invalid too.
func (s *Store) ACMEIDs(ctx context.Context) ([]ACMEID, error) {
	all := []ACMEID{}
	err := s.EachACMEID(ctx, func(a ACMEID) error { all = append(all, a); return nil })
	return all, err
}

// ACMEID finds the ACME-ID of an FQDN: the valid one, or else the one that was
// invalidated last.
func (s *Store) ACMEID(ctx context.Context, fqdn string) (ACMEID, error) {
	a, err := one(ctx, s.read, scanACMEID, `SELECT `+acmeIDColumns+` FROM acme_id WHERE fqdn = $1
		ORDER BY invalid_at IS NULL DESC, invalid_at DESC LIMIT 1`, fqdn)
	return s.completeACMEID(ctx, a, err)
}

// ACMEIDByKID finds the ACME-ID whose last credentials have this key ID, used or
// not; names and accounts are not filled.
func (s *Store) ACMEIDByKID(ctx context.Context, kid string) (ACMEID, error) {
	return one(ctx, s.read, scanACMEID, `SELECT `+acmeIDColumns+` FROM acme_id WHERE kid = $1`, kid)
}

// ACMEIDByID finds an ACME-ID; accounts are not filled.
func (s *Store) ACMEIDByID(ctx context.Context, id int64) (ACMEID, error) {
	a, err := one(ctx, s.read, scanACMEID, `SELECT `+acmeIDColumns+` FROM acme_id WHERE id = $1`, id)
	return s.completeACMEID(ctx, a, err)
}

// BoundAccounts is what becomes of the accounts that are bound to an ACME-ID when it is
// given new credentials.
type BoundAccounts int

// What becomes of them.
const (
	ReplaceAccounts BoundAccounts = iota // they end when another has registered with the new credentials
	StopAccounts                         // they end at once
	KeepAccounts                         // they go on beside the new one
)

// NewCredentials replaces the credentials of a valid ACME-ID. With [StopAccounts], the
// accounts bound to it are revoked in the same transaction.
func (s *Store) NewCredentials(ctx context.Context, id int64, c Credentials, bound BoundAccounts, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// First the credentials: who registers with the old ones is through, and found
		// below, or too late.
		fqdn, err := changed(ctx, tx, `UPDATE acme_id SET kid = $1, hmac_key = $2, credentials_at = $3, keep = $4, version = version + 1
			WHERE id = $5 AND invalid_at IS NULL RETURNING fqdn`, c.KID, c.HMACKey, millis(now), bound == KeepAccounts, id)
		if err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.CredentialsMade, Object: fqdn, Detail: audit.Detail{"kid": c.KID}}); err != nil || bound != StopAccounts {
			return err
		}
		return revokeAccountsOf(ctx, tx, id)
	})
}

// RemoveACMEID makes a valid ACME-ID invalid and empties its set; the record stays.
func (s *Store) RemoveACMEID(ctx context.Context, id int64, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		fqdn, err := changed(ctx, tx, `UPDATE acme_id SET invalid_at = $1, invalid_why = $2, hmac_key = NULL
			WHERE id = $3 AND invalid_at IS NULL RETURNING fqdn`, millis(now), "it was removed", id)
		if err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.ACMEIDRemoved, Object: fqdn}); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM acme_id_name WHERE acme_id = $1`, id)
		return err
	})
}

func revokeAccountsOf(ctx context.Context, tx *sql.Tx, acmeID int64) error {
	return revokeAccounts(ctx, tx, `acme_id = $1`, acmeID)
}

// revokeAccounts revokes the valid accounts of an ACME-ID that a condition finds.
func revokeAccounts(ctx context.Context, tx *sql.Tx, where string, args ...any) error {
	ids, err := collect(ctx, tx, scanID, `UPDATE account SET status = 'revoked' WHERE status = 'valid' AND `+where+` RETURNING id`, args...)
	if err != nil {
		return err
	}
	events := make([]audit.Event, len(ids))
	for i, id := range ids {
		events[i] = audit.Event{Action: audit.AccountRevoked, Object: object(id), Detail: audit.Detail{"why": "other credentials of its ACME-ID"}}
	}
	return record(ctx, tx, events...)
}

func scanID(row scanner) (id int64, err error) { return id, row.Scan(&id) }

// changed runs an UPDATE … RETURNING of one text, which must change exactly one row.
func changed(ctx context.Context, tx *sql.Tx, query string, args ...any) (string, error) {
	text, err := one(ctx, tx, scanString, query, args...)
	if errors.Is(err, ErrNotFound) {
		err = ErrConflict
	}
	return text, err
}
