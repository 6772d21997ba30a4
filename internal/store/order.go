package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
	"vidimus/internal/identifier"
)

// Order is an ACME order (RFC 8555 §7.1.3).
type Order struct {
	ID          int64
	Account     int64
	Status      acme.Status
	Identifiers []identifier.Identifier // sorted, distinct
	Replaces    string                  // RFC 9773 certificate identifier, or ""
	Profile     string                  // draft-ietf-acme-profiles; "" where the issuer has none
	Error       *acme.Problem
	Serial      string // of its certificate, hexadecimal; "" before finalize
	Created     time.Time
	Expires     time.Time
	NotBefore   time.Time // of the certificate, as asked for; zero when it was not
	NotAfter    time.Time
	Authzs      []int64 // one for each identifier, in their order; one may stand for several
}

// Authz is an authorization (§7.1.4).
type Authz struct {
	ID         int64
	Account    int64
	Identifier identifier.Identifier // without the "*." of a wildcard
	Wildcard   bool
	Subdomains bool // it is for all names below Identifier too (RFC 9444)
	Reusable   bool // by further orders of the account; set for a pending one that belongs to no order yet
	Recorded   bool // it was read from the database
	Status     acme.Status
	Created    time.Time
	Expires    time.Time
	Challenges []Challenge
}

// Challenge is one way to fulfil an authorization (§7.1.5).
type Challenge struct {
	ID        int64
	Authz     int64
	Account   int64 // of the authorization
	Type      acme.ChallengeType
	Token     string // base64url, at least 128 random bits
	Status    acme.Status
	Validated time.Time
	Error     *acme.Problem
	Record    json.RawMessage // what the validation met with
}

