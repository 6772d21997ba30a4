package acmehttp

import (
	"context"
	"strings"
	"sync"
	"unicode"

	"vidimus/internal/store"
)

// maxClients bounds how many clients are remembered, at some 200 bytes each.
const maxClients = 4096

// clients remembers the numbers of User-Agents, so that who renews again and again is
// looked up once. The zero value remembers none.
type clients struct {
	mu  sync.Mutex
	ids map[string]int64
}

func (c *clients) id(ctx context.Context, db *store.Store, userAgent string) (int64, error) {
	c.mu.Lock()
	id, ok := c.ids[userAgent]
	c.mu.Unlock()
	if ok {
		return id, nil
	}
	id, err := db.Client(ctx, userAgent)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil || len(c.ids) >= maxClients {
		c.ids = make(map[string]int64)
	}
	c.ids[userAgent] = id
	return id, nil
}

// client is the number of the client that sends a request, 0 when it can't be found out:
// that is no reason to refuse a certificate.
func (s *Server) client(r *request) int64 {
	id, err := s.clients.id(r.http.Context(), s.Store, userAgent(r))
	if err != nil {
		s.Log.WarnContext(r.http.Context(), "noting the client", "err", err)
	}
	return id
}

// userAgent is what the client calls itself, as text that can be kept.
func userAgent(r *request) string {
	printable := func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}
	return strings.ToValidUTF8(clip(strings.Map(printable, strings.ToValidUTF8(r.http.UserAgent(), ""))), "")
}
