package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
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

// Challenge is one way to fulfil an authorization (§7.1.5). An authorization has at most
// 16 of them.
type Challenge struct {
	ID        int64 // see [AuthzOf]
	Authz     int64
	Account   int64 // of the authorization
	Type      acme.ChallengeType
	Token     string // base64url, at least 128 random bits
	Status    acme.Status
	Validated time.Time
	Error     *acme.Problem
	Record    json.RawMessage // what the validation met with
}

// challengesEach is how many numbers each authorization has for its challenges.
const challengesEach = 16

// AuthzOf is the number of the authorization that a challenge belongs to, and the
// challenge's place in its list.
func AuthzOf(challenge int64) (authz int64, place int) {
	return challenge / challengesEach, int(challenge % challengesEach)
}

// NewOrder records an order with an authorization for each identifier, one perhaps for
// several, and sets all their IDs. [ErrConflict] means that one of those that are on
// record already has changed since it was read.
func (s *Store) NewOrder(ctx context.Context, o *Order, authzs []*Authz) error {
	var fresh []*Authz
	var tickets []uint64
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		var distinct []*Authz
		fresh, tickets = nil, nil
		for _, a := range authzs {
			if slices.Contains(distinct, a) {
				continue
			}
			distinct = append(distinct, a)
			if !a.Recorded {
				fresh = append(fresh, a)
			} else if err := takeUp(ctx, tx, a); err != nil {
				return err
			}
		}
		if err := newAuthzs(ctx, tx, fresh); err != nil {
			return err
		}
		for _, a := range fresh {
			tickets = append(tickets, s.recent.change(a.ID))
		}
		o.Authzs = make([]int64, len(authzs))
		for i, a := range authzs {
			o.Authzs[i] = a.ID
		}
		o.ID, err = insert(ctx, tx, `INSERT INTO acme_order (account_id, status, identifiers, authzs, replaces, profile, created_at, expires_at, not_before, not_after)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`, o.Account, o.Status, toJSON(o.Identifiers), toJSON(o.Authzs), o.Replaces,
			o.Profile, millis(o.Created), millis(o.Expires), millis(o.NotBefore), millis(o.NotAfter))
		if err != nil {
			return err
		}
		rows := make([][]any, len(distinct))
		for i, a := range distinct {
			rows[i] = []any{a.ID, o.ID}
		}
		return insertAll(ctx, tx, `INSERT INTO order_authz (authz_id, order_id)`, rows)
	})
	if err == nil {
		for i, a := range fresh {
			if a.Status == acme.Pending { // of others the client knows that they are valid
				s.recent.changed(tickets[i], *a)
			}
		}
	}
	return err
}

// newAuthzs records authorizations with their challenges, and sets the IDs.
func newAuthzs(ctx context.Context, tx *sql.Tx, authzs []*Authz) error {
	rows := make([][]any, len(authzs))
	for i, a := range authzs {
		if len(a.Challenges) > challengesEach {
			return fmt.Errorf("an authorization has at most %d challenges, not %d", challengesEach, len(a.Challenges))
		}
		rows[i] = []any{a.Account, a.Identifier.Type, a.Identifier.Value, a.Wildcard, a.Subdomains, a.Reusable, a.Status,
			millis(a.Created), millis(a.Expires), challengesJSON(a.Challenges)}
	}
	ids, err := insertNumbered(ctx, tx, `INSERT INTO authz
		(account_id, type, value, wildcard, subdomains, reusable, status, created_at, expires_at, challenges)`, rows)
	if err != nil {
		return err
	}
	for i, a := range authzs {
		a.ID = ids[i]
		a.number()
	}
	return nil
}

// number tells the challenges whose they are.
func (a *Authz) number() {
	for i := range a.Challenges {
		c := &a.Challenges[i]
		c.ID, c.Authz, c.Account = a.ID*challengesEach+int64(i), a.ID, a.Account
	}
}

// challengeRecord is a challenge in the list of its authorization, as JSON.
type challengeRecord struct {
	Type      acme.ChallengeType `json:"type"`
	Token     string             `json:"token"`
	Status    acme.Status        `json:"status"`
	Validated int64              `json:"validated,omitempty"` // Unix milliseconds
	Error     *acme.Problem      `json:"error,omitempty"`
	Record    json.RawMessage    `json:"record,omitempty"`
}

