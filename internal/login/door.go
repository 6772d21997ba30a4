package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/store"
)

var (
	// ErrWrong says that the login is unknown or the password wrong: which of the two is
	// not for those to know who try.
	ErrWrong = errors.New("the login or the password is wrong")
	// ErrWrongCode says that a one-time code is wrong, or has been used.
	ErrWrongCode = errors.New("the code is wrong, or was used already; wait for the next one")
	// ErrExpired says that a log-in has begun too long ago, or in another browser.
	ErrExpired = errors.New("this log-in has taken too long, or began in another browser; begin again")
	// ErrNotAccepted says that a provider or a certificate does not let somebody in.
	ErrNotAccepted = errors.New("you could not be logged in this way")
	// ErrNoWay says that there is no such way of logging in.
	ErrNoWay = errors.New("there is no such way of logging in")
	// ErrAway says that what is asked whether a password is right does not answer.
	ErrAway = errors.New("the server that knows the passwords does not answer; try again later")
)

// PasswordWay checks a login and a password.
type PasswordWay interface {
	// Name is that of the way in the configuration.
	Name() string
	// Check tells who somebody is; [ErrWrong] when the password is not theirs.
	Check(ctx context.Context, login, password string) (Identity, error)
	// CodeRequired tells whether everybody has to have one-time codes besides.
	CodeRequired() bool
}

// Door lets people in. Its fields are not changed once it is in use; then it is safe for
// concurrent use.
type Door struct {
	Store        *store.Store
	Sessions     *Sessions
	Hasher       *Hasher
	Title        string        // of this server, in programs that make one-time codes
	Passwords    []PasswordWay // asked in this order
	Providers    []*Provider
	Certificates *Certificates // nil for none
	Log          *slog.Logger
	Now          func() time.Time // nil means time.Now
}

func (d *Door) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

func (d *Door) limiter() limiter { return limiter{d.Store, d.now} }

// Way is a way of logging in that is elsewhere, as people are offered it.
type Way struct{ Name, Title string }

// Ways lists them.
func (d *Door) Ways() (all []Way) {
	for _, p := range d.Providers {
		all = append(all, Way{p.Name, p.Title})
	}
	if c := d.Certificates; c != nil {
		all = append(all, Way{c.Name, c.Title})
	}
	return all
}

// Stage is how far a log-in has come.
type Stage string

// The stages.
const (
	Done  Stage = "done"  // there is a session
	Code  Stage = "code"  // a one-time code is to come
	Enrol Stage = "enrol" // one-time codes are to be set up
	away  Stage = "away"  // at an OpenID provider
	card  Stage = "card"  // a certificate is to come
)

// Step is where a log-in stands after something was right.
type Step struct {
	Stage Stage
	Token string // of the session when it is done; else of what has begun, for [BegunCookie]
	To    string // the local path to go to when it is done
}

// beginMost is how long a log-in of several steps may take.
const beginMost = 10 * time.Minute

// begun is a log-in of several steps, as the database keeps it.
type begun struct {
	Stage    Stage
	Identity Identity
	Person   int64  `json:",omitempty"`
	To       string `json:",omitempty"`
	Way      string `json:",omitempty"` // of the stages away and card
	State    string `json:",omitempty"` // of OpenID Connect
	Nonce    string `json:",omitempty"`
	Verifier string `json:",omitempty"`
}

// Password tries a login and a password, in one browser; to is where the person wants to
// go then. [ErrWrong], [ErrUnknownPerson], [TooMany], [ErrBusy] and [ErrAway] are for the
// person to see.
func (d *Door) Password(ctx context.Context, from Browser, login, password, to string) (Step, error) {
	by := []counted{count(byLogin, "login", loginKey(login)), count(byAddress, "address", addressKey(from.Address))}
	if err := d.limiter().try(ctx, by...); err != nil {
		return Step{}, err
	}
	id, way, err := d.check(ctx, login, password)
	if err != nil {
		return Step{}, d.refused(ctx, err, login, "password")
	}
	if err := d.limiter().succeeded(ctx, by...); err != nil {
		return Step{}, err
	}
	s, err := d.known(ctx, from, id, way.CodeRequired(), to)
	return s, d.refused(ctx, err, login, id.Method)
}

// check asks each way in turn.
func (d *Door) check(ctx context.Context, login, password string) (id Identity, by PasswordWay, err error) {
	if login == "" || password == "" || len(login) > 256 || len(password) > LongestPassword {
		return id, nil, ErrWrong
	}
	err = ErrWrong
	for _, w := range d.Passwords {
		found, failed := w.Check(ctx, login, password)
		switch {
		case failed == nil:
			return found, w, nil
		case !errors.Is(failed, ErrWrong):
			d.Log.ErrorContext(ctx, "logging in", "way", w.Name(), "err", failed)
			err = failed // unless another way knows better
		}
	}
	return id, nil, err
}

// known goes on with somebody whose password was right.
func (d *Door) known(ctx context.Context, from Browser, id Identity, codeRequired bool, to string) (Step, error) {
	p, err := d.Sessions.person(ctx, id)
	if err != nil {
		return Step{}, err
	}
	secrets, err := d.Store.Secrets(ctx, p.ID)
	if err != nil {
		return Step{}, err
	}
	switch {
	case secrets.TOTP != nil:
		return d.begin(ctx, begun{Stage: Code, Identity: id, Person: p.ID, To: to})
	case codeRequired:
		return d.begin(ctx, begun{Stage: Enrol, Identity: id, Person: p.ID, To: to})
	}
	return d.enter(ctx, from, id, to)
}

// enter begins a session.
func (d *Door) enter(ctx context.Context, from Browser, id Identity, to string) (Step, error) {
	token, err := d.Sessions.New(ctx, id, from)
	return Step{Done, token, LocalPath(to)}, err
}

