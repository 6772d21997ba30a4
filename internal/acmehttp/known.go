package acmehttp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/store"
)

const (
	// knownFor is how long an account that was read may be used again: a client sends
	// half a dozen requests for one certificate. What this process changes is seen at
	// once, what others change (another replica, vidimusd admin) after this time.
	knownFor = time.Second
	// maxKnown bounds the memory for them: some 2 KiB each.
	maxKnown = 4096
)

// knownAccounts remembers accounts with their keys for a moment. The zero value knows
// none.
type knownAccounts struct {
	mu  sync.Mutex
	all map[int64]*knownAccount // nothing in it is changed
}

type knownAccount struct {
	account store.Account
	signer  signer
	read    time.Time
	changes uint64 // see [store.Store.Permissions]
}

// recent finds an account that was read a moment ago, or reads it.
func (k *knownAccounts) recent(ctx context.Context, s *Server, id int64) (*knownAccount, error) {
	k.mu.Lock()
	a := k.all[id]
	k.mu.Unlock()
	if a != nil && a.changes == s.Store.Permissions() && time.Since(a.read) < knownFor {
		return a, nil
	}
	return k.fresh(ctx, s, id)
}

// fresh reads an account.
func (k *knownAccounts) fresh(ctx context.Context, s *Server, id int64) (*knownAccount, error) {
	// Both before it is read, so that what changes meanwhile isn't missed.
	a := &knownAccount{read: time.Now(), changes: s.Store.Permissions()}
	var err error
	if a.account, err = s.Store.Account(ctx, id); err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(a.account.JWK); err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	if a.signer, err = signerOf(&key); err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil || len(k.all) >= maxKnown {
		k.all = make(map[int64]*knownAccount)
	}
	k.all[id] = a
	return a, nil
}
