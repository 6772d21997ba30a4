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
		o.Authzs = make([]int64, len(authzs))
		done := make(map[*Authz]bool)
		for i, a := range authzs {
			record := newAuthz
			if a.Recorded {
				record = takeUp
			}
			if !done[a] {
				if err := record(ctx, tx, a); err != nil {
					return err
				}
				done[a] = true
			}
			o.Authzs[i] = a.ID
			if _, err := tx.ExecContext(ctx, `INSERT INTO order_authz (order_id, position, authz_id) VALUES ($1, $2, $3)`,
				o.ID, i, a.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func newAuthz(ctx context.Context, tx *sql.Tx, a *Authz) (err error) {
	a.ID, err = insert(ctx, tx, `INSERT INTO authz (account_id, type, value, wildcard, subdomains, reusable, status, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		a.Account, a.Identifier.Type, a.Identifier.Value, a.Wildcard, a.Subdomains, a.Reusable, a.Status, millis(a.Created), millis(a.Expires))
	if err != nil {
		return err
	}
	for i := range a.Challenges {
		c := &a.Challenges[i]
		c.Authz, c.Account = a.ID, a.Account
		c.ID, err = insert(ctx, tx, `INSERT INTO challenge (authz_id, type, token, status) VALUES ($1, $2, $3, $4) RETURNING id`,
			c.Authz, c.Type, c.Token, c.Status)
		if err != nil {
			return err
		}
	}
	return nil
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, id int64) (Order, error) {
	o, err := one(ctx, s.read, func(row scanner) (o Order, err error) {
		var serial sql.NullString
		err = row.Scan(&o.ID, &o.Account, &o.Status, jsonColumn{&o.Identifiers}, &o.Replaces, &o.Profile, jsonColumn{&o.Error}, &serial,
			timeColumn{&o.Created}, timeColumn{&o.Expires}, timeColumn{&o.NotBefore}, timeColumn{&o.NotAfter})
		o.Serial = serial.String
		return o, err
	}, `SELECT id, account_id, status, identifiers, replaces, profile, error, serial, created_at, expires_at, not_before, not_after FROM acme_order WHERE id = $1`, id)
	if err != nil {
		return o, err
	}
	o.Authzs, err = collect(ctx, s.read, func(row scanner) (id int64, err error) { return id, row.Scan(&id) },
		`SELECT authz_id FROM order_authz WHERE order_id = $1 ORDER BY position`, id)
	return o, err
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
	a, err := one(ctx, s.read, scanAuthz, `SELECT `+authzColumns+` WHERE id = $1`, id)
	if err != nil {
		return a, err
	}
	a.Challenges, err = collect(ctx, s.read, scanChallenge, `SELECT `+challengeColumns+` WHERE authz_id = $1 ORDER BY id`, id)
	return a, err
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
		if err := s.lockOrdersOf(ctx, tx, c.Authz); err != nil {
			return err
		}
		if err := recordValidation(ctx, tx, c, problem); err != nil {
			return err
		}
		if problem == nil {
			return challengeSucceeded(ctx, tx, c, now, expires)
		}
		if err := move(ctx, tx, acme.Challenges, "challenge", c.ID, acme.Processing, acme.Invalid); err != nil {
			return err
		}
		if err := changeOne(ctx, tx, `UPDATE challenge SET error = $1, record = $2 WHERE id = $3`, toJSON(problem), toJSON(c.Record), c.ID); err != nil {
			return err
		}
		if err := move(ctx, tx, acme.Authorizations, "authz", c.Authz, acme.Pending, acme.Invalid); err != nil {
			return keepChallenge(err)
		}
		if err := notReusable(ctx, tx, c.Authz); err != nil {
			return err
		}
		return failOrdersOf(ctx, tx, c.Authz, problem)
	})
}

// recordValidation writes the result of a validation into the audit log.
func recordValidation(ctx context.Context, tx *sql.Tx, c Challenge, problem *acme.Problem) error {
	type who struct {
		name     string
		wildcard bool
		account  int64
	}
	a, err := one(ctx, tx, func(row scanner) (a who, err error) { return a, row.Scan(&a.name, &a.wildcard, &a.account) },
		`SELECT value, wildcard, account_id FROM authz WHERE id = $1`, c.Authz)
	if err != nil {
		return err
	}
	if a.wildcard {
		a.name = "*." + a.name
	}
	e := audit.Event{Action: audit.Validated, Object: a.name, Result: "valid", Detail: audit.Detail{
		"account": a.account, "authorization": c.Authz, "challenge": c.ID, "type": c.Type}}
	if c.Record != nil {
		e.Detail["record"] = c.Record
	}
	if problem != nil {
		e.Result, e.Detail["problem"] = "invalid", problem.Error()
	}
	return record(ctx, tx, e)
}

// lockOrdersOf keeps the orders of an authorization from changing: of two of their
// authorizations that become valid at once, the second must see the first.
func (s *Store) lockOrdersOf(ctx context.Context, tx *sql.Tx, authz int64) error {
	if s.lock() == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT id FROM acme_order WHERE id IN (SELECT order_id FROM order_authz WHERE authz_id = $1)
		ORDER BY id`+s.lock(), authz)
	return err
}

// keepChallenge lets a challenge's result stand when its authorization has already
// come to an end by another challenge or by the client.
func keepChallenge(err error) error {
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

func challengeSucceeded(ctx context.Context, tx *sql.Tx, c Challenge, now, expires time.Time) error {
	if err := move(ctx, tx, acme.Challenges, "challenge", c.ID, acme.Processing, acme.Valid); err != nil {
		return err
	}
	if err := changeOne(ctx, tx, `UPDATE challenge SET validated_at = $1, record = $2 WHERE id = $3`, millis(now), toJSON(c.Record), c.ID); err != nil {
		return err
	}
	if err := move(ctx, tx, acme.Authorizations, "authz", c.Authz, acme.Pending, acme.Valid); err != nil {
		return keepChallenge(err)
	}
	if err := changeOne(ctx, tx, `UPDATE authz SET expires_at = $1, reusable = TRUE WHERE id = $2`, millis(expires), c.Authz); err != nil {
		return err
	}
	if err := supersede(ctx, tx, c.Authz); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE acme_order SET status = 'ready' WHERE status = 'pending'
		AND id IN (SELECT order_id FROM order_authz WHERE authz_id = $1)
		AND NOT EXISTS (SELECT 1 FROM order_authz o JOIN authz a ON a.id = o.authz_id
			WHERE o.order_id = acme_order.id AND a.status <> 'valid')`, c.Authz)
	return err
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
		if err := s.lockOrdersOf(ctx, tx, id); err != nil {
			return err
		}
		if err := move(ctx, tx, acme.Authorizations, "authz", id, from, acme.Deactivated); err != nil {
			return err
		}
		if err := record(ctx, tx, audit.Event{Action: audit.AuthzDeactivated, Object: object(id)}); err != nil {
			return err
		}
		if err := notReusable(ctx, tx, id); err != nil {
			return err
		}
		return failOrdersOf(ctx, tx, id, problem)
	})
}

// InvalidateOrder ends an order that is in the status from.
func (s *Store) InvalidateOrder(ctx context.Context, id int64, from acme.Status, problem *acme.Problem) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := move(ctx, tx, acme.Orders, "acme_order", id, from, acme.Invalid); err != nil {
			return err
		}
		return changeOne(ctx, tx, `UPDATE acme_order SET error = $1 WHERE id = $2`, toJSON(problem), id)
	})
}
