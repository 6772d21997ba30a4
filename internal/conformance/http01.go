package conformance

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// responder answers http-01 challenges (RFC 8555 §8.3).
type responder struct {
	err    error // it does not listen
	server *http.Server

	mu      sync.Mutex
	answers map[string]string // by token
}

func newResponder(address string) *responder {
	r := &responder{answers: make(map[string]string)}
	if address == "" {
		r.err = errors.New("there is no port for it")
		return r
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		r.err = err
		return r
	}
	r.server = &http.Server{Handler: r, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go r.server.Serve(l)
	return r
}

func (r *responder) broken() string {
	if r.err != nil {
		return r.err.Error()
	}
	return ""
}

func (r *responder) set(token, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[token] = text
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	token, _ := strings.CutPrefix(req.URL.Path, "/.well-known/acme-challenge/")
	r.mu.Lock()
	text, ok := r.answers[token]
	r.mu.Unlock()
	if !ok {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write([]byte(text))
}

func (r *responder) close() {
	if r.server != nil {
		r.server.Close()
	}
}
