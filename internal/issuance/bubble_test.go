package issuance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vidimus/internal/acme"
)

// pipes is a network in memory. A test over it runs in a bubble of synctest, whose
// clock stands still while anybody works, so that waiting costs nothing.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errors.New("the network is down")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// testURL is where the CA of a bubble is.
const testURL = "http://ca.example.org"

// bubble runs a test against a CA in memory, on a clock of its own.
func bubble(t *testing.T, h http.Handler, test func(*testing.T, *CA)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: h}
		go server.Serve(net)
		transport := &http.Transport{DialContext: net.dial, MaxIdleConnsPerHost: 32}
		defer func() {
			transport.CloseIdleConnections()
			server.Close()
		}()
		test(t, &CA{url: testURL + "/dir", http: &http.Client{Transport: transport}, log: discard(), ordering: make(chan struct{}, 1),
			dir: acme.Directory{NewNonce: testURL + "/nonce", NewAccount: testURL + "/account", NewOrder: testURL + "/order",
				RevokeCert: testURL + "/revoke", RenewalInfo: testURL + "/renewal"}})
	})
}

// step is one answer of a script.
type step func(http.ResponseWriter, *http.Request)

// script answers the requests to each path with its steps, the last one again and
// again. It gives a nonce with each answer but those of steps that break down.
type script struct {
	mu    sync.Mutex
	paths map[string][]step
	count map[string]int
}

func scripted(paths map[string][]step) *script { return &script{paths: paths, count: map[string]int{}} }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := s.count[r.URL.Path]
	s.count[r.URL.Path]++
	steps := s.paths[r.URL.Path]
	s.mu.Unlock()
	w.Header().Set("Replay-Nonce", fmt.Sprint("nonce-", r.URL.Path, n))
	if r.URL.Path == "/nonce" && len(steps) == 0 {
		return
	}
	if len(steps) == 0 {
		http.NotFound(w, r)
		return
	}
	steps[min(n, len(steps)-1)](w, r)
}

func (s *script) requests(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[path]
}

// answer is JSON, with headers given as pairs.
func answer(body string, headers ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		fmt.Fprint(w, body)
	}
}

// refuse is a problem document.
func refuse(status int, kind string, headers ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":"no"}`, kind)
	}
}

// drop breaks the connection.
func drop(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }

// truncate sends half of what it announces.
func truncate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", "20")
	fmt.Fprint(w, `{"status":`)
}

// cutUnseen sends half of an answer in a way that does not show it.
func cutUnseen(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"status":`)
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server look whether it has
	<-r.Context().Done()
}

func repeat(n int, s step) (all []step) {
	for range n {
		all = append(all, s)
	}
	return all
}

func near(got, want time.Duration) bool { return got >= want && got < want+want/2+time.Second }
