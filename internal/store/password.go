package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// Secrets are what the server knows of a person to check a log-in by.
type Secrets struct {
	Password string    // in PHC string format; "" for none
	Changed  time.Time // the password
	TOTP     []byte    // the secret; nil when no code is asked for
	Pending  []byte    // a secret that waits for its first code; nil for none
	Recovery int       // how many recovery codes there are
}

func scanSecrets(row scanner) (x Secrets, err error) {
	var secret []byte
	var confirmed time.Time
	var hash sql.NullString
	if err := row.Scan(&hash, timeColumn{&x.Changed}, &secret, timeColumn{&confirmed}, &x.Recovery); err != nil {
		return x, err
	}
	if x.Password = hash.String; confirmed.IsZero() {
		x.Pending = secret
	} else {
		x.TOTP = secret
	}
	return x, nil
}

// Secrets are those of a person; [ErrNotFound] when there is no such person.
func (s *Store) Secrets(ctx context.Context, person int64) (Secrets, error) {
	return one(ctx, s.read, scanSecrets, `SELECT w.hash, w.changed_at, t.secret, t.confirmed_at,
		(SELECT COUNT(*) FROM recovery_code c WHERE c.person_id = p.id)
		FROM person p LEFT JOIN password w ON w.person_id = p.id LEFT JOIN totp t ON t.person_id = p.id WHERE p.id = $1`, person)
}

// SetPassword gives a person another password, by its hash, and ends all their sessions
// but one, which is 0 for none.
func (s *Store) SetPassword(ctx context.Context, person Person, hash string, at time.Time, but int64) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := one(ctx, tx, scanID, `SELECT id FROM person WHERE id = $1`+s.lock(), person.ID); err != nil {
			return err
		}
		if err := changeOne(ctx, tx, `INSERT INTO password (person_id, hash, changed_at) VALUES ($1, $2, $3)
			ON CONFLICT (person_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`, person.ID, hash, millis(at)); err != nil {
			return err
		}
		n, err := endSessions(ctx, tx, person.ID, but)
		if err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.PasswordChanged, Object: person.Login, Detail: audit.Detail{"sessions_ended": n}})
	})
}

// RehashPassword replaces the hash of a password by another of the same password, unless
// it has changed meanwhile.
func (s *Store) RehashPassword(ctx context.Context, person int64, old, hash string) error {
	err := s.updateOne(ctx, `UPDATE password SET hash = $1 WHERE person_id = $2 AND hash = $3`, hash, person, old)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// RemovePassword takes a person's password away, and ends all their sessions;
// [ErrNotFound] when there is none.
func (s *Store) RemovePassword(ctx context.Context, person Person) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM password WHERE person_id = $1`, person.ID); err != nil {
			return missing(err)
		}
		if _, err := endSessions(ctx, tx, person.ID, 0); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.PasswordRemoved, Object: person.Login})
	})
}

// BeginTOTP keeps a secret for one-time codes that waits for its first code, in place of
// another that does. [ErrConflict] says that codes are asked for already.
func (s *Store) BeginTOTP(ctx context.Context, person int64, secret []byte) error {
	return s.updateOne(ctx, `INSERT INTO totp (person_id, secret) VALUES ($1, $2)
		ON CONFLICT (person_id) DO UPDATE SET secret = excluded.secret WHERE totp.confirmed_at IS NULL`, person, secret)
}

// ConfirmTOTP has one-time codes asked for from now on: the code of a step was right for
// the secret that waits. recovery are the hashes of the recovery codes. [ErrConflict] says
// that another secret waits now, or none.
func (s *Store) ConfirmTOTP(ctx context.Context, person Person, secret []byte, step int64, recovery [][]byte, at time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE totp SET confirmed_at = $1, used = $2 WHERE person_id = $3 AND secret = $4 AND confirmed_at IS NULL`,
			millis(at), step, person.ID, secret); err != nil {
			return err
		}
		if err := setRecovery(ctx, tx, person.ID, recovery); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.TOTPEnrolled, Object: person.Login})
	})
}

