package revocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vidimus/internal/store"
)

// DefaultShardSize is how many certificates at most share a CRL when nothing else is
// configured. When all are revoked it has some 500 kB.
const DefaultShardSize = 10_000

// Shards gives the certificates of a CA their shards. It takes places in the database
// by the block, so that few certificates cost a commit; what is left of a block when the
// process ends stays unused. It is safe for concurrent use.
type Shards struct {
	Issuer string // name on record
	CA     string // see [Signer.ID]
	Base   string // URL that the paths of CRLs follow, such as http://ca.example.org/crl/; "" for none
	Size   int    // of a shard; 0 means [DefaultShardSize]
	Store  *store.Store
	Now    func() time.Time // nil means time.Now

	mu    sync.Mutex
	shard store.Shard // where the places are; guarded by mu
	left  int         // places; guarded by mu
}

// Next takes a place for one certificate.
func (s *Shards) Next(ctx context.Context) (store.Shard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		block := max(1, s.size()/100)
		shard, err := s.places(ctx, block)
		if err != nil {
			return shard, fmt.Errorf("taking places in a CRL of issuer %s: %w", s.Issuer, err)
		}
		s.shard, s.left = shard, block
	}
	s.left--
	return s.shard, nil
}

func (s *Shards) size() int {
	if s.Size == 0 {
		return DefaultShardSize
	}
	return s.Size
}

func (s *Shards) places(ctx context.Context, n int) (store.Shard, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	for {
		shard, err := s.Store.TakePlaces(ctx, s.Issuer, s.CA, s.Base, n, s.size(), now())
		if !errors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return shard, err
		}
		// Another process was faster.
	}
}

// Open makes the CA responsible for what its issuer has signed before there were
// shards, unless another CA is, and sees to it that there is a shard.
func (s *Shards) Open(ctx context.Context) error {
	if err := s.Store.AdoptShards(ctx, s.Issuer, s.CA, s.Base); err != nil {
		return err
	}
	_, err := s.places(ctx, 0)
	return err
}
