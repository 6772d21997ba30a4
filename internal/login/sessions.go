// Package login lets people in to the portal: by password and one-time code, LDAP, an
// OpenID provider, or a TLS client certificate; and keeps the sessions of those who are.
//
// A way of logging in only tells who somebody is, as an [Identity]. Whether that is
// somebody whom the host database knows, and what they may do, is decided by what is on
// record: package directory asks for the person and the role, of which a session has both.
//
// What a browser has is 256 random bits in a cookie, made anew at each log-in; the
// database has their hash. A log-in that takes several steps is bound to the browser in
// the same way.
package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// Identity is who somebody has shown to be.
type Identity struct {
	Login  string
	Name   string // for people to read; "" when the way of logging in doesn't tell
	Email  string // the same
	Groups []string
	Role   directory.Role // by these groups; the one on record counts too
	Method string         // the way of logging in, by its name
	Create bool           // enter the person when nobody of that login is on record
}

// Browser is where a request comes from, as it is shown to the person later.
type Browser struct {
	Address   string
	UserAgent string
}

// Session is somebody who is logged in.
type Session struct {
	store.Session
	Editor directory.Editor // what they may do
}

// Defaults of Sessions.
const (
	DefaultIdle    = 30 * time.Minute
	DefaultLongest = 10 * time.Hour
)

// seenEvery is how exactly it is known when a session was last used: so seldom is it
// written.
const seenEvery = time.Minute

// CookieName is that of the cookie with the token; browsers take one of this prefix only
// over TLS, for this host alone, and the whole of it (RFC 6265bis §4.1.3.2).
const CookieName = "__Host-vidimus"

var (
	// ErrNoSession says that a token is of no session, or of one that has ended.
	ErrNoSession = errors.New("nobody is logged in")
	// ErrUnknownPerson says that somebody has shown who they are, and is nobody here.
	ErrUnknownPerson = errors.New("nobody of this login is known here; ask the CA team to enter you")
)

// Sessions are the people who are logged in. It is safe for concurrent use.
type Sessions struct {
	Store   *store.Store
	Idle    time.Duration    // of a session that nobody uses; 0: [DefaultIdle]
	Longest time.Duration    // of any; 0: [DefaultLongest]
	Now     func() time.Time // nil means time.Now
}

func (s *Sessions) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Sessions) idle() time.Duration {
	if s.Idle == 0 {
		return DefaultIdle
	}
	return s.Idle
}

func (s *Sessions) longest() time.Duration {
	if s.Longest == 0 {
		return DefaultLongest
	}
	return s.Longest
}

// New begins a session for somebody, and returns the token for their cookie.
// [ErrUnknownPerson] says that nobody of that login is on record.
func (s *Sessions) New(ctx context.Context, id Identity, from Browser) (token string, err error) {
	p, err := s.person(ctx, id)
	if err != nil {
		return "", err
	}
	actor := audit.Of(ctx)
	actor.Person = p.Login
	ctx = audit.With(ctx, actor)
	now := s.now()
	token = randomText(32)
	x := store.Session{Token: hashOf(token), CSRF: randomText(16), Person: p, Role: string(id.Role), Method: id.Method,
		Address: from.Address, UserAgent: clipped(from.UserAgent, 256), Created: now, Seen: now, Ends: now.Add(s.idle()), Until: now.Add(s.longest())}
	if err := s.Store.NewSession(ctx, &x); errors.Is(err, store.ErrNotFound) {
		return "", ErrUnknownPerson
	} else if err != nil {
		return "", fmt.Errorf("beginning a session: %w", err)
	}
	return token, nil
}

// person finds who somebody is here, or enters them.
func (s *Sessions) person(ctx context.Context, id Identity) (store.Person, error) {
	p, err := s.Store.PersonAlone(ctx, id.Login)
	if !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	if !id.Create || id.Login == "" {
		return p, ErrUnknownPerson
	}
	err = s.Store.AddPerson(ctx, store.Person{Login: id.Login, Name: id.Name, Email: id.Email, Created: s.now()})
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return p, err
	}
	return s.Store.PersonAlone(ctx, id.Login)
}

// Find finds the session of a token, and notes that it is in use. [ErrNoSession] says
// that there is none.
func (s *Sessions) Find(ctx context.Context, token string) (Session, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(32) {
		return Session{}, ErrNoSession
	}
	now := s.now()
	x, err := s.Store.Session(ctx, hashOf(token), now)
	if errors.Is(err, store.ErrNotFound) {
		return Session{}, ErrNoSession
	}
	if err != nil {
		return Session{}, fmt.Errorf("looking for a session: %w", err)
	}
	if before := now.Add(-seenEvery); x.Seen.Before(before) {
		ends := now.Add(s.idle())
		if ends.After(x.Until) {
			ends = x.Until
		}
		if err := s.Store.SeeSession(ctx, x.ID, before, now, ends); err != nil {
			return Session{}, fmt.Errorf("noting that a session is used: %w", err)
		}
	}
	return Session{x, directory.Editor{Person: x.Person.ID, Role: directory.Max(directory.Role(x.Person.Role), directory.Role(x.Role))}}, nil
}

// Of finds the session of a request, by its cookie.
func (s *Sessions) Of(r *http.Request) (Session, error) {
	c, err := r.Cookie(CookieName)
	if err != nil {
		return Session{}, ErrNoSession
	}
	return s.Find(r.Context(), c.Value)
}

// Cookie is the cookie for the token of a session; "" takes it away. It ends with the
// browser, and the session in any case.
func Cookie(token string) *http.Cookie { return hostCookie(CookieName, token) }

func hostCookie(name, value string) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// End ends a session.
func (s *Sessions) End(ctx context.Context, x Session) error {
	err := s.Store.EndSession(ctx, x.Person, x.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// randomText is n random bytes as text.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// clipped is what of a text is kept.
func clipped(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}
