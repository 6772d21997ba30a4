package validation

import (
	"context"
	"database/sql"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// held is a resolver that answers once it is released.
type held struct {
	release chan struct{}
	values  []string
}

func (h held) Lookup(ctx context.Context, name string, t uint16) (Answer, error) {
	if t != dns.TypeTXT {
		return Answer{}, nil
	}
	select {
	case <-h.release:
		return Answer{Records: []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name}, Txt: h.values}}}, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// asked makes an order whose dns-01 challenge the client has asked to validate.
func asked(t *testing.T, db *store.Store) (store.Order, store.Challenge) {
	t.Helper()
	o, c := pending(t, db)
	if err := db.StartChallenge(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	return o, c
}

// pending makes an order with a dns-01 challenge.
func pending(t *testing.T, db *store.Store) (store.Order, store.Challenge) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	a := store.Account{Directory: "main", Thumbprint: keyAuthorization[len(token)+1:], JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := db.NewAccount(ctx, &a); err != nil {
		t.Fatal(err)
	}
	o := store.Order{Account: a.ID, Status: acme.Pending, Identifiers: []identifier.Identifier{site}, Created: now, Expires: now.Add(time.Hour)}
	z := &store.Authz{Account: a.ID, Identifier: site, Status: acme.Pending, Created: now, Expires: now.Add(time.Hour),
		Challenges: []store.Challenge{{Type: acme.DNS01, Token: token, Status: acme.Pending}}}
	if err := db.NewOrder(ctx, &o, []*store.Authz{z}); err != nil {
		t.Fatal(err)
	}
	return o, z.Challenges[0]
}

func openStore(t *testing.T, path string) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newRunner(db *store.Store, values ...string) (*Runner, chan struct{}) {
	release := make(chan struct{})
	return &Runner{Validator: &Validator{Resolver: held{release, values}}, Store: db, Log: slog.New(slog.DiscardHandler)}, release
}

func TestHoldReturnsAtTheRecordedResult(t *testing.T) {
	tests := []struct {
		name             string
		value            string
		challenge, order acme.Status
	}{
		{"right", rightTXT(), acme.Valid, acme.Ready},
		{"wrong", "old", acme.Invalid, acme.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
			o, c := asked(t, db)
			r, release := newRunner(db, tt.value)
			r.Start(c)
			if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Processing {
				t.Errorf("before the answer: %s, %v", got.Status, err)
			}
			close(release)
			r.Hold(t.Context(), c.Authz, time.Minute)
			got, err := db.Challenge(t.Context(), c.ID)
			if err != nil || got.Status != tt.challenge || (got.Error == nil) != (tt.challenge == acme.Valid) {
				t.Errorf("challenge %+v, %v; want %s", got, err, tt.challenge)
			}
			if got.Error != nil && got.Error.Status != 0 {
				t.Errorf("the problem on record has the HTTP status %d", got.Error.Status)
			}
			if got, err := db.Order(t.Context(), o.ID); err != nil || got.Status != tt.order {
				t.Errorf("order %s, %v; want %s", got.Status, err, tt.order)
			}
			r.Hold(t.Context(), c.Authz, time.Hour) // nothing runs: returns at once
		})
	}
}

// What is tried while it is pending on record goes from there to its result; of two that
// try it at once one does. When there is much to do, it has to be put on record first.
func TestTryGoesFromPendingToTheResult(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	o, c := pending(t, db)
	a, err := db.Authz(t.Context(), c.Authz)
	if err != nil {
		t.Fatal(err)
	}
	account, err := db.Account(t.Context(), o.Account)
	if err != nil {
		t.Fatal(err)
	}
	r, release := newRunner(db, rightTXT())
	for range 2 {
		if !r.Try(a, account, c.ID) {
			t.Fatal("an idle runner does not try it")
		}
	}
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Pending {
		t.Errorf("before the answer: %s, %v", got.Status, err)
	}
	close(release)
	r.Hold(t.Context(), c.Authz, time.Minute)
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid {
		t.Errorf("challenge %+v, %v; want it valid", got, err)
	}
	if got, err := db.Order(t.Context(), o.ID); err != nil || got.Status != acme.Ready {
		t.Errorf("order %s, %v; want it ready", got.Status, err)
	}

	busy, _ := newRunner(db)
	busy.queue.running = maxRunning
	if busy.Try(a, account, c.ID) {
		t.Error("a runner that is full tries it")
	}
}

func TestHoldEndsWithItsRequestOrItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{watched: map[int64]*watch{7: {challenges: []int64{1}}}}
		begin := time.Now()
		r.Hold(t.Context(), 7, 5*time.Second)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("held for %s; want 5s", took)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.Hold(gone, 7, time.Hour)
		r.Hold(t.Context(), 8, time.Hour)
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("a request that is gone was held")
		}
	})
}

func TestResumeTakesUpWhatARestartCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	first := openStore(t, path)
	_, c := asked(t, first) // and then the process died
	first.Close()

	db := openStore(t, path)
	r, release := newRunner(db, rightTXT())
	if err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(release)
	r.Wait(t.Context())
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid || got.Validated.IsZero() {
		t.Errorf("challenge %+v, %v; want it valid", got, err)
	}
	if left, err := db.ProcessingAfter(t.Context(), 0, 10); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestNothingIsProvedForAnAccountThatIsDeactivated(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	_, c := asked(t, db)
	r, release := newRunner(db, rightTXT())
	if err := db.DeactivateAccount(t.Context(), c.Account, acme.Problemf(acme.Unauthorized, "deactivated")); err != nil {
		t.Fatal(err)
	}
	close(release)
	r.Start(c)
	r.Wait(t.Context())
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Invalid {
		t.Errorf("challenge %s, %v; want it invalid", got.Status, err)
	}
}

// It ends, as no server could ever come to a result: it would be taken over for ever.
func TestNothingIsProvedForADirectoryThatIsNotConfigured(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	_, c := asked(t, db)
	r, release := newRunner(db, rightTXT())
	r.Directories = map[string]Policy{"other": {}}
	close(release)
	r.Start(c)
	r.Wait(t.Context())
	got, err := db.Challenge(t.Context(), c.ID)
	if err != nil || got.Status != acme.Invalid || got.Error == nil || !strings.Contains(got.Error.Detail, "no ACME directory main any more") {
		t.Errorf("challenge %s, %v, %v; want it invalid, and why", got.Status, got.Error, err)
	}
	if left, err := db.Abandoned(t.Context(), 0); err != nil || left {
		t.Errorf("it is there to be taken over: %v, %v", left, err)
	}
}

