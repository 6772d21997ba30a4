package dns

import (
	"context"
	"slices"
	"strings"
	"sync"

	"vidimus/internal/authenticator/dns/authority"
	"vidimus/internal/authenticator/dns/external"
)

// Session is what the orders of one run share: provider programs that are running, the
// name servers that were found, and which names an order has for itself. Close it when
// the run ends.
type Session struct {
	programs external.Programs
	names    locks

	mu      sync.Mutex
	finders map[string]*authority.Finder // by resolvers; guarded by mu
}

// NewSession begins a run.
func NewSession() *Session { return new(Session) }

// Close ends the programs that the run has started.
func (s *Session) Close() { s.programs.Close() }

func (s *Session) finder(c Config) *authority.Finder {
	key := strings.Join(c.resolvers, " ") + " " + c.AuthorityPort
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.finders[key]
	if f == nil {
		if s.finders == nil {
			s.finders = make(map[string]*authority.Finder)
		}
		f = &authority.Finder{Resolvers: c.resolvers, Port: c.AuthorityPort, Patience: c.Patience, Log: c.Log}
		s.finders[key] = f
	}
	return f
}

// locks are locks with names.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // of those that are held; closed when let go; guarded by mu
}

// lock takes the locks of all names, which it does in order, so that two orders with
// the same names never wait for each other. The function it returns lets them go.
func (l *locks) lock(ctx context.Context, names []string) (unlock func(), err error) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	var mine []string
	unlock = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range mine {
			close(l.held[n])
			delete(l.held, n)
		}
		mine = nil
	}
	for _, n := range names {
		for {
			wait := l.take(n)
			if wait == nil {
				break
			}
			select {
			case <-wait:
			case <-ctx.Done():
				unlock()
				return nil, ctx.Err()
			}
		}
		mine = append(mine, n)
	}
	return unlock, nil
}

// take takes a lock, or returns what to wait for.
func (l *locks) take(name string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch, ok := l.held[name]; ok {
		return ch
	}
	if l.held == nil {
		l.held = make(map[string]chan struct{})
	}
	l.held[name] = make(chan struct{})
	return nil
}

// turn is one lock as a [sync.Locker].
type turn struct {
	locks  *locks
	name   string
	unlock func()
}

func (t *turn) Lock() {
	unlock, _ := t.locks.lock(context.Background(), []string{t.name})
	t.unlock = unlock // only the holder touches it
}

func (t *turn) Unlock() { t.unlock() }