// NewOrder records an order with an authorization for each identifier, one perhaps for
// several, and sets all their IDs. [ErrConflict] means that one of those that are on
// record already has changed since it was read.
func (s *Store) NewOrder(ctx context.Context, o *Order, authzs []*Authz) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		o.ID, err = insert(ctx, tx, `INSERT INTO acme_order (account_id, status, identifiers, replaces, profile, created_at, expires_at, not_before, not_after)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
			o.Account, o.Status, toJSON(o.Identifiers), o.Replaces, o.Profile, millis(o.Created), millis(o.Expires), millis(o.NotBefore), millis(o.NotAfter))
		if err != nil {
			return err
		}
		var fresh []*Authz
		seen := make(map[*Authz]bool)
		for _, a := range authzs {
			if seen[a] {
				continue
			}
			seen[a] = true
			if !a.Recorded {
				fresh = append(fresh, a)
			} else if err := takeUp(ctx, tx, a); err != nil {
				return err
			}
		}
		if err := newAuthzs(ctx, tx, fresh); err != nil {
			return err
		}
		o.Authzs = make([]int64, len(authzs))
		rows := make([][]any, len(authzs))
		for i, a := range authzs {
			o.Authzs[i] = a.ID
			rows[i] = []any{o.ID, i, a.ID}
		}
		return insertAll(ctx, tx, `INSERT INTO order_authz (order_id, position, authz_id)`, rows)
	})
}

// newAuthzs records authorizations with their challenges, and sets the IDs.
func newAuthzs(ctx context.Context, tx *sql.Tx, authzs []*Authz) error {
	rows := make([][]any, len(authzs))
	for i, a := range authzs {
		rows[i] = []any{a.Account, a.Identifier.Type, a.Identifier.Value, a.Wildcard, a.Subdomains, a.Reusable, a.Status, millis(a.Created), millis(a.Expires)}
	}
	ids, err := insertNumbered(ctx, tx, `INSERT INTO authz
		(account_id, type, value, wildcard, subdomains, reusable, status, created_at, expires_at)`, rows)
	if err != nil {
		return err
	}
	var challenges []*Challenge
	rows = nil
	for i, a := range authzs {
		a.ID = ids[i]
		for k := range a.Challenges {
			c := &a.Challenges[k]
			c.Authz, c.Account = a.ID, a.Account
			challenges = append(challenges, c)
			rows = append(rows, []any{c.Authz, c.Type, c.Token, c.Status})
		}
	}
	if ids, err = insertNumbered(ctx, tx, `INSERT INTO challenge (authz_id, type, token, status)`, rows); err != nil {
		return err
	}
	for i, c := range challenges {
		c.ID = ids[i]
	}
	return nil
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, id int64) (o Order, err error) {
	type part struct {
		Order
		authz int64
	}
	// A row for each authorization; the first alone has the identifiers, which are many
	// when the rows are.
	all, err := collect(ctx, s.read, func(row scanner) (p part, err error) {
		var serial sql.NullString
		var authz sql.NullInt64
		o := &p.Order
		err = row.Scan(&o.ID, &o.Account, &o.Status, jsonColumn{&o.Identifiers}, &o.Replaces, &o.Profile, jsonColumn{&o.Error}, &serial,
			timeColumn{&o.Created}, timeColumn{&o.Expires}, timeColumn{&o.NotBefore}, timeColumn{&o.NotAfter}, &authz)
		o.Serial, p.authz = serial.String, authz.Int64
		return p, err
	}, `SELECT o.id, o.account_id, o.status, CASE WHEN COALESCE(a.position, 0) = 0 THEN o.identifiers END, o.replaces, o.profile,
			o.error, o.serial, o.created_at, o.expires_at, o.not_before, o.not_after, a.authz_id
		FROM acme_order o LEFT JOIN order_authz a ON a.order_id = o.id WHERE o.id = $1 ORDER BY a.position`, id)
	if err != nil {
		return o, err
	}
	if len(all) == 0 {
		return o, ErrNotFound
	}
	o = all[0].Order
	for _, p := range all {
		if p.authz != 0 {
			o.Authzs = append(o.Authzs, p.authz)
		}
	}
	return o, nil
}

// OrdersOf lists up to limit orders of an account that are not invalid, newest
// first, with numbers below before; 0 means from the newest.
func (s *Store) OrdersOf(ctx context.Context, account, before int64, limit int) ([]int64, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	return collect(ctx, s.read, func(row scanner) (id int64, err error) { return id, row.Scan(&id) },
		`SELECT id FROM acme_order WHERE account_id = $1 AND id < $2 AND status <> 'invalid' ORDER BY id DESC LIMIT $3`,
		account, before, limit)
}

const challengeColumns = `id, authz_id, (SELECT account_id FROM authz WHERE authz.id = challenge.authz_id),
	type, token, status, validated_at, error, record FROM challenge`

func scanChallenge(row scanner) (c Challenge, err error) {
	err = row.Scan(&c.ID, &c.Authz, &c.Account, &c.Type, &c.Token, &c.Status, timeColumn{&c.Validated}, jsonColumn{&c.Error}, jsonColumn{&c.Record})
	return c, err
}

// Authz finds an authorization with its challenges.
func (s *Store) Authz(ctx context.Context, id int64) (Authz, error) {
	return s.authz(ctx, `a.id = $1`, id)
}

// AuthzOf finds the authorization of a challenge, with all its challenges.
func (s *Store) AuthzOf(ctx context.Context, challenge int64) (Authz, error) {
	return s.authz(ctx, `a.id = (SELECT authz_id FROM challenge WHERE id = $1)`, challenge)
}

func (s *Store) authz(ctx context.Context, where string, arg any) (a Authz, err error) {
	type part struct {
		Authz
		one Challenge
	}
	all, err := collect(ctx, s.read, func(row scanner) (p part, err error) {
		a, c := &p.Authz, &p.one
		var id sql.NullInt64
		var kind, token, status sql.NullString
		err = row.Scan(&a.ID, &a.Account, &a.Identifier.Type, &a.Identifier.Value, &a.Wildcard, &a.Subdomains, &a.Reusable, &a.Status,
			timeColumn{&a.Created}, timeColumn{&a.Expires},
			&id, &kind, &token, &status, timeColumn{&c.Validated}, jsonColumn{&c.Error}, jsonColumn{&c.Record})
		c.ID, c.Type, c.Token, c.Status = id.Int64, acme.ChallengeType(kind.String), token.String, acme.Status(status.String)
		return p, err
	}, `SELECT a.id, a.account_id, a.type, a.value, a.wildcard, a.subdomains, a.reusable, a.status, a.created_at, a.expires_at,
			c.id, c.type, c.token, c.status, c.validated_at, c.error, c.record
		FROM authz a LEFT JOIN challenge c ON c.authz_id = a.id WHERE `+where+` ORDER BY c.id`, arg)
	if err != nil {
		return a, err
	}
	if len(all) == 0 {
		return a, ErrNotFound
	}
	a = all[0].Authz
	a.Recorded, a.Challenges = true, []Challenge{}
	for _, p := range all {
		if c := p.one; c.ID != 0 { // one granted by the host database has none
			c.Authz, c.Account = a.ID, a.Account
			a.Challenges = append(a.Challenges, c)
		}
	}
	return a, nil
}

// Challenge finds a challenge.
func (s *Store) Challenge(ctx context.Context, id int64) (Challenge, error) {
	return one(ctx, s.read, scanChallenge, `SELECT `+challengeColumns+` WHERE id = $1`, id)
}

// StartChallenge moves a challenge from pending to processing.
func (s *Store) StartChallenge(ctx context.Context, id int64) error {
	return s.updateOne(ctx, `UPDATE challenge SET status = 'processing', started_at = `+s.clock()+`
		WHERE id = $1 AND status = 'pending'`, id)
}

// FinishChallenge records the result of a validation, and what follows from it: the
// authorization becomes valid or invalid, each of its pending orders invalid, or
// ready once all its authorizations are valid. A problem of nil means success.
func (s *Store) FinishChallenge(ctx context.Context, c Challenge, problem *acme.Problem, now, expires time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if problem == nil {
			return s.challengeSucceeded(ctx, tx, c, now, expires)
		}
		if err := recordValidation(ctx, tx, c, problem); err != nil {
			return err
		}
		if err := move(ctx, tx, acme.Challenges, "challenge", c.ID, acme.Processing, acme.Invalid,
			column{"error", toJSON(problem)}, column{"record", toJSON(c.Record)}); err != nil {
			return err
		}
		if err := move(ctx, tx, acme.Authorizations, "authz", c.Authz, acme.Pending, acme.Invalid, column{"reusable", false}); err != nil {
			return keepChallenge(err)
		}
		return failOrdersOf(ctx, tx, c.Authz, problem)
	})
}

// recordValidation writes the result of a validation into the audit log, in one
// statement with the look at whose it is.
func recordValidation(ctx context.Context, tx *sql.Tx, c Challenge, problem *acme.Problem) error {
	e := audit.Event{Action: audit.Validated, Result: "valid", Detail: audit.Detail{"authorization": c.Authz, "challenge": c.ID, "type": c.Type}}
	if c.Record != nil {
		e.Detail["record"] = c.Record
	}
	if problem != nil {
		e.Result, e.Detail["problem"] = "invalid", problem.Error()
	}
	happened(ctx, e)
	rest := "," + toJSON(e.Detail)[1:]
	return changeOne(ctx, tx, `INSERT INTO audit (at, actor, action, object, result, detail)
		SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CASE WHEN wildcard THEN '*.' || value ELSE value END, CAST($4 AS TEXT),
			'{"account":' || CAST(account_id AS TEXT) || CAST($5 AS TEXT) FROM authz WHERE id = $6`,
		time.Now().UnixMilli(), toJSON(audit.Of(ctx)), e.Action, e.Result, rest, c.Authz)
}

// ordersOf lists the orders of an authorization, and keeps them from changing: of two of
// their authorizations that become valid at once, the second must see the first. It
// comes after the change of the authorization, which who takes it up waits for.
func (s *Store) ordersOf(ctx context.Context, tx *sql.Tx, authz int64) ([]int64, error) {
	lock := s.lock()
	if lock != "" {
		lock += " OF o"
	}
	return collect(ctx, tx, scanID, `SELECT o.id FROM order_authz a JOIN acme_order o ON o.id = a.order_id
		WHERE a.authz_id = $1 AND o.status = 'pending' ORDER BY o.id`+lock, authz)
}

// keepChallenge lets a challenge's result stand when its authorization has already
// come to an end by another challenge or by the client.
func keepChallenge(err error) error {
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

func (s *Store) challengeSucceeded(ctx context.Context, tx *sql.Tx, c Challenge, now, expires time.Time) error {
	if err := recordValidation(ctx, tx, c, nil); err != nil {
		return err
	}
	if err := move(ctx, tx, acme.Challenges, "challenge", c.ID, acme.Processing, acme.Valid,
		column{"validated_at", millis(now)}, column{"record", toJSON(c.Record)}); err != nil {
		return err
	}
	if err := move(ctx, tx, acme.Authorizations, "authz", c.Authz, acme.Pending, acme.Valid,
		column{"expires_at", millis(expires)}, column{"reusable", true}); err != nil {
		return keepChallenge(err)
	}
	if err := supersede(ctx, tx, c.Authz); err != nil {
		return err
	}
	orders, err := s.ordersOf(ctx, tx, c.Authz)
	if err != nil {
		return err
	}
	for _, id := range orders {
		if _, err := tx.ExecContext(unawaited(ctx), `UPDATE acme_order SET status = 'ready' WHERE id = $1 AND status = 'pending'
			AND NOT EXISTS (SELECT 1 FROM order_authz o JOIN authz a ON a.id = o.authz_id
				WHERE o.order_id = $1 AND a.status <> 'valid')`, id); err != nil {
			return err
		}
	}
	return nil
}

func failOrdersOf(ctx context.Context, tx *sql.Tx, authz int64, problem *acme.Problem) error {
	_, err := tx.ExecContext(ctx, `UPDATE acme_order SET status = 'invalid', error = $1 WHERE status IN ('pending', 'ready')
		AND id IN (SELECT order_id FROM order_authz WHERE authz_id = $2)`, toJSON(problem), authz)
	return err
}

// DeactivateAuthz gives up an authorization (§7.5.2); orders that wait for it, or
// count on it, become invalid.
func (s *Store) DeactivateAuthz(ctx context.Context, id int64, from acme.Status, problem *acme.Problem) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := move(ctx, tx, acme.Authorizations, "authz", id, from, acme.Deactivated, column{"reusable", false}); err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.AuthzDeactivated, Object: object(id)}); err != nil {
			return err
		}
		return failOrdersOf(ctx, tx, id, problem)
	})
}

// InvalidateOrder ends an order that is in the status from.
func (s *Store) InvalidateOrder(ctx context.Context, id int64, from acme.Status, problem *acme.Problem) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return move(ctx, tx, acme.Orders, "acme_order", id, from, acme.Invalid, column{"error", toJSON(problem)})
	})
}