func challengesJSON(all []Challenge) string {
	list := make([]challengeRecord, len(all))
	for i, c := range all {
		list[i] = challengeRecord{Type: c.Type, Token: c.Token, Status: c.Status, Error: c.Error, Record: c.Record}
		if !c.Validated.IsZero() {
			list[i].Validated = c.Validated.UnixMilli()
		}
	}
	return toJSON(list)
}

type challengesColumn struct{ all *[]Challenge }

func (c challengesColumn) Scan(v any) error {
	var list []challengeRecord
	if err := (jsonColumn{&list}).Scan(v); err != nil {
		return err
	}
	*c.all = make([]Challenge, len(list))
	for i, r := range list {
		(*c.all)[i] = Challenge{Type: r.Type, Token: r.Token, Status: r.Status, Error: r.Error, Record: r.Record}
		if r.Validated != 0 {
			(*c.all)[i].Validated = time.UnixMilli(r.Validated).UTC()
		}
	}
	return nil
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, id int64) (Order, error) {
	return one(ctx, s.read, func(row scanner) (o Order, err error) {
		var serial sql.NullString
		err = row.Scan(&o.ID, &o.Account, &o.Status, jsonColumn{&o.Identifiers}, jsonColumn{&o.Authzs}, &o.Replaces, &o.Profile, jsonColumn{&o.Error}, &serial,
			timeColumn{&o.Created}, timeColumn{&o.Expires}, timeColumn{&o.NotBefore}, timeColumn{&o.NotAfter})
		o.Serial = serial.String
		return o, err
	}, `SELECT id, account_id, status, identifiers, authzs, replaces, profile, error, serial, created_at, expires_at, not_before, not_after
		FROM acme_order WHERE id = $1`, id)
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

// Authz finds an authorization with its challenges.
func (s *Store) Authz(ctx context.Context, id int64) (Authz, error) {
	return one(ctx, s.read, scanAuthz, `SELECT `+authzColumns+` WHERE id = $1`, id)
}

// Challenge finds a challenge.
func (s *Store) Challenge(ctx context.Context, id int64) (Challenge, error) {
	authz, place := AuthzOf(id)
	a, err := s.Authz(ctx, authz)
	switch {
	case err != nil:
		return Challenge{}, err
	case place >= len(a.Challenges):
		return Challenge{}, ErrNotFound
	}
	return a.Challenges[place], nil
}

// StartChallenge moves a challenge from pending to processing. [ErrConflict] means that
// it was not pending.
func (s *Store) StartChallenge(ctx context.Context, id int64) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a, c, err := s.lockChallenge(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.Status != acme.Pending {
			return ErrConflict
		}
		c.Status = acme.Processing
		s.recent.change(a.ID)
		return changeOne(ctx, tx, `UPDATE authz SET challenges = $1, started_at = `+s.clock()+` WHERE id = $2`, challengesJSON(a.Challenges), a.ID)
	})
}

// lockChallenge reads a challenge, with its authorization, to change it.
func (s *Store) lockChallenge(ctx context.Context, tx *sql.Tx, id int64) (*Authz, *Challenge, error) {
	authz, place := AuthzOf(id)
	a, err := one(ctx, tx, scanAuthz, `SELECT `+authzColumns+` WHERE id = $1`+s.lock(), authz)
	if err != nil {
		return nil, nil, err
	}
	if place >= len(a.Challenges) {
		return nil, nil, ErrNotFound
	}
	return &a, &a.Challenges[place], nil
}