// refused writes to the audit log that somebody could not log in, if that is what err
// says, and returns err, or why it could not be written. Only a login that is on record is
// named, as people type passwords where the login belongs.
func (d *Door) refused(ctx context.Context, err error, login, method string) error {
	why := ""
	for _, r := range []struct {
		err  error
		text string
	}{{ErrWrong, "wrong login or password"}, {ErrWrongCode, "wrong code"}, {ErrUnknownPerson, "unknown person"}, {ErrNotAccepted, "not accepted"}} {
		if errors.Is(err, r.err) {
			why = r.text
		}
	}
	if why == "" {
		return err
	}
	if _, e := d.Store.PersonAlone(ctx, login); errors.Is(e, store.ErrNotFound) {
		login = ""
	} else if e != nil {
		return e
	}
	if e := d.Store.Record(ctx, audit.Event{Action: audit.LoginFailed, Object: login, Result: "refused", Detail: audit.Detail{"method": method, "why": why}}); e != nil {
		return e
	}
	return err
}

// begin keeps what has begun, and makes a token for the browser that it is bound to.
func (d *Door) begin(ctx context.Context, b begun) (Step, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return Step{}, err
	}
	token := randomText(32)
	err = d.Store.BeginLogin(ctx, hashOf(token), string(data), d.now().Add(beginMost))
	return Step{b.Stage, token, LocalPath(b.To)}, err
}

// begun reads what has begun in a browser, which must have come to the stage.
func (d *Door) begun(ctx context.Context, token string, stage Stage) (b begun, err error) {
	data, err := d.Store.BegunLogin(ctx, hashOf(token), d.now())
	if errors.Is(err, store.ErrNotFound) {
		return b, ErrExpired
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal([]byte(data), &b); err != nil {
		return b, fmt.Errorf("reading a log-in that has begun: %w", err)
	}
	if b.Stage != stage {
		return b, ErrExpired
	}
	return b, nil
}

// end takes what has begun away, which one caller succeeds in.
func (d *Door) end(ctx context.Context, token string) error {
	err := d.Store.EndLogin(ctx, hashOf(token), d.now())
	if errors.Is(err, store.ErrNotFound) {
		return ErrExpired
	}
	return err
}

// Code tries a one-time code, or a recovery code, for what has begun in a browser.
// [ErrWrongCode], [ErrExpired] and [TooMany] are for the person to see.
func (d *Door) Code(ctx context.Context, from Browser, token, code string) (Step, error) {
	b, err := d.begun(ctx, token, Code)
	if err != nil {
		return Step{}, err
	}
	p, err := d.Sessions.person(ctx, b.Identity)
	if err != nil {
		return Step{}, err
	}
	if p.ID != b.Person {
		return Step{}, ErrExpired
	}
	if err := d.useCode(ctx, from, p, code); err != nil {
		return Step{}, err
	}
	if err := d.end(ctx, token); err != nil {
		return Step{}, err
	}
	return d.enter(ctx, from, b.Identity, b.To)
}

// useCode uses up a person's one-time code or recovery code.
func (d *Door) useCode(ctx context.Context, from Browser, p store.Person, code string) error {
	by := []counted{count(byCode, "code", fmt.Sprint(p.ID)), count(byAddress, "address", addressKey(from.Address))}
	if err := d.limiter().try(ctx, by...); err != nil {
		return err
	}
	secrets, err := d.Store.Secrets(ctx, p.ID)
	if err != nil {
		return err
	}
	if secrets.TOTP == nil {
		return ErrExpired
	}
	if step, ok := stepOfCode(secrets.TOTP, code, d.now()); ok {
		err = d.Store.UseTOTP(ctx, p.ID, step)
	} else {
		err = d.Store.UseRecoveryCode(ctx, p, hashOfRecovery(code))
	}
	switch {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return d.refused(ctx, ErrWrongCode, p.Login, "code")
	case err != nil:
		return err
	}
	return d.limiter().succeeded(ctx, by...)
}

// Enrolment makes a new secret for one-time codes, for who has to have them to get in.
func (d *Door) Enrolment(ctx context.Context, token string) (Enrolment, error) {
	b, err := d.begun(ctx, token, Enrol)
	if err != nil {
		return Enrolment{}, err
	}
	return d.newTOTP(ctx, b.Person, b.Identity.Login)
}

// Enrol tries the first one-time code of who has to have them, and lets them in; the
// recovery codes are shown this once.
func (d *Door) Enrol(ctx context.Context, from Browser, token, code string) (s Step, recovery []string, err error) {
	b, err := d.begun(ctx, token, Enrol)
	if err != nil {
		return s, nil, err
	}
	p, err := d.Sessions.person(ctx, b.Identity)
	if err != nil {
		return s, nil, err
	}
	if p.ID != b.Person {
		return s, nil, ErrExpired
	}
	if recovery, err = d.confirmTOTP(ctx, p, code); err != nil {
		return s, nil, err
	}
	if err := d.end(ctx, token); err != nil {
		return s, nil, err
	}
	s, err = d.enter(ctx, from, b.Identity, b.To)
	return s, recovery, err
}

// LocalPath is to if it is a path of the portal, and else its first page: nobody is sent
// to another server by a link to the log-in.
func LocalPath(to string) string {
	const home = "/portal/"
	if !strings.HasPrefix(to, home) || len(to) > 1024 || strings.HasPrefix(to, "/portal/login") || strings.HasPrefix(to, "/portal/logout") {
		return home
	}
	for _, c := range to {
		if c <= ' ' || c == '\\' || c >= 0x7f { // which browsers drop, or take for another
			return home
		}
	}
	if strings.Contains(to, "//") || strings.Contains(to, "/.") {
		return home
	}
	return to
}