func setRecovery(ctx context.Context, tx *sql.Tx, person int64, codes [][]byte) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM recovery_code WHERE person_id = $1`, person); err != nil {
		return err
	}
	rows := make([][]any, len(codes))
	for i, c := range codes {
		rows[i] = []any{person, c}
	}
	return insertAll(ctx, tx, `INSERT INTO recovery_code (person_id, code)`, rows)
}

// UseTOTP notes that the code of a step was accepted; [ErrConflict] when it, or a later
// one, was before, so that each is good once.
func (s *Store) UseTOTP(ctx context.Context, person, step int64) error {
	return s.updateOne(ctx, `UPDATE totp SET used = $1 WHERE person_id = $2 AND used < $1 AND confirmed_at IS NOT NULL`, step, person)
}

// UseRecoveryCode uses one up, by its hash; [ErrNotFound] when there is none.
func (s *Store) UseRecoveryCode(ctx context.Context, person Person, code []byte) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM recovery_code WHERE person_id = $1 AND code = $2`, person.ID, code); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.RecoveryUsed, Object: person.Login})
	})
}

// RemoveTOTP asks a person for no codes any more; [ErrNotFound] when none were asked for.
func (s *Store) RemoveTOTP(ctx context.Context, person Person) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM totp WHERE person_id = $1`, person.ID); err != nil {
			return missing(err)
		}
		if err := setRecovery(ctx, tx, person.ID, nil); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.TOTPRemoved, Object: person.Login})
	})
}

// BeginLogin keeps what is known of a log-in that has begun in one browser, by the hash of
// its cookie.
func (s *Store) BeginLogin(ctx context.Context, token []byte, data string, ends time.Time) error {
	return s.updateOne(ctx, `INSERT INTO login_attempt (token, data, ends_at) VALUES ($1, $2, $3)`, token, data, millis(ends))
}

// BegunLogin is what is known of a log-in that has begun; [ErrNotFound] when there is none.
func (s *Store) BegunLogin(ctx context.Context, token []byte, now time.Time) (string, error) {
	return one(ctx, s.read, scanString, `SELECT data FROM login_attempt WHERE token = $1 AND ends_at > $2`, token, millis(now))
}

// EndLogin ends a log-in that has begun; [ErrNotFound] when somebody was faster, or it was
// too late.
func (s *Store) EndLogin(ctx context.Context, token []byte, now time.Time) error {
	return missing(s.updateOne(ctx, `DELETE FROM login_attempt WHERE token = $1 AND ends_at > $2`, token, millis(now)))
}

// Failures is how often logging in has failed of late, for a login, an address or the like.
type Failures struct {
	What  string // a hash
	Count int
	At    time.Time // of the last; zero when there is none
	Next  time.Time // before which no more is tried
}

func scanFailures(row scanner) (f Failures, err error) {
	err = row.Scan(&f.What, &f.Count, timeColumn{&f.At}, timeColumn{&f.Next})
	return f, err
}

// FailuresOf reads what is known of what; nothing is known of what is not in the answer.
func (s *Store) FailuresOf(ctx context.Context, what []string) ([]Failures, error) {
	list, args := listed(nil, what)
	return collect(ctx, s.read, scanFailures, `SELECT what, failures, at, next_at FROM login_failure WHERE what IN (`+list+`)`, args...)
}

// ChangeFailures lets change decide by what is on record of each of what, one caller at a
// time, and keeps what it has changed; when it returns false, nothing. It may run twice.
func (s *Store) ChangeFailures(ctx context.Context, what []string, change func([]Failures) bool) error {
	what = slices.Clone(what)
	slices.Sort(what) // the order in which rows are locked
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		all := make([]Failures, len(what))
		for i, w := range what {
			if _, err := tx.ExecContext(ctx, `INSERT INTO login_failure (what, failures, at, next_at) VALUES ($1, 0, 0, 0) ON CONFLICT (what) DO NOTHING`, w); err != nil {
				return err
			}
			f, err := one(ctx, tx, scanFailures, `SELECT what, failures, at, next_at FROM login_failure WHERE what = $1`+s.lock(), w)
			if err != nil {
				return err
			}
			all[i] = f
		}
		if !change(all) {
			return nil
		}
		for _, f := range all {
			if err := changeOne(ctx, tx, `UPDATE login_failure SET failures = $1, at = $2, next_at = $3 WHERE what = $4`, f.Count, millis(f.At), millis(f.Next), f.What); err != nil {
				return err
			}
		}
		return nil
	})
}
