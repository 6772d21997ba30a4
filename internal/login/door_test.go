package login_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/login"
	"vidimus/internal/store"
	"vidimus/internal/store/storetest"
)

// cheap is a cost for tests.
var cheap = login.HashCost{Time: 1, Memory: 64, Threads: 1}

// newDoor is a door to a database, where ada has a password.
func newDoor(t *testing.T, db *store.Store, c *clock) *login.Door {
	t.Helper()
	h := login.NewHasher(cheap)
	d := &login.Door{Store: db, Sessions: &login.Sessions{Store: db, Now: c.now}, Hasher: h, Title: "Test: portal", Now: c.now, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Passwords: []login.PasswordWay{&login.LocalPasswords{Store: db, Hasher: h}}}
	setPassword(t, d, "ada", "correct horse")
	return d
}

func setPassword(t *testing.T, d *login.Door, name, password string) {
	t.Helper()
	p, err := d.Store.PersonAlone(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := d.Hasher.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Store.SetPassword(t.Context(), p, hash, d.Now(), 0); err != nil {
		t.Fatal(err)
	}
}

func from(address string) login.Browser { return login.Browser{Address: address} }

// never counts how often it is asked.
type never struct{ asked atomic.Int64 }

func (*never) Name() string       { return "never" }
func (*never) CodeRequired() bool { return false }
func (n *never) Check(context.Context, string, string) (login.Identity, error) {
	n.asked.Add(1)
	return login.Identity{}, login.ErrWrong
}

// Tries that come at once are no more than one after another, at one server or several.
func TestGuessesAtOnceAreCountedBeforeTheyAreTried(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		way := new(never)
		d := newDoor(t, db, c)
		d.Passwords = []login.PasswordWay{way}
		var all sync.WaitGroup
		var often atomic.Int64
		for i := range 40 {
			all.Go(func() {
				var tooMany login.TooMany
				// Each from another address, in another case.
				name := []string{"ada", "ADA", " ada"}[i%3]
				if _, err := d.Password(context.Background(), from(fmt.Sprintf("192.0.2.%d", i)), name, "guess", ""); errors.As(err, &tooMany) {
					often.Add(1)
				} else if !errors.Is(err, login.ErrWrong) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if way.asked.Load() != 5 || often.Load() != 35 {
			t.Errorf("%d tries were made, and %d refused; want 5 and 35", way.asked.Load(), often.Load())
		}
	})
}

func TestAnAddressThatGuessesManyLoginsIsHeldBack(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	tries := 0
	for i := range 100 {
		var tooMany login.TooMany
		// With IPv6 who has one address has its network.
		_, err := d.Password(t.Context(), from(fmt.Sprintf("2001:db8::%x", i)), fmt.Sprintf("somebody-%d", i), "password", "")
		if errors.As(err, &tooMany) {
			break
		}
		tries++
	}
	if tries != 30 {
		t.Errorf("%d tries, want 30", tries)
	}
	if _, err := d.Password(t.Context(), from("2001:db8:0:1::1"), "ada", "correct horse", ""); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestTheDelayDoublesAndARightPasswordEndsIt(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	var waits []time.Duration
	for len(waits) < 12 {
		var tooMany login.TooMany
		_, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "wrong", "")
		if errors.As(err, &tooMany) {
			waits = append(waits, tooMany.Wait)
			// The right password does not help before its time.
			if _, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "correct horse", ""); !errors.As(err, &tooMany) {
				t.Fatalf("the right password too soon: %v", err)
			}
			c.advance(tooMany.Wait)
		} else if !errors.Is(err, login.ErrWrong) {
			t.Fatal(err)
		}
	}
	for i, w := range waits {
		if want := min(time.Second<<i, 5*time.Minute); w != want {
			t.Errorf("delay %d is %s, want %s", i, w, want)
		}
	}
	if _, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "correct horse", ""); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "wrong", ""); !errors.Is(err, login.ErrWrong) {
			t.Errorf("after the right password: %v", err)
		}
	}
}

