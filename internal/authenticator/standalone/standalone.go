// Package standalone answers http-01 challenges (RFC 8555 §8.3) with a web server
// that runs only while they are pending and serves nothing but their tokens.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vidimus/internal/authenticator"
)

// Server is the authenticator of one order. Port is where it listens; an empty
// Address is all addresses of the machine, IPv6 and IPv4.
type Server struct {
	Port    int
	Address string
	// Ports is shared by the orders that may run at the same time; nil for one that is
	// alone.
	Ports *Ports

	port   *port
	tokens []string
}

// Ports holds the ports that orders listen on. Orders that want the same one share
// it: the first opens it, the last closes it. One that is open on all addresses does
// for each of them; who wants all waits until none is open on one.
type Ports struct {
	mu   sync.Mutex
	open map[string]*port // by address; guarded by mu
}

// port is an open one with what it serves.
type port struct {
	addr      string
	number    int
	server    *http.Server
	listeners []net.Listener
	orders    int           // that use it; guarded by Ports.mu
	closed    chan struct{} // when it is
	answers   *sync.Map     // by path
}

var _ authenticator.Authenticator = (*Server)(nil)

// Types implements [authenticator.Authenticator].
func (s *Server) Types() []string { return []string{"http-01"} }

// Hint implements [authenticator.Authenticator].
func (s *Server) Hint() string {
	at := "port " + strconv.Itoa(s.Port)
	if s.Address != "" {
		at = net.JoinHostPort(s.Address, strconv.Itoa(s.Port))
	}
	return "The Certificate Authority failed to download the challenge files from the temporary standalone webserver " +
		"started on " + at + ". Ensure that the listed domains point to this machine and that it can accept inbound " +
		"connections from the internet."
}

// Present listens and serves the answers.
func (s *Server) Present(ctx context.Context, challenges []authenticator.Challenge) error {
	if s.Ports == nil {
		s.Ports = new(Ports)
	}
	p, err := s.Ports.join(ctx, s)
	if err != nil {
		return err
	}
	s.port = p
	for _, c := range challenges {
		path := authenticator.HTTPPath + c.Token
		p.answers.Store(path, c.KeyAuthorization)
		s.tokens = append(s.tokens, path)
	}
	return nil
}

func (s *Server) addr() string { return net.JoinHostPort(s.Address, strconv.Itoa(s.Port)) }

// join opens the port that s wants, or shares it.
func (ps *Ports) join(ctx context.Context, s *Server) (*port, error) {
	for {
		p, busy, err := ps.tryJoin(ctx, s)
		if busy == nil {
			return p, err
		}
		select {
		case <-busy.closed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryJoin is join, but for a port that is open on one address where all are wanted.
func (ps *Ports) tryJoin(ctx context.Context, s *Server) (p, busy *port, err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, addr := range []string{s.addr(), (&Server{Port: s.Port}).addr()} {
		if p := ps.open[addr]; p != nil {
			p.orders++
			return p, nil, nil
		}
	}
	for _, other := range ps.open {
		if s.Address == "" && other.number == s.Port {
			return nil, other, nil
		}
	}
	p, err = ps.listen(ctx, s)
	return p, nil, err
}

// listen opens a port. It is called with mu held.
func (ps *Ports) listen(ctx context.Context, s *Server) (*port, error) {
	listeners, err := s.listen(ctx)
	if err != nil {
		return nil, err
	}
	p := &port{addr: s.addr(), number: s.Port, listeners: listeners, orders: 1, closed: make(chan struct{}), answers: new(sync.Map)}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	for _, l := range listeners {
		go p.server.Serve(l)
	}
	if ps.open == nil {
		ps.open = map[string]*port{}
	}
	ps.open[s.addr()] = p
	return p, nil
}

// ServeHTTP serves the answers and nothing else.
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := p.answers.Load(r.URL.Path)
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.WriteString(w, answer.(string))
}

// listen binds the port. Without an address one socket takes both protocols, and
// two are tried on machines whose IPv6 sockets do not take IPv4.
func (s *Server) listen(ctx context.Context) ([]net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1} // its connections live for one answer; Go sets SO_REUSEADDR
	addr := s.addr()
	l, err := lc.Listen(ctx, "tcp", addr)
	if err == nil {
		return []net.Listener{l}, nil
	}
	if s.Address == "" && !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
		if l, err4 := lc.Listen(ctx, "tcp4", addr); err4 == nil {
			return []net.Listener{l}, nil
		}
	}
	return nil, s.explain(err)
}

func (s *Server) explain(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("could not bind TCP port %d because it is already in use by another process on this system (such as a web server; `ss -ltnp 'sport = :%d'` names it): "+
			"stop that program during the renewal with --pre-hook and --post-hook, or let it serve the challenge with --webroot -w DIR", s.Port, s.Port)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("could not bind TCP port %d because you don't have the appropriate permissions: run this program as root", s.Port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("could not bind TCP port %d: this machine has no address %s; check --http-01-address", s.Port, s.Address)
	}
	msg := err.Error()
	if i := strings.Index(msg, "bind: "); i >= 0 {
		msg = msg[i+len("bind: "):]
	}
	return fmt.Errorf("could not bind TCP port %d: %s", s.Port, msg)
}

// Cleanup takes the answers back, and closes the port and its connections at once
// when no other order uses it.
func (s *Server) Cleanup(context.Context) error {
	if s.port == nil {
		return nil
	}
	p := s.port
	s.port = nil
	for _, path := range s.tokens {
		p.answers.Delete(path)
	}
	s.tokens = nil
	s.Ports.mu.Lock()
	defer s.Ports.mu.Unlock()
	if p.orders--; p.orders > 0 {
		return nil
	}
	delete(s.Ports.open, p.addr)
	defer close(p.closed)
	err := p.server.Close()
	for _, l := range p.listeners { // also those that the server has not begun with
		if e := l.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
