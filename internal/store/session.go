package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"vidimus/internal/audit"
)

// Session is one person who is logged in to the portal, in one browser.
type Session struct {
	ID        int64     `json:"id"`
	Token     []byte    `json:"-"` // SHA-256 of the one in the cookie
	CSRF      string    `json:"-"`
	Person    Person    `json:"-"`      // without groups and hosts
	Role      string    `json:"role"`   // that the log-in gave, beside the person's own
	Method    string    `json:"method"` // the way of logging in
	Address   string    `json:"address"`
	UserAgent string    `json:"user_agent"`
	Created   time.Time `json:"created"`
	Seen      time.Time `json:"seen"`
	Ends      time.Time `json:"ends"`  // unless it is used before
	Until     time.Time `json:"until"` // however much it is used
}

// NewSession records that a person has logged in; [ErrNotFound] when they are gone
// meanwhile.
func (s *Store) NewSession(ctx context.Context, x *Session) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if _, err := one(ctx, tx, scanID, `SELECT id FROM person WHERE id = $1`+s.lock(), x.Person.ID); err != nil {
			return err
		}
		if x.ID, err = insert(ctx, tx, `INSERT INTO session (token, csrf, person_id, role, method, address, user_agent, created_at, seen_at, ends_at, until_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (token) DO NOTHING RETURNING id`,
			x.Token, x.CSRF, x.Person.ID, x.Role, x.Method, x.Address, x.UserAgent, millis(x.Created), millis(x.Seen), millis(x.Ends), millis(x.Until)); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.LoggedIn, Object: x.Person.Login, Detail: audit.Detail{"method": x.Method, "role": x.Role}})
	})
}

const sessionColumns = `SELECT s.id, s.csrf, s.role, s.method, s.address, s.user_agent, s.created_at, s.seen_at, s.ends_at, s.until_at,
	p.id, p.login, p.name, p.email, p.role, p.language, p.created_at FROM session s JOIN person p ON p.id = s.person_id`

func scanSession(row scanner) (x Session, err error) {
	err = row.Scan(&x.ID, &x.CSRF, &x.Role, &x.Method, &x.Address, &x.UserAgent, timeColumn{&x.Created}, timeColumn{&x.Seen}, timeColumn{&x.Ends}, timeColumn{&x.Until},
		&x.Person.ID, &x.Person.Login, &x.Person.Name, &x.Person.Email, &x.Person.Role, &x.Person.Language, timeColumn{&x.Person.Created})
	return x, err
}

// Session finds the session of a token, by its hash, unless it has ended.
func (s *Store) Session(ctx context.Context, token []byte, now time.Time) (Session, error) {
	return one(ctx, s.read, scanSession, sessionColumns+` WHERE s.token = $1 AND s.ends_at > $2 AND s.until_at > $2`, token, millis(now))
}

// Sessions lists those of a person that have not ended, the newest first.
func (s *Store) Sessions(ctx context.Context, person int64, now time.Time) ([]Session, error) {
	return collect(ctx, s.read, scanSession, sessionColumns+` WHERE s.person_id = $1 AND s.ends_at > $2 AND s.until_at > $2 ORDER BY s.id DESC`, person, millis(now))
}

// SeeSession notes that a session was used, unless that is on record since before, or the
// session has ended meanwhile.
func (s *Store) SeeSession(ctx context.Context, id int64, before, now, ends time.Time) error {
	err := s.updateOne(ctx, `UPDATE session SET seen_at = $1, ends_at = $2 WHERE id = $3 AND seen_at < $4 AND ends_at > $1`,
		millis(now), millis(ends), id, millis(before))
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// EndSession ends one session of a person; [ErrNotFound] when there is none.
func (s *Store) EndSession(ctx context.Context, person Person, id int64) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM session WHERE id = $1 AND person_id = $2`, id, person.ID); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.LoggedOut, Object: person.Login})
	})
}

// EndSessions ends all sessions of a person but one, which is 0 for none, and what they
// have begun to log in, and tells how many there were.
func (s *Store) EndSessions(ctx context.Context, person Person, but int64) (n int64, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if n, err = endSessions(ctx, tx, person.ID, but); err != nil || n == 0 {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.SessionsEnded, Object: person.Login, Detail: audit.Detail{"sessions": n}})
	})
	return n, err
}

func endSessions(ctx context.Context, tx *sql.Tx, person, but int64) (int64, error) {
	return affected(ctx, tx, `DELETE FROM session WHERE person_id = $1 AND id <> $2`, person, but)
}

const endedSessionQuery = `SELECT id FROM session WHERE ends_at < $1 ORDER BY ends_at LIMIT 1`
const endedAttemptQuery = `SELECT ends_at FROM login_attempt WHERE ends_at < $1 ORDER BY ends_at LIMIT 1`
const oldFailureQuery = `SELECT at FROM login_failure WHERE at < $1 ORDER BY at LIMIT 1`

// StaleLogins tells whether there is anything for [Store.RemoveStaleLogins].
func (s *Store) StaleLogins(ctx context.Context, now, failed time.Time) (bool, error) {
	for query, before := range map[string]time.Time{endedSessionQuery: now, endedAttemptQuery: now, oldFailureQuery: failed} {
		_, err := one(ctx, s.read, scanID, query, millis(before))
		if !errors.Is(err, ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// RemoveStaleLogins removes sessions and log-ins that ended before now, and what is known
// of failures before failed, up to limit of each.
func (s *Store) RemoveStaleLogins(ctx context.Context, now, failed time.Time, limit int) error {
	for query, before := range map[string]time.Time{
		`DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ends_at < $1 ORDER BY ends_at LIMIT $2) AND ends_at < $1`:                   now,
		`DELETE FROM login_attempt WHERE token IN (SELECT token FROM login_attempt WHERE ends_at < $1 ORDER BY ends_at LIMIT $2) AND ends_at < $1`: now,
		`DELETE FROM login_failure WHERE what IN (SELECT what FROM login_failure WHERE at < $1 ORDER BY at LIMIT $2) AND at < $1`:                  failed,
	} {
		err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, query, millis(before), limit)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
