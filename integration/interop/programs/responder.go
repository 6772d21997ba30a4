package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// responder answers http-01 or tls-alpn-01 for acmez.
type responder struct {
	challenges sync.Map // path or name of the proof, to acme.Challenge
}

func (r *responder) Present(_ context.Context, c acme.Challenge) error {
	r.challenges.Store(r.key(c), c)
	return nil
}

func (r *responder) CleanUp(_ context.Context, c acme.Challenge) error {
	r.challenges.Delete(r.key(c))
	return nil
}

func (r *responder) key(c acme.Challenge) string {
	if c.Type == acme.ChallengeTypeHTTP01 {
		return c.HTTP01ResourcePath()
	}
	return c.Identifier.Value
}

// serve listens where the task's challenges are validated.
func (r *responder) serve(t *task) error {
	if t.Method == acme.ChallengeTypeHTTP01 {
		l, err := listen(t.HTTPPort)
		if err != nil {
			return err
		}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if c, ok := r.challenges.Load(req.URL.Path); ok {
				fmt.Fprint(w, c.(acme.Challenge).KeyAuthorization)
			}
		}))
		return nil
	}
	l, err := listen(t.TLSPort)
	if err != nil {
		return err
	}
	config := &tls.Config{NextProtos: []string{acmez.ACMETLS1Protocol}, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, ok := r.challenges.Load(h.ServerName)
		if !ok {
			return nil, errors.New("nothing to prove for " + h.ServerName)
		}
		return acmez.TLSALPN01ChallengeCert(c.(acme.Challenge))
	}}
	go http.Serve(tls.NewListener(l, config), http.NotFoundHandler())
	return nil
}
