package nonce

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"

	"vidimus/internal/store"
)

const (
	// Life is how long a nonce of [Shared] is good.
	Life = time.Hour
	// clocks may differ by this much among servers, for nonces to be taken back once.
	clocks = time.Hour
	// reloadEvery is how often a nonce under another key makes us look for that key.
	reloadEvery = time.Second

	timeLen   = 6
	randomLen = 10
)

// Shared gives out nonces that any server on the same database takes back: a time and
// random bits under a MAC whose key is in the database, where those that came back are
// noted until they are too old. It is safe for concurrent use.
type Shared struct {
	store *store.Store
	now   func() time.Time

	mu     sync.Mutex
	key    []byte    // guarded by mu
	loaded time.Time // when key was read; guarded by mu
}

// NewShared makes a source on a [store.Store.Shared] database; now may be nil.
func NewShared(ctx context.Context, s *store.Store, now func() time.Time) (*Shared, error) {
	if now == nil {
		now = time.Now
	}
	n := &Shared{store: s, now: now}
	return n, n.reload(ctx)
}

// reload reads the key, or makes one when a crash of the database has lost it.
func (n *Shared) reload(ctx context.Context) error {
	proposed := make([]byte, 32)
	rand.Read(proposed)
	key, err := n.store.NonceKey(ctx, proposed)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.key, n.loaded = key, n.now()
	return nil
}

func (n *Shared) current() (key []byte, loaded time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.key, n.loaded
}

// Next gives out a nonce: 43 characters of base64url.
func (n *Shared) Next() string {
	raw := appendTime(make([]byte, 0, timeLen+randomLen+macLen), n.now())
	raw = raw[:timeLen+randomLen]
	rand.Read(raw[timeLen:])
	key, _ := n.current()
	return base64.RawURLEncoding.EncodeToString(appendMAC(raw, key))
}

// appendTime appends Unix milliseconds, so that nonces sort by their age.
func appendTime(raw []byte, t time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(max(0, t.UnixMilli())))
	return append(raw, b[8-timeLen:]...)
}

// Known tells whether nonce came from a server on this database and is not too old. It
// reads the database at most once in a second, and writes nothing.
func (n *Shared) Known(ctx context.Context, nonce string) (bool, error) {
	plain, _, err := n.open(ctx, nonce)
	return plain != nil, err
}

// Redeem tells whether nonce is known, and has not been redeemed at any server before.
func (n *Shared) Redeem(ctx context.Context, nonce string) (bool, error) {
	plain, key, err := n.open(ctx, nonce)
	if err != nil || plain == nil {
		return false, err
	}
	fresh, err := n.store.UseNonce(ctx, key, plain)
	if err != nil || fresh {
		return fresh, err
	}
	// Most likely it was used. If it is the key that is lost, the next nonce is to be good.
	_, err = n.reloadSoon(ctx)
	return false, err
}

// open reads a nonce that is not too old, and says which key it is under. It is nil when
// it is none of ours.
func (n *Shared) open(ctx context.Context, nonce string) (plain, key []byte, err error) {
	raw, ok := decode(nonce, timeLen+randomLen+macLen)
	if !ok || string(raw[:timeLen]) < string(appendTime(nil, n.now().Add(-Life))) {
		return nil, nil, nil
	}
	plain = raw[: timeLen+randomLen : timeLen+randomLen]
	key, _ = n.current()
	if goodMAC(raw, key) {
		return plain, key, nil
	}
	// Another server may have found the key lost, and made a new one.
	if again, err := n.reloadSoon(ctx); !again || err != nil {
		return nil, nil, err
	}
	if key, _ = n.current(); goodMAC(raw, key) {
		return plain, key, nil
	}
	return nil, nil, nil
}

// reloadSoon is reload, unless that has just been done.
func (n *Shared) reloadSoon(ctx context.Context) (done bool, err error) {
	if _, loaded := n.current(); n.now().Sub(loaded).Abs() < reloadEvery {
		return false, nil
	}
	return true, n.reload(ctx)
}

// Forget drops what is noted of nonces that are too old. Some server calls it now and
// then.
func (n *Shared) Forget(ctx context.Context) error {
	return n.store.ForgetNonces(ctx, appendTime(nil, n.now().Add(-Life-clocks)))
}