func TestAnUnknownLoginIsLikeAWrongPassword(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	for _, name := range []string{"ada", "nobody", "my password typed here"} {
		s, err := d.Password(t.Context(), from("192.0.2.1"), name, "wrong", "")
		if err == nil || err.Error() != login.ErrWrong.Error() || s.Token != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The audit log has names that there are, and nothing else that was typed.
	if err := db.SealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	failed := map[string]int{}
	for _, e := range events(t, db) {
		if e.Action == "login.failed" {
			failed[e.Object]++
		}
		if strings.Contains(e.Object+string(e.Detail), "typed") {
			t.Errorf("the audit log has %+v", e)
		}
	}
	if failed["ada"] != 1 || failed[""] != 2 {
		t.Errorf("failures on record: %v", failed)
	}
}

// A hash that is asked of nobody costs what the others do: both are computed.
// What a log-in takes must not tell who has a password: each is a whole hashing, which shows
// by the memory that it goes through.
func TestNoPasswordIsHashedAsAWrongOneIs(t *testing.T) {
	cost := login.HashCost{Time: 1, Memory: 32 << 10, Threads: 1}
	h := login.NewHasher(cost)
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{hash, ""} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if right, _, err := h.Verify(t.Context(), hash, "wrong"); right || err != nil {
			t.Fatal(right, err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got < uint64(cost.Memory)<<10 {
			t.Errorf("with the hash %q it took %d bytes, less than a hashing does", hash, got)
		}
	}
	if right, _, err := h.Verify(t.Context(), "", ""); right || err != nil {
		t.Errorf("nobody's password is right: %v", err)
	}
}

func TestAHashOfAnotherCostIsMadeAnew(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	h := login.NewHasher(login.HashCost{Time: 2, Memory: 128, Threads: 2})
	d.Passwords = []login.PasswordWay{&login.LocalPasswords{Store: db, Hasher: h}}
	for range 2 {
		if _, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "correct horse", ""); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := db.PersonAlone(t.Context(), "ada")
	if s, err := db.Secrets(t.Context(), p.ID); err != nil || !strings.HasPrefix(s.Password, "$argon2id$v=19$m=128,t=2,p=2$") {
		t.Errorf("the hash is %s, %v", s.Password, err)
	}
}

// enrol turns one-time codes on for ada, and returns the secret, and the recovery codes.
func enrol(t *testing.T, d *login.Door) (secret []byte, recovery []string) {
	t.Helper()
	x := inside(t, d)
	e, err := d.BeginTOTP(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Store.Secrets(t.Context(), x.Person.ID)
	if err != nil || s.TOTP != nil || s.Pending == nil {
		t.Fatalf("before the first code: %+v, %v", s, err)
	}
	if !strings.Contains(e.URI, "otpauth://totp/Test%20%20portal:ada?") || e.QR.Path == "" {
		t.Errorf("the URI is %s", e.URI)
	}
	if _, err := d.ConfirmTOTP(t.Context(), x, "000000"); !errors.Is(err, login.ErrWrongCode) {
		t.Errorf("a wrong first code: %v", err)
	}
	if recovery, err = d.ConfirmTOTP(t.Context(), x, login.CodeOf(s.Pending, d.Now())); err != nil || len(recovery) != 10 {
		t.Fatalf("%v %v", recovery, err)
	}
	return s.Pending, recovery
}

// inside is a session of ada's, by the way.
func inside(t *testing.T, d *login.Door) login.Session {
	t.Helper()
	token, err := d.Sessions.New(t.Context(), login.Identity{Login: "ada", Method: "test"}, from("192.0.2.9"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.Sessions.Find(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// begun logs ada in by password, for which a code is to come.
func begun(t *testing.T, d *login.Door) login.Step {
	t.Helper()
	s, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "correct horse", "/portal/hosts")
	if err != nil || s.Stage != login.Code {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := d.Sessions.Find(t.Context(), s.Token); !errors.Is(err, login.ErrNoSession) {
		t.Errorf("what has begun is a session: %v", err)
	}
	return s
}

func TestACodeIsGoodOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		c := newClock()
		d := newDoor(t, db, c)
		secret, recovery := enrol(t, d)
		code := func(after time.Duration) string { return login.CodeOf(secret, c.t.Add(after)) }
		wrong := func(what, code string) {
			t.Helper()
			if _, err := d.Code(t.Context(), from("192.0.2.1"), begun(t, d).Token, code); !errors.Is(err, login.ErrWrongCode) {
				t.Errorf("%s: %v, want ErrWrongCode", what, err)
			}
		}
		wrong("the code that turned them on", code(0))
		c.advance(30 * time.Second)
		s := begun(t, d)
		done, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, code(0))
		if err != nil || done.Stage != login.Done || done.To != "/portal/hosts" {
			t.Fatalf("%+v, %v", done, err)
		}
		if _, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, code(30*time.Second)); !errors.Is(err, login.ErrExpired) {
			t.Errorf("what has ended goes on: %v", err)
		}
		wrong("again", code(0))
		wrong("the one before", code(-30*time.Second))
		wrong("too early", code(time.Minute))
		c.advance(time.Hour)
		wrong("too late", code(-time.Minute))

		// Of many at once one is let in.
		c.advance(5 * time.Hour)
		var steps []login.Step
		for range 4 {
			steps = append(steps, begun(t, d))
		}
		var all sync.WaitGroup
		var in atomic.Int64
		for _, s := range steps {
			all.Go(func() {
				if _, err := d.Code(context.Background(), from("192.0.2.1"), s.Token, code(0)); err == nil {
					in.Add(1)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("%d were let in by one code", in.Load())
		}

		c.advance(5 * time.Hour)
		typed := strings.ToLower(strings.ReplaceAll(recovery[3], "-", " "))
		if _, err := d.Code(t.Context(), from("192.0.2.1"), begun(t, d).Token, typed); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		wrong("a recovery code again", recovery[3])
	})
}

func TestCodesCanNotBeGuessedByWhoHasThePassword(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	secret, _ := enrol(t, d)
	end, tries := c.t.Add(24*time.Hour), 0
	for c.t.Before(end) {
		s, err := d.Password(t.Context(), from(fmt.Sprintf("192.0.2.%d", tries%250)), "ada", "correct horse", "")
		if err != nil {
			t.Fatal(err) // which the right password forgives each time
		}
		var tooMany login.TooMany
		switch _, err := d.Code(t.Context(), from(fmt.Sprintf("192.0.2.%d", tries%250)), s.Token, "123456"); {
		case errors.As(err, &tooMany):
			c.advance(tooMany.Wait)
		case errors.Is(err, login.ErrWrongCode):
			tries++
		default:
			t.Fatal(err)
		}
	}
	if tries > 50 {
		t.Errorf("%d codes were tried in a day", tries)
	}
	c.advance(time.Hour)
	s := begun(t, d)
	if _, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, login.CodeOf(secret, c.t)); err != nil {
		t.Errorf("the right code an hour later: %v", err)
	}
}

func TestALogInOfSeveralStepsIsShortAndKeepsItsOrder(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	secret, _ := enrol(t, d)
	c.advance(time.Minute)
	s := begun(t, d)
	if _, err := d.Enrolment(t.Context(), s.Token); !errors.Is(err, login.ErrExpired) {
		t.Errorf("who has codes may set up others: %v", err)
	}
	c.advance(11 * time.Minute)
	if _, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, login.CodeOf(secret, c.t)); !errors.Is(err, login.ErrExpired) {
		t.Errorf("eleven minutes later: %v", err)
	}
	// Whose codes are taken away meanwhile has to begin again.
	s = begun(t, d)
	if err := db.RemoveTOTP(t.Context(), inside(t, d).Person); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, login.CodeOf(secret, c.t)); !errors.Is(err, login.ErrExpired) {
		t.Errorf("without codes: %v", err)
	}
}

func TestWhoHasToHaveCodesSetsThemUpBeforeTheyAreIn(t *testing.T) {
	db := open(t, storetest.Path(t))
	c := newClock()
	d := newDoor(t, db, c)
	d.Passwords = []login.PasswordWay{&login.LocalPasswords{Store: db, Hasher: d.Hasher, Codes: true}}
	s, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "correct horse", "")
	if err != nil || s.Stage != login.Enrol {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := d.Code(t.Context(), from("192.0.2.1"), s.Token, "123456"); !errors.Is(err, login.ErrExpired) {
		t.Errorf("a code before there are any: %v", err)
	}
	if _, err := d.Enrolment(t.Context(), s.Token); err != nil {
		t.Fatal(err)
	}
	p, _ := db.PersonAlone(t.Context(), "ada")
	secrets, err := db.Secrets(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	done, recovery, err := d.Enrol(t.Context(), from("192.0.2.1"), s.Token, login.CodeOf(secrets.Pending, c.t))
	if err != nil || done.Stage != login.Done || len(recovery) != 10 {
		t.Fatalf("%+v %v %v", done, recovery, err)
	}
	if x, err := d.Sessions.Find(t.Context(), done.Token); err != nil || x.Person.Login != "ada" {
		t.Errorf("%+v %v", x, err)
	}
	begun(t, d) // asks for a code from now on
}

func TestANewPasswordEndsAllOtherSessions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *store.Store) {
		d := newDoor(t, db, newClock())
		mine, other := inside(t, d), inside(t, d)
		var bad login.WrongNew
		for _, p := range []string{"short", "aaaaaaaaaaaa", "ADAda-ada", strings.Repeat("x", 2000)} {
			if err := d.ChangePassword(t.Context(), mine, from("192.0.2.1"), "correct horse", p); !errors.As(err, &bad) {
				t.Errorf("%.20q: %v", p, err)
			}
		}
		if err := d.ChangePassword(t.Context(), mine, from("192.0.2.1"), "wrong", "battery staple"); !errors.Is(err, login.ErrWrong) {
			t.Errorf("with the wrong password: %v", err)
		}
		if err := d.ChangePassword(t.Context(), mine, from("192.0.2.1"), "correct horse", "battery staple"); err != nil {
			t.Fatal(err)
		}
		all, err := db.Sessions(t.Context(), mine.Person.ID, d.Now())
		if err != nil || len(all) != 1 || all[0].ID != mine.ID || all[0].ID == other.ID {
			t.Errorf("%+v %v", all, err)
		}
		if _, err := d.Password(t.Context(), from("192.0.2.1"), "ada", "battery staple", ""); err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	for _, to := range []string{"", "/", "//evil.example.org", "https://evil.example.org/portal/", "/portal", "/\\evil.example.org", "/portal/\\evil", "/portal//evil",
		"/portal/../../evil", "/portal/\nevil", "/portal/\tx", "javascript:alert(1)", "/portal/login?next=x", "/portal/logout", "/acme/x", "\x00/portal/", "/portal/é", strings.Repeat("/portal/x", 500)} {
		if got := login.LocalPath(to); got != "/portal/" {
			t.Errorf("%.40q leads to %q", to, got)
		}
	}
	for _, to := range []string{"/portal/hosts", "/portal/hosts?q=a%26b&after=c", "/portal/certificates/0a1b"} {
		if got := login.LocalPath(to); got != to {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}

func events(t *testing.T, db *store.Store) []audit.Row {
	t.Helper()
	all, err := db.AuditRows(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
