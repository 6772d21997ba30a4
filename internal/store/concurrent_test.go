package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

// rounds is how often a race is run: each went wrong within a few before it was
// decided by the database.
const rounds = 30

// race runs all functions at once and returns their errors.
func race(fns ...func() error) []error {
	errs := make([]error, len(fns))
	start := make(chan bool)
	var all sync.WaitGroup
	for i, fn := range fns {
		all.Go(func() {
			<-start
			errs[i] = fn()
		})
	}
	close(start)
	all.Wait()
	return errs
}

// twoNames makes an order for two names, with the challenges of both processing.
func twoNames(t *testing.T, s *Store, account Account) (Order, []*Authz) {
	t.Helper()
	o := Order{Account: account.ID, Status: acme.Pending, Created: day, Expires: day.Add(time.Hour)}
	var authzs []*Authz
	for _, name := range []string{"a.example.org", "b.example.org"} {
		id := identifier.Identifier{Type: identifier.DNS, Value: name}
		o.Identifiers = append(o.Identifiers, id)
		authzs = append(authzs, &Authz{Account: account.ID, Identifier: id, Status: acme.Pending, Created: day, Expires: o.Expires,
			Challenges: []Challenge{{Type: acme.HTTP01, Token: name, Status: acme.Pending}}})
	}
	if err := s.NewOrder(t.Context(), &o, authzs); err != nil {
		t.Fatal(err)
	}
	for _, z := range authzs {
		if err := s.StartChallenge(t.Context(), z.Challenges[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	return o, authzs
}

func TestAuthorizationsThatFinishAtOnceMakeTheOrderReady(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint")
		for range rounds {
			o, authzs := twoNames(t, s, account)
			finish := func(z *Authz) func() error {
				return func() error {
					return s.FinishChallenge(context.Background(), z.Challenges[0], nil, day, day.Add(time.Hour))
				}
			}
			if errs := race(finish(authzs[0]), finish(authzs[1])); errors.Join(errs...) != nil {
				t.Fatal(errs)
			}
			if o, err := s.Order(t.Context(), o.ID); err != nil || o.Status != acme.Ready {
				t.Fatalf("the order is %s, %v; want ready", o.Status, err)
			}
		}
	})
}

// An order that takes up authorizations while they become valid is ready, or not made.
func TestOrderTakesUpAuthorizationsThatFinish(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint")
		for i := range rounds {
			var authzs []*Authz
			var ids []identifier.Identifier
			for _, name := range []string{"a", "b"} {
				id := identifier.Identifier{Type: identifier.DNS, Value: fmt.Sprintf("%s%d.example.org", name, i)}
				z := &Authz{Account: account.ID, Identifier: id, Status: acme.Pending, Reusable: true, Created: day, Expires: day.Add(time.Hour),
					Challenges: []Challenge{{Type: acme.HTTP01, Token: name, Status: acme.Pending}}}
				if err := s.NewAuthz(t.Context(), z); err != nil {
					t.Fatal(err)
				}
				if err := s.StartChallenge(t.Context(), z.Challenges[0].ID); err != nil {
					t.Fatal(err)
				}
				z.Recorded = true
				authzs, ids = append(authzs, z), append(ids, id)
			}
			o := Order{Account: account.ID, Status: acme.Pending, Identifiers: ids, Created: day, Expires: day.Add(time.Hour)}
			finish := func(z *Authz) func() error {
				c := z.Challenges[0]
				return func() error { return s.FinishChallenge(context.Background(), c, nil, day, day.Add(time.Hour)) }
			}
			errs := race(func() error { return s.NewOrder(context.Background(), &o, authzs) }, finish(authzs[0]), finish(authzs[1]))
			if errors.Is(errs[0], ErrConflict) {
				errs[0] = nil
				o.ID = 0
			}
			if errors.Join(errs...) != nil {
				t.Fatal(errs)
			}
			if o.ID == 0 {
				continue
			}
			if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != acme.Ready || len(got.Authzs) != 2 || len(got.Identifiers) != 2 {
				t.Fatalf("the order is %+v, %v; want ready", got, err)
			}
		}
	})
}