func TestTheFirstResultStands(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	_, c := asked(t, db)
	r, release := newRunner(db, "old")
	r.Start(c)
	if err := db.FinishChallenge(t.Context(), c, nil, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	close(release)
	r.Wait(t.Context())
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid {
		t.Errorf("challenge %s, %v; want the first result, valid", got.Status, err)
	}
}

// hanging is a resolver that knows no answer about some names, ever.
type hanging struct {
	held
	mu      sync.Mutex
	running map[string]int // look-ups that hang, by name
}

func (h *hanging) Lookup(ctx context.Context, name string, t uint16) (Answer, error) {
	if !strings.Contains(name, "hangs") {
		return h.held.Lookup(ctx, name, t)
	}
	h.mu.Lock()
	h.running[name]++
	h.mu.Unlock()
	<-ctx.Done()
	return Answer{}, ctx.Err()
}

// asksFor makes n orders of one account for a name, each with a dns-01 challenge in
// processing.
func asksFor(t *testing.T, db *store.Store, thumbprint, name string, n int) (all []store.Challenge) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	a := store.Account{Directory: "main", Thumbprint: thumbprint, JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := db.NewAccount(ctx, &a); err != nil {
		t.Fatal(err)
	}
	id := identifier.Identifier{Type: identifier.DNS, Value: name}
	for range n {
		o := store.Order{Account: a.ID, Status: acme.Pending, Identifiers: []identifier.Identifier{id}, Created: now, Expires: now.Add(time.Hour)}
		z := &store.Authz{Account: a.ID, Identifier: id, Status: acme.Pending, Created: now, Expires: now.Add(time.Hour),
			Challenges: []store.Challenge{{Type: acme.DNS01, Token: token, Status: acme.Pending}}}
		if err := db.NewOrder(ctx, &o, []*store.Authz{z}); err != nil {
			t.Fatal(err)
		}
		if err := db.StartChallenge(ctx, z.Challenges[0].ID); err != nil {
			t.Fatal(err)
		}
		all = append(all, z.Challenges[0])
	}
	return all
}

func TestAnAccountWhoseNamesHangHoldsUpNoOther(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	h := &hanging{held: held{release: make(chan struct{}), values: []string{rightTXT()}}, running: make(map[string]int)}
	close(h.release)
	r := &Runner{Validator: &Validator{Resolver: h}, Store: db, Log: slog.New(slog.DiscardHandler)}
	for _, c := range asksFor(t, db, "other", "hangs.example.org", 300) {
		r.Start(c)
		r.Start(c) // once is enough
	}
	_, c := asked(t, db)
	r.Start(c)
	r.Hold(t.Context(), c.Authz, time.Minute)
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid {
		t.Errorf("challenge %s, %v; want it valid", got.Status, err)
	}
	h.mu.Lock()
	if n := h.running["_acme-challenge.hangs.example.org"]; n > maxPerAccount {
		t.Errorf("%d validations of one account run at once; want at most %d", n, maxPerAccount)
	}
	h.mu.Unlock()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r.Wait(gone) // gives up the rest
	r.Wait(t.Context())
	if left, err := db.ProcessingAfter(t.Context(), 0, 1000); err != nil || len(left) != 300 {
		t.Errorf("%d challenges are processing, %v; want all that had no result, 300", len(left), err)
	}
}

func TestAccountsTakeTurns(t *testing.T) {
	var q queue
	for i := range int64(1000) {
		q.add(job{challenge: i, account: 1})
	}
	for i := range int64(5) {
		q.add(job{challenge: 1000 + i, account: 2})
	}
	var order []int64
	var running []job
	for j, ok := q.next(); ok; j, ok = q.next() {
		order, running = append(order, j.account), append(running, j)
	}
	if len(order) != maxPerAccount+5 || !slices.Equal(order[:10], []int64{1, 2, 1, 2, 1, 2, 1, 2, 1, 2}) {
		t.Errorf("%d run, in the order %v", len(order), order)
	}
	for len(running) > 0 { // as each ends the next one begins
		q.done(running[0])
		running = running[1:]
		if j, ok := q.next(); ok {
			running = append(running, j)
		}
	}
	if q.waiting != 0 || q.running != 0 || len(q.accounts) != 0 || len(q.turns) != 0 {
		t.Errorf("left: %+v", q)
	}
	// Many accounts fill all there is, and no more.
	for i := range int64(1000) {
		q.add(job{challenge: i, account: i})
	}
	n := 0
	for _, ok := q.next(); ok; _, ok = q.next() {
		n++
	}
	if n != maxRunning {
		t.Errorf("%d run; want %d", n, maxRunning)
	}
}

func TestWhatFindsNoRoomWaitsOnRecord(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	r, release := newRunner(db, rightTXT())
	r.queue.most = 4
	for _, c := range asksFor(t, db, keyAuthorization[len(token)+1:], site.Value, maxPerAccount+20) {
		r.Start(c)
	}
	if r.queue.waiting != 4 {
		t.Errorf("%d wait", r.queue.waiting)
	}
	close(release)
	r.Wait(t.Context())
	if left, err := db.ProcessingAfter(t.Context(), 0, 1000); err != nil || len(left) != 0 {
		t.Errorf("%d challenges are left processing, %v", len(left), err)
	}
}

// An account that asks for more than may wait keeps no other from being heard, neither
// when it is asked nor after a restart.
func TestAnAccountThatFillsTheQueueHoldsUpNoOther(t *testing.T) {
	for _, restart := range []bool{false, true} {
		db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
		h := &hanging{held: held{release: make(chan struct{}), values: []string{rightTXT()}}, running: make(map[string]int)}
		close(h.release)
		r := &Runner{Validator: &Validator{Resolver: h}, Store: db, Log: slog.New(slog.DiscardHandler)}
		r.queue.most = 8
		const many = maxPerAccount + 20
		all := asksFor(t, db, "other", "hangs.example.org", many)
		_, c := asked(t, db)
		if restart {
			if err := r.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			for _, c := range append(all, c) {
				r.Start(c)
			}
		}
		r.Hold(t.Context(), c.Authz, time.Minute)
		if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid {
			t.Errorf("challenge %s, %v; want it valid", got.Status, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		r.Wait(gone)
		r.Wait(t.Context())
		if left, err := db.ProcessingAfter(t.Context(), 0, 1000); err != nil || len(left) != many {
			t.Errorf("%d challenges are processing, %v; want all that had no result, %d", len(left), err, many)
		}
	}
}

func TestAFullQueueTakesFromTheLongestLine(t *testing.T) {
	q := queue{most: 100}
	for account := range int64(10) {
		for i := range 1000 {
			q.add(job{challenge: account*1000 + int64(i), account: account})
		}
	}
	if q.waiting > q.most || len(q.accounts) != 10 {
		t.Errorf("%d wait, of %d accounts", q.waiting, len(q.accounts))
	}
	waiting := 0
	for account, l := range q.accounts {
		if waiting += len(l.jobs); len(l.jobs) == 0 || !l.inTurns {
			t.Errorf("account %d has %d waiting, in turns %v", account, len(l.jobs), l.inTurns)
		}
	}
	if waiting != q.waiting {
		t.Errorf("%d wait, but %d are counted", waiting, q.waiting)
	}
}

// The number of a challenge is not that of its authorization.
func TestResumeGoesThroughAllPages(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	asksFor(t, db, keyAuthorization[len(token)+1:], site.Value, resumePage+1)
	r, release := newRunner(db, rightTXT())
	close(release)
	if err := r.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Wait(t.Context())
	if left, err := db.ProcessingAfter(t.Context(), 0, 10); err != nil || len(left) != 0 {
		t.Errorf("%d challenges or more are left processing, %v", len(left), err)
	}
}

func TestStopFinishesWhatRunsAndLeavesTheRestOnRecord(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	r, release := newRunner(db, rightTXT())
	for _, c := range asksFor(t, db, keyAuthorization[len(token)+1:], site.Value, maxPerAccount+20) {
		r.Start(c)
	}
	stopped := make(chan struct{})
	go func() {
		r.Stop(t.Context())
		close(stopped)
	}()
	for stopping := false; !stopping; runtime.Gosched() {
		r.mu.Lock()
		stopping = r.stopping
		r.mu.Unlock()
	}
	close(release)
	<-stopped
	if left, err := db.ProcessingAfter(t.Context(), 0, 1000); err != nil || len(left) != 20 {
		t.Errorf("%d challenges are left processing, %v; want the 20 that had not begun", len(left), err)
	}
}

func TestHoldEndsWithTheFirstOfTwoChallenges(t *testing.T) {
	db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
	ctx, now := t.Context(), time.Now()
	a := store.Account{Directory: "main", Thumbprint: keyAuthorization[len(token)+1:], JWK: []byte("{}"), Status: acme.Valid, Created: now}
	if err := db.NewAccount(ctx, &a); err != nil {
		t.Fatal(err)
	}
	o := store.Order{Account: a.ID, Status: acme.Pending, Identifiers: []identifier.Identifier{site}, Created: now, Expires: now.Add(time.Hour)}
	z := &store.Authz{Account: a.ID, Identifier: site, Status: acme.Pending, Created: now, Expires: now.Add(time.Hour), Challenges: []store.Challenge{
		{Type: acme.DNS01, Token: token, Status: acme.Pending}, {Type: acme.TLSALPN01, Token: token, Status: acme.Pending}}}
	if err := db.NewOrder(ctx, &o, []*store.Authz{z}); err != nil {
		t.Fatal(err)
	}
	// dns-01 gets its answer; tls-alpn-01 finds somebody who never says anything.
	r, release := newRunner(db, rightTXT())
	r.Validator.Resolver = split{held{release, []string{rightTXT()}}}
	r.Validator.Networks, r.Validator.TLSPort = loopback, serveRaw(t, func(c net.Conn) { c.Read(make([]byte, 1)) })
	for _, c := range z.Challenges {
		if err := db.StartChallenge(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		r.Start(c)
	}
	close(release)
	begin := time.Now()
	r.Hold(ctx, z.ID, time.Minute)
	if took := time.Since(begin); took > Timeout/2 {
		t.Errorf("held for %s", took)
	}
	if got, err := db.Order(ctx, o.ID); err != nil || got.Status != acme.Ready {
		t.Errorf("order %s, %v", got.Status, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	r.Wait(gone)
}

// split knows addresses beside what a held one knows.
type split struct{ held }

func (s split) Lookup(ctx context.Context, name string, t uint16) (Answer, error) {
	if t == dns.TypeA {
		return Loopback{}.Lookup(ctx, name, t)
	}
	return s.held.Lookup(ctx, name, t)
}

func TestAResultIsRecordedWhenTheDatabaseIsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := openStore(t, path)
	_, c := asked(t, db)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	change := func(q string) {
		t.Helper()
		if _, err := raw.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	failed := make(chan struct{}, 100)
	r, release := newRunner(db, rightTXT())
	r.Log = slog.New(logged{slog.DiscardHandler, failed})
	change("ALTER TABLE authz RENAME TO gone")
	r.Start(c)
	<-failed // it can't even be read
	change("ALTER TABLE gone RENAME TO authz")
	change("CREATE TRIGGER no BEFORE UPDATE ON authz BEGIN SELECT RAISE(FAIL, 'no'); END")
	close(release)
	<-failed // it can't be written
	change("DROP TRIGGER no")
	r.Hold(t.Context(), c.Authz, time.Minute)
	if got, err := db.Challenge(t.Context(), c.ID); err != nil || got.Status != acme.Valid || !strings.Contains(string(got.Record), `"ms"`) {
		t.Errorf("challenge %+v, %v; want it valid, with a record", got, err)
	}
}

// logged tells of each error in a log.
type logged struct {
	slog.Handler
	errors chan struct{}
}

func (l logged) Enabled(context.Context, slog.Level) bool { return true }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.errors <- struct{}{}
	}
	return nil
}
