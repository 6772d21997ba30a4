package login

import (
	"context"
	"crypto/rand"
	"errors"

	"vidimus/internal/store"
)

// LocalPasswords are those that this server keeps.
type LocalPasswords struct {
	Store  *store.Store
	Hasher *Hasher
	Codes  bool // everybody has to have one-time codes besides
}

// Name implements [PasswordWay].
func (l *LocalPasswords) Name() string { return "password" }

// CodeRequired implements [PasswordWay].
func (l *LocalPasswords) CodeRequired() bool { return l.Codes }

// Check implements [PasswordWay]. It takes as long for a login that is unknown.
func (l *LocalPasswords) Check(ctx context.Context, login, password string) (Identity, error) {
	p, err := l.Store.PersonAlone(ctx, login)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Identity{}, err
	}
	secrets, err := l.Store.Secrets(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Identity{}, err
	}
	right, anew, err := l.Hasher.Verify(ctx, secrets.Password, password)
	if err != nil {
		return Identity{}, err
	}
	if !right {
		return Identity{}, ErrWrong
	}
	if anew {
		hash, err := l.Hasher.Hash(ctx, password)
		if err == nil {
			err = l.Store.RehashPassword(ctx, p.ID, secrets.Password, hash)
		}
		if err != nil {
			return Identity{}, err
		}
	}
	return Identity{Login: p.Login, Name: p.Name, Email: p.Email, Method: l.Name()}, nil
}

// WrongNew says what is wrong with a password that somebody wants to have.
type WrongNew struct{ Err error }

func (e WrongNew) Error() string { return e.Err.Error() }

// ChangePassword gives who is logged in another password, and ends their other sessions.
// [ErrWrong] says that old is not the one they have, [WrongNew] what is wrong with the new
// one.
func (d *Door) ChangePassword(ctx context.Context, x Session, from Browser, old, password string) error {
	if err := CheckNew(x.Person.Login, password); err != nil {
		return WrongNew{err}
	}
	by := []counted{count(byLogin, "login", loginKey(x.Person.Login)), count(byAddress, "address", addressKey(from.Address))}
	if err := d.limiter().try(ctx, by...); err != nil {
		return err
	}
	local := &LocalPasswords{Store: d.Store, Hasher: d.Hasher}
	if _, err := local.Check(ctx, x.Person.Login, old); err != nil {
		return d.refused(ctx, err, x.Person.Login, local.Name())
	}
	if err := d.limiter().succeeded(ctx, by...); err != nil {
		return err
	}
	hash, err := d.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return d.Store.SetPassword(ctx, x.Person, hash, d.now(), x.ID)
}

// BeginTOTP makes a new secret for one-time codes, for who is logged in.
// [store.ErrConflict] says that they have them already.
func (d *Door) BeginTOTP(ctx context.Context, x Session) (Enrolment, error) {
	return d.newTOTP(ctx, x.Person.ID, x.Person.Login)
}

// ConfirmTOTP has one-time codes asked for from now on, if code is the first; the recovery
// codes are shown this once. [ErrWrongCode] says that it is not.
func (d *Door) ConfirmTOTP(ctx context.Context, x Session, code string) (recovery []string, err error) {
	return d.confirmTOTP(ctx, x.Person, code)
}

// RemoveTOTP asks who is logged in for no codes any more, if they have one.
func (d *Door) RemoveTOTP(ctx context.Context, x Session, from Browser, code string) error {
	if err := d.useCode(ctx, from, x.Person, code); err != nil {
		return err
	}
	return d.Store.RemoveTOTP(ctx, x.Person)
}

func (d *Door) newTOTP(ctx context.Context, person int64, login string) (Enrolment, error) {
	secret := make([]byte, totpSecret)
	rand.Read(secret) // never fails
	e, err := enrolment(d.Title, login, secret)
	if err != nil {
		return e, err
	}
	return e, d.Store.BeginTOTP(ctx, person, secret)
}

func (d *Door) confirmTOTP(ctx context.Context, p store.Person, code string) ([]string, error) {
	secrets, err := d.Store.Secrets(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	if secrets.Pending == nil {
		return nil, ErrExpired
	}
	step, ok := stepOfCode(secrets.Pending, code, d.now())
	if !ok {
		return nil, ErrWrongCode
	}
	codes, hashes := newRecoveryCodes()
	err = d.Store.ConfirmTOTP(ctx, p, secrets.Pending, step, hashes, d.now())
	if errors.Is(err, store.ErrConflict) {
		return nil, ErrExpired
	}
	return codes, err
}