func TestAuthorizationThatIsGivenUpLeavesNoOrderReady(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint")
		no := acme.Problemf(acme.Unauthorized, "given up")
		for range rounds {
			o, authzs := twoNames(t, s, account)
			if err := s.FinishChallenge(t.Context(), authzs[0].Challenges[0], nil, day, day.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			errs := race(
				func() error {
					return s.FinishChallenge(context.Background(), authzs[1].Challenges[0], nil, day, day.Add(time.Hour))
				},
				func() error {
					return s.DeactivateAuthz(context.Background(), authzs[0].ID, acme.Valid, no)
				})
			if errors.Join(errs...) != nil {
				t.Fatal(errs)
			}
			if o, err := s.Order(t.Context(), o.ID); err != nil || o.Status != acme.Invalid {
				t.Fatalf("the order is %s, %v; want invalid", o.Status, err)
			}
		}
	})
}

// Whoever is first: no account made with the old credentials is left.
func TestNewCredentialsWithStopLeaveNoAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i := range rounds {
			host, kid := fmt.Sprintf("h%d.example.org", i), fmt.Sprint("kid ", i)
			id := addACMEID(t, s, host, kid)
			errs := race(
				func() error {
					a := Account{Directory: "main", Thumbprint: kid, JWK: []byte("{}"), Status: acme.Valid, Created: day, ACMEID: id}
					return s.NewBoundAccount(context.Background(), &a, kid)
				},
				func() error {
					return s.NewCredentials(context.Background(), id, Credentials{kid + " new", []byte("new")}, StopAccounts, day)
				})
			if errs[0] != nil && !errors.Is(errs[0], ErrNotFound) || errs[1] != nil {
				t.Fatal(errs)
			}
			if got, err := s.ACMEIDByID(t.Context(), id); err != nil || len(got.Accounts) != 0 || string(got.HMACKey) != "new" {
				t.Fatalf("accounts %v, %v; want none", got.Accounts, err)
			}
		}
	})
}

func addACMEID(t *testing.T, s *Store, host, kid string) int64 {
	t.Helper()
	if err := s.AddHost(t.Context(), host, nil, day); err != nil {
		t.Fatal(err)
	}
	if err := s.AddACMEID(t.Context(), host, []string{host}, Credentials{kid, []byte("hmac")}, day); err != nil {
		t.Fatal(err)
	}
	a, err := s.ACMEID(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func TestOfManyRegistrationsWithCredentialsOneIsMade(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		id := addACMEID(t, s, "www.example.org", "kid")
		var all []func() error
		for i := range 6 {
			all = append(all, func() error {
				a := Account{Directory: "main", Thumbprint: fmt.Sprint(i), JWK: []byte("{}"), Status: acme.Valid, Created: day, ACMEID: id}
				return s.NewBoundAccount(context.Background(), &a, "kid")
			})
		}
		made := 0
		for _, err := range race(all...) {
			switch {
			case err == nil:
				made++
			case !errors.Is(err, ErrNotFound):
				t.Error(err)
			}
		}
		if made != 1 {
			t.Errorf("%d accounts were made with one-time credentials", made)
		}
	})
}

func TestACMEIDOfAHostThatGoesIsInvalid(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i := range rounds {
			host := fmt.Sprintf("h%d.example.org", i)
			if err := s.AddHost(t.Context(), host, nil, day); err != nil {
				t.Fatal(err)
			}
			errs := race(
				func() error {
					return s.AddACMEID(context.Background(), host, []string{host}, Credentials{host, []byte("hmac")}, day)
				},
				func() error { return s.RemoveHost(context.Background(), host, day) })
			if errs[0] != nil && !errors.Is(errs[0], ErrNotFound) || errs[1] != nil {
				t.Fatal(errs)
			}
			if a, err := s.ACMEID(t.Context(), host); err == nil && (a.Invalid.IsZero() || len(a.Names) > 0) {
				t.Fatalf("an ACME-ID of a host that is gone: %+v", a)
			}
		}
	})
}