// FinishChallenge records the result of a validation, of a challenge that may still be on
// record as pending, and what follows from it: the authorization becomes valid or
// invalid, each of its pending orders invalid, or ready once all its authorizations are
// valid. A problem of nil means success. [ErrConflict] means that the challenge has a
// result.
func (s *Store) FinishChallenge(ctx context.Context, done Challenge, problem *acme.Problem, now, expires time.Time) error {
	var ended *Authz
	var ticket uint64
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		a, c, err := s.lockChallenge(ctx, tx, done.ID)
		if err != nil {
			return err
		}
		if c.Status != acme.Pending && c.Status != acme.Processing {
			return ErrConflict
		}
		c.Status, c.Validated, c.Error, c.Record = acme.Valid, now, nil, done.Record
		if problem != nil {
			c.Status, c.Validated, c.Error = acme.Invalid, time.Time{}, problem
		}
		// An authorization that has come to an end by another challenge, or by the client,
		// stays as it is.
		decides := a.Status == acme.Pending
		switch {
		case decides && problem == nil:
			a.Status, a.Expires, a.Reusable = acme.Valid, expires, true
		case decides:
			a.Status, a.Reusable = acme.Invalid, false
		}
		ended, ticket = a, s.recent.change(a.ID)
		// Its row is locked, so there is nothing to learn from the result.
		if _, err := tx.ExecContext(unawaited(ctx), `UPDATE authz SET status = $1, expires_at = $2, reusable = $3, challenges = $4,
			started_at = CASE WHEN $5 THEN started_at ELSE 0 END WHERE id = $6`,
			a.Status, millis(a.Expires), a.Reusable, challengesJSON(a.Challenges), a.validating(), a.ID); err != nil {
			return err
		}
		if decides {
			if err := s.settleOrdersOf(ctx, tx, a, problem); err != nil {
				return err
			}
		}
		return recordValidation(ctx, tx, a, c)
	})
	if err == nil {
		s.recent.changed(ticket, *ended)
	}
	return err
}

// validating tells whether there is a challenge whose result is not known yet.
func (a *Authz) validating() bool {
	return slices.ContainsFunc(a.Challenges, func(c Challenge) bool { return c.Status == acme.Processing })
}

// settleOrdersOf does what follows for others from an authorization's end.
func (s *Store) settleOrdersOf(ctx context.Context, tx *sql.Tx, a *Authz, problem *acme.Problem) error {
	if problem != nil {
		return failOrdersOf(ctx, tx, a.ID, problem)
	}
	if err := supersede(ctx, tx, a.ID); err != nil {
		return err
	}
	orders, err := s.ordersOf(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	for _, o := range orders {
		list, args := listed([]any{o.ID}, o.Authzs)
		if _, err := tx.ExecContext(unawaited(ctx), `UPDATE acme_order SET status = 'ready' WHERE id = $1 AND status = 'pending'
			AND NOT EXISTS (SELECT 1 FROM authz WHERE id IN (`+list+`) AND status <> 'valid')`, args...); err != nil {
			return err
		}
	}
	return nil
}

// recordValidation writes the result of a validation into the audit log.
func recordValidation(ctx context.Context, tx *sql.Tx, a *Authz, c *Challenge) error {
	name := a.Identifier.Value
	if a.Wildcard {
		name = "*." + name
	}
	e := audit.Event{Action: audit.Validated, Object: name, Result: string(c.Status), Detail: audit.Detail{
		"account": a.Account, "authorization": a.ID, "challenge": c.ID, "type": c.Type}}
	if c.Record != nil {
		e.Detail["record"] = c.Record
	}
	if c.Error != nil {
		e.Detail["problem"] = c.Error.Error()
	}
	return record(ctx, tx, e)
}

// ordersOf lists the pending orders of an authorization, with theirs, and keeps them from
// changing: of two of their authorizations that become valid at once, the second must see
// the first. It comes after the change of the authorization, which who takes it up waits
// for.
func (s *Store) ordersOf(ctx context.Context, tx *sql.Tx, authz int64) ([]Order, error) {
	lock := s.lock()
	if lock != "" {
		lock += " OF o"
	}
	return collect(ctx, tx, func(row scanner) (o Order, err error) { return o, row.Scan(&o.ID, jsonColumn{&o.Authzs}) },
		`SELECT o.id, o.authzs FROM order_authz a JOIN acme_order o ON o.id = a.order_id
		WHERE a.authz_id = $1 AND o.status = 'pending' ORDER BY o.id`+lock, authz)
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
		s.recent.change(id)
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
