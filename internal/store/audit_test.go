package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
)

// sealed seals and returns the whole log.
func sealed(t *testing.T, s *Store) []audit.Row {
	t.Helper()
	if err := s.SealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := s.AuditRows(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func tell(t *testing.T, s *Store, n int) {
	t.Helper()
	for i := range n {
		if err := s.Record(t.Context(), audit.Event{Action: "test", Object: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEachChangeIsInTheAuditLogWithWhoDidIt(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		o, z := newTestOrder(t, s, acme.Pending)
		ctx := audit.With(t.Context(), audit.Actor{Account: o.Account, Address: "192.0.2.1:9", Request: "R1"})
		c := Challenge{ID: z.Challenges[0].ID, Authz: z.ID, Type: acme.HTTP01}
		if err := s.StartChallenge(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.FinishChallenge(t.Context(), c, nil, day, day); err != nil {
			t.Fatal(err)
		}
		cert := testCertificate("4a", o)
		if err := s.BeginIssuance(ctx, cert, ""); err != nil {
			t.Fatal(err)
		}
		if err := s.FinishIssuance(ctx, cert.Serial, []byte("DER"), day); err != nil {
			t.Fatal(err)
		}
		if err := s.BeginIssuance(ctx, cert, ""); !errors.Is(err, ErrConflict) {
			t.Fatalf("twice: %v", err)
		}
		operator := audit.With(t.Context(), audit.Actor{Operator: "ada"})
		if err := s.Revoke(operator, cert.Serial, acme.KeyCompromise, day); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range sealed(t, s) {
			var d struct{ Account int64 }
			if err := json.Unmarshal(r.Detail, &d); err != nil || r.Action == audit.Validated && d.Account != o.Account {
				t.Errorf("the detail of %s is %s: %v", r.Action, r.Detail, err)
			}
			got = append(got, fmt.Sprint(r.Action, " ", r.Object, " ", r.Result, " ", string(r.Actor)))
		}
		client := fmt.Sprintf(`{"account":%d,"address":"192.0.2.1:9","request":"R1"}`, o.Account)
		want := []string{
			fmt.Sprintf("account.created %d done {}", o.Account),
			"authorization.validated www.example.org valid {}",
			"certificate.intended 4a done " + client,
			"certificate.issued 4a done " + client,
			`certificate.revoked 4a done {"operator":"ada"}`,
			fmt.Sprintf(`key.blocked %x done {"operator":"ada"}`, cert.SPKI),
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the log says:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// What a change that came to nothing would have told is not in the log, and observers
// hear of what is, once.
func TestEventsComeAndGoWithTheirChange(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		var seen []string
		s.Observe(func(e audit.Event) { seen = append(seen, e.Object) })
		failed := errors.New("no")
		err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(record(ctx, tx, audit.Event{Action: "test", Object: "gone"}), failed)
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		tell(t, s, 1)
		if rows := sealed(t, s); len(rows) != 1 || rows[0].Object != "0" || strings.Join(seen, ",") != "0" {
			t.Errorf("on record: %+v; observed: %v", rows, seen)
		}
	})
}

func TestSealingByManyMakesOneChain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		const writers, each = 4, 60
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for i := range each {
					events := make([]audit.Event, 1+i%20) // more than one statement takes
					for k := range events {
						events[k] = audit.Event{Action: "test", Object: fmt.Sprint(k)}
					}
					if err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return record(ctx, tx, events...) }); err != nil {
						t.Error(err)
					}
					if err := s.SealAudit(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		rows := sealed(t, s)
		previous, want := audit.Start, writers*each/20*210
		for i, r := range rows {
			if r.Position != int64(i+1) || r.Sum(previous) != r.Hash {
				t.Fatalf("row %d is not chained to the one before: %+v", i, r)
			}
			previous = r.Hash
		}
		head, err := s.AuditHead(t.Context())
		if err != nil || len(rows) != want || head.Position != int64(want) || head.Hash != previous {
			t.Errorf("%d rows, want %d; head %+v, %v", len(rows), want, head, err)
		}
	})
}

func TestTheDatabaseRefusesToChangeTheAuditLog(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		tell(t, s, 2)
		sealed(t, s)
		tell(t, s, 1) // which is not sealed
		for _, query := range []string{
			`DELETE FROM audit`,
			`UPDATE audit SET object = 'x' WHERE position = 1`,
			`UPDATE audit SET position = 7, hash = 'x' WHERE position = 1`,
			`UPDATE audit SET object = 'x' WHERE position IS NULL`,
			`UPDATE audit SET object = 'x', position = 3, hash = 'x' WHERE position IS NULL`,
		} {
			err := s.update(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, query)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "the audit log") {
				t.Errorf("%s: %v", query, err)
			}
		}
		if rows := sealed(t, s); len(rows) != 3 {
			t.Errorf("%d rows; want 3", len(rows))
		}
	})
}

func TestAnActorIsTakenFromTheContext(t *testing.T) {
	s := openNew(t)
	if err := s.Record(audit.With(t.Context(), audit.Actor{Account: 7, ACMEID: "www.example.org"}), audit.Event{Action: "test"}); err != nil {
		t.Fatal(err)
	}
	var a audit.Actor
	if err := json.Unmarshal(sealed(t, s)[0].Actor, &a); err != nil || a.Account != 7 || a.ACMEID != "www.example.org" {
		t.Errorf("%+v, %v", a, err)
	}
}
