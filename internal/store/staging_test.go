package store

import (
	"errors"
	"fmt"
	"testing"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

func TestAStagingAccountLeavesCredentialsAndTheRealAccount(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		id := addACMEID(t, s, "www.example.org", "kid")
		account := func(n int, directory string) *Account {
			return &Account{Directory: directory, Thumbprint: fmt.Sprint(n), JWK: []byte("{}"), Status: acme.Valid, Created: day, ACMEID: id}
		}
		first, second, real, late := account(1, "main-staging"), account(2, "main-staging"), account(3, "main"), account(4, "main-staging")
		for _, a := range []*Account{first, second} {
			if err := s.NewStagingAccount(ctx, a, "kid"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.NewBoundAccount(ctx, real, "kid"); err != nil {
			t.Fatalf("the credentials were used up: %v", err)
		}
		if err := s.NewStagingAccount(ctx, late, "kid"); !errors.Is(err, ErrNotFound) {
			t.Errorf("with credentials that are used up: %v", err)
		}
		for a, want := range map[*Account]acme.Status{first: acme.Revoked, second: acme.Valid, real: acme.Valid} {
			if got, err := s.Account(ctx, a.ID); err != nil || got.Status != want || got.Staging != (a != real) || !got.Bound {
				t.Errorf("account %s: %+v, %v; want it %s", a.Thumbprint, got, err, want)
			}
		}
		if got, err := s.ACMEID(ctx, "www.example.org"); err != nil || len(got.Accounts) != 1 || got.Accounts[0] != real.ID {
			t.Errorf("the ACME-ID has %v, %v", got.Accounts, err)
		}
	})
}

func TestOrdersAndCertificatesKnowTheirProfileAndCA(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a := Account{Directory: "main", Thumbprint: "t", JWK: []byte("{}"), Status: acme.Valid, Created: day}
		if err := s.NewAccount(ctx, &a); err != nil {
			t.Fatal(err)
		}
		ids := []identifier.Identifier{{Type: identifier.DNS, Value: "www.example.org"}}
		o := Order{Account: a.ID, Status: acme.Ready, Identifiers: ids, Profile: "short", Created: day, Expires: day}
		if err := s.NewOrder(ctx, &o, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Order(ctx, o.ID); err != nil || got.Profile != "short" {
			t.Errorf("the order's profile is %q, %v", got.Profile, err)
		}
		c := Certificate{Serial: "4a", Issuer: "main", AuthorityKey: "0102", Order: o.ID, Account: a.ID, Names: ids, TBS: []byte("tbs"), SPKI: []byte("spki"),
			NotBefore: day, NotAfter: day, Created: day}
		if err := s.BeginIssuance(ctx, c, ""); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Certificate(ctx, "4a"); err != nil || got.AuthorityKey != "0102" {
			t.Errorf("the certificate's CA is %q, %v", got.AuthorityKey, err)
		}
	})
}