func TestTwoAccountsCantTakeOneKey(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		for i := range rounds {
			a, b := newTestAccount(t, s, fmt.Sprint("a", i)), newTestAccount(t, s, fmt.Sprint("b", i))
			take := func(x Account) func() error {
				return func() error { return s.SetAccountKey(context.Background(), x, fmt.Sprint("new", i), []byte("{}")) }
			}
			errs := race(take(a), take(b))
			if (errs[0] == nil) == (errs[1] == nil) || errs[0] != nil && !errors.Is(errs[0], ErrConflict) || errs[1] != nil && !errors.Is(errs[1], ErrConflict) {
				t.Fatalf("%v; want one conflict", errs)
			}
		}
	})
}

// Who has seen the count of a shard's changes has seen all revocations before it.
func TestAShardChangesWithEachRevocation(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		const n = 40
		shard, err := s.TakePlaces(t.Context(), "main", "01", "", n, n, day)
		if err != nil {
			t.Fatal(err)
		}
		var certs []Certificate
		for i := range n {
			c := Certificate{Serial: fmt.Sprintf("%032x", i), Issuer: "main", Shard: shard.ID, TBS: []byte("tbs"), SPKI: []byte("spki"), NotBefore: day, NotAfter: day.Add(time.Hour), Created: day}
			if err := s.BeginIssuance(t.Context(), c, ""); err != nil {
				t.Fatal(err)
			}
			certs = append(certs, c)
		}
		var revoke []func() error
		for part := range 4 {
			revoke = append(revoke, func() error {
				for i := part; i < n; i += 4 {
					if err := s.Revoke(context.Background(), certs[i].Serial, 0, day); err != nil {
						return err
					}
				}
				return nil
			})
		}
		seen := make(map[int64]int)
		done := make(chan bool)
		var watch sync.WaitGroup
		watch.Go(func() {
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				now, err := s.Shard(context.Background(), "main")
				mark := now.Changes
				if err != nil {
					t.Error(err)
					return
				}
				all, err := s.Revocations(context.Background(), shard.ID, day)
				if err != nil {
					t.Error(err)
					return
				}
				if _, ok := seen[mark]; !ok {
					seen[mark] = len(all)
				}
			}
		})
		errs := race(revoke...)
		close(done)
		watch.Wait()
		if errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		for mark, had := range seen {
			if int64(had) < mark {
				t.Errorf("at mark %d there were %d revocations", mark, had)
			}
		}
	})
}

// An order that takes up a pending authorization while that is proved must not wait for
// a proof that has been given.
func TestAnOrderTakesUpWhatIsProvedAtThatMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		account := newTestAccount(t, s, "thumbprint")
		for n := range rounds {
			z := proved(t, s, account.ID, fmt.Sprintf("h%d.example.org", n), 0)
			if err := s.StartChallenge(t.Context(), z.Challenges[0].ID); err != nil {
				t.Fatal(err)
			}
			var o Order
			errs := race(func() error {
				return s.FinishChallenge(context.Background(), z.Challenges[0], nil, day, day.Add(time.Hour))
			}, func() error {
				for {
					have, err := s.ReusableAuthzs(context.Background(), account.ID, []string{z.Identifier.Value}, day)
					if err != nil {
						return err
					}
					o = Order{Account: account.ID, Status: acme.Pending, Identifiers: []identifier.Identifier{z.Identifier}, Created: day, Expires: day.Add(time.Hour)}
					if have[0].Status == acme.Valid {
						o.Status = acme.Ready
					}
					if err = s.NewOrder(context.Background(), &o, []*Authz{&have[0]}); !errors.Is(err, ErrConflict) {
						return err
					}
				}
			})
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != acme.Ready {
				t.Fatalf("round %d: the order is %s, %v; want ready", n, got.Status, err)
			}
		}
	})
}
