package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// health tells those who watch the server whether it lives (/healthz) and whether it
// can do its work now (/readyz). The answer to the latter is kept for a second, so
// that asking costs nothing.
type health struct {
	check    func(ctx context.Context) error // what stands in the way of work, in words for anybody
	stopping <-chan struct{}

	mu   sync.Mutex
	at   time.Time // of last; guarded by mu
	last error     // guarded by mu
}

const (
	healthKept    = time.Second
	healthTimeout = 3 * time.Second
)

var errStopping = errors.New("the server is stopping")

func (h *health) ready(ctx context.Context) error {
	select {
	case <-h.stopping:
		return errStopping
	default:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if age := time.Since(h.at); age < 0 || age > healthKept {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
		defer cancel()
		h.last, h.at = h.check(ctx), time.Now()
	}
	return h.last
}

// add puts /healthz and /readyz on mux.
func (h *health) add(mux *http.ServeMux) {
	ok := func(w http.ResponseWriter, r *http.Request) {
		sendContent(w, r, "text/plain; charset=utf-8", time.Time{}, []byte("ok\n"))
	}
	mux.HandleFunc("GET /healthz", uncached(ok))
	mux.HandleFunc("GET /readyz", uncached(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		ok(w, r)
	}))
}

func uncached(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		h(w, r)
	}
}

// usable checks that the database answers and that each issuer may still sign.
func (s *Server) usable(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		s.log.Error("not ready: the database does not answer", "err", err)
		return errors.New("the database does not answer")
	}
	now := time.Now()
	for _, i := range s.issuers {
		if m := i.Current(); m == nil || now.Before(m.CA.NotBefore) || now.After(m.CA.NotAfter) {
			return fmt.Errorf("the CA certificate of issuer %s is not valid now", i.Name)
		}
	}
	return nil
}
