package validation

import (
	"context"
	"log/slog"
	"path/filepath"
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
	if err := db.StartChallenge(ctx, z.Challenges[0].ID); err != nil {
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
