package store

import (
	"cmp"
	"context"
	"database/sql"
	"strconv"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// Account is an ACME account.
type Account struct {
	ID         int64
	Directory  string // name in the URL of the ACME directory it belongs to
	Thumbprint string // of its key, RFC 7638, base64url
	JWK        []byte // its public key
	Status     acme.Status
	Contact    []string
	Agreed     time.Time // to the terms of service; zero if there were none
	AgreedTo   string    // URL of these terms
	Created    time.Time

	Staging       bool      // it is for trying things, in the directory of a staging issuer
	Bound         bool      // it was made by an external account binding
	Binding       []byte    // which is this JWS; only set for a new account, see [Store.Binding]
	ACMEID        int64     // the ACME-ID it is bound to; 0 if none
	ACMEIDFQDN    string    // whose name this is
	ACMEIDInvalid time.Time // and since when it is invalid; zero while it is good
	ACMEIDWhy     string    // and why, when it is known

	UserAgent string // of the client that registered it
	Address   string // and from where

	Suspended    string // why an operator has suspended the account or its ACME-ID; "" while it isn't
	AnySuspended bool   // something is suspended, perhaps a name; see [Store.Suspensions]
}

// A join would have SQLite plan the query anew each time that it runs.
const accountColumns = `a.id, a.directory, a.thumbprint, a.jwk, a.status, a.contact, a.agreed_at, a.agreed_to, a.created_at, a.staging, a.bound,
	a.acme_id, (SELECT i.fqdn FROM acme_id i WHERE i.id = a.acme_id), (SELECT i.invalid_at FROM acme_id i WHERE i.id = a.acme_id), (SELECT i.invalid_why FROM acme_id i WHERE i.id = a.acme_id),
	a.user_agent, a.address, EXISTS (SELECT 1 FROM suspension),
	(SELECT s.reason FROM suspension s WHERE s.kind = 'account' AND s.object = CAST(a.id AS TEXT)),
	(SELECT s.reason FROM suspension s WHERE s.kind = 'acme-id' AND s.object = (SELECT i.fqdn FROM acme_id i WHERE i.id = a.acme_id))
	FROM account a`

func scanAccount(row scanner) (a Account, err error) {
	var acmeID sql.NullInt64
	var fqdn, terms, why, own, acmeIDs sql.NullString
	err = row.Scan(&a.ID, &a.Directory, &a.Thumbprint, &a.JWK, &a.Status, jsonColumn{&a.Contact}, timeColumn{&a.Agreed}, &terms,
		timeColumn{&a.Created}, &a.Staging, &a.Bound, &acmeID, &fqdn, timeColumn{&a.ACMEIDInvalid}, &why,
		&a.UserAgent, &a.Address, &a.AnySuspended, &own, &acmeIDs)
	a.ACMEID, a.ACMEIDFQDN, a.AgreedTo, a.ACMEIDWhy = acmeID.Int64, fqdn.String, terms.String, why.String
	a.Suspended = cmp.Or(own.String, acmeIDs.String)
	return a, err
}

// Account finds an account by its number.
func (s *Store) Account(ctx context.Context, id int64) (Account, error) {
	return one(ctx, s.read, scanAccount, `SELECT `+accountColumns+` WHERE a.id = $1`, id)
}

// AccountByKey finds the account of a key in a directory.
func (s *Store) AccountByKey(ctx context.Context, directory, thumbprint string) (Account, error) {
	return one(ctx, s.read, scanAccount, `SELECT `+accountColumns+` WHERE a.directory = $1 AND a.thumbprint = $2`, directory, thumbprint)
}

// NewAccount records an account and sets its ID. [ErrConflict] means that its key
// has one already.
func (s *Store) NewAccount(ctx context.Context, a *Account) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return newAccount(ctx, tx, a) })
}

func newAccount(ctx context.Context, tx *sql.Tx, a *Account) (err error) {
	a.ID, err = insert(ctx, tx, `INSERT INTO account
		(directory, thumbprint, jwk, status, contact, agreed_at, agreed_to, acme_id, bound, binding, staging, created_at, user_agent, address)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING RETURNING id`,
		a.Directory, a.Thumbprint, string(a.JWK), a.Status, toJSON(a.Contact), millis(a.Agreed), nullText(a.AgreedTo),
		sql.NullInt64{Int64: a.ACMEID, Valid: a.ACMEID != 0}, a.Bound, nullText(string(a.Binding)), a.Staging, millis(a.Created), a.UserAgent, a.Address)
	if err != nil {
		return err
	}
	return record(ctx, tx, audit.Event{Action: audit.AccountCreated, Object: object(a.ID), Detail: audit.Detail{
		"directory": a.Directory, "thumbprint": a.Thumbprint, "acme_id": a.ACMEIDFQDN, "agreed_to": a.AgreedTo}})
}

// object is how the audit log names what has only a number.
func object(id int64) string { return strconv.FormatInt(id, 10) }

func nullText(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// NewBoundAccount uses up the credentials kid of the ACME-ID a.ACMEID, revokes the
// accounts bound to it before unless they were to stay ([KeepAccounts]), and records the account, all or nothing.
// [ErrNotFound] means that the credentials are gone: another registration was
// first, or they were replaced.
func (s *Store) NewBoundAccount(ctx context.Context, a *Account, kid string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		keep, err := one(ctx, tx, scanBool, `UPDATE acme_id SET hmac_key = NULL
			WHERE id = $1 AND kid = $2 AND hmac_key IS NOT NULL AND invalid_at IS NULL RETURNING keep`, a.ACMEID, kid)
		if err != nil {
			return err
		}
		if !keep {
			if err := succeedAccountsOf(ctx, tx, a.ACMEID, false); err != nil {
				return err
			}
		}
		a.Bound = true
		if err := newAccount(ctx, tx, a); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.CredentialsUsed, Object: a.ACMEIDFQDN, Detail: audit.Detail{"kid": kid, "account": a.ID}})
	})
}

// SetContact replaces the contacts of a valid account.
func (s *Store) SetContact(ctx context.Context, id int64, contact []string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE account SET contact = $1 WHERE id = $2 AND status = 'valid'`, toJSON(contact), id); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.AccountChanged, Object: object(id)})
	})
}

// SetAccountKey gives a valid account another key (RFC 8555 §7.3.5). [ErrConflict]
// means that the key has an account in the same directory, or that the account's
// key is no longer the one with the thumbprint old.
func (s *Store) SetAccountKey(ctx context.Context, a Account, thumbprint string, jwk []byte) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE account SET thumbprint = $1, jwk = $2
			WHERE id = $3 AND thumbprint = $4 AND status = 'valid' AND NOT EXISTS
				(SELECT 1 FROM account WHERE directory = $5 AND thumbprint = $1)`,
			thumbprint, string(jwk), a.ID, a.Thumbprint, a.Directory); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.AccountKeyChanged, Object: object(a.ID), Detail: audit.Detail{
			"old_thumbprint": a.Thumbprint, "thumbprint": thumbprint}})
	})
}
