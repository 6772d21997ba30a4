package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// httpServer bounds how long a client may take and how much it may send: what is too
// slow or too large ends before anything looks at it.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           s.observed(h),
		ReadHeaderTimeout: 10 * time.Second, // and of the TLS handshake
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2: &http.HTTP2Config{ // net/http ends connections that reset too many streams
			MaxConcurrentStreams:          250,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     64 << 10,
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// gcPercent is how much garbage there may be for what is alive, in percent: little is
// alive, some 20 MiB, so collecting it seldom costs little memory. GOGC overrides it.
const gcPercent = 200

// Serve answers requests until ctx is done, then answers what is in flight, at once
// where it only waits, and returns.
func (s *Server) Serve(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	pages := s.pages()
	secure := s.httpServer(s.acme(pages))
	secure.TLSConfig = s.tls
	servers := []*http.Server{secure}
	errs := make(chan error, 4)
	go func() { errs <- secure.ServeTLS(guarded(s.listen.ACME, &s.config.Operating), "", "") }()
	if s.listen.HTTP != nil {
		plain := s.httpServer(pages)
		servers = append(servers, plain)
		go func() { errs <- plain.Serve(guarded(s.listen.HTTP, &s.config.Operating)) }()
	}
	if s.listen.Certificates != nil {
		cards := s.cards()
		servers = append(servers, cards)
		go func() { errs <- cards.ServeTLS(guarded(s.listen.Certificates, &s.config.Operating), "", "") }()
	}
	if s.listen.Metrics != nil {
		s.gauge()
		s.gaugeJobs()
		watched := s.httpServer(s.watched())
		defer watched.Close() // last, so that it says to the end that the server stops
		go func() { errs <- watched.Serve(limited(s.listen.Metrics, &s.config.Operating)) }()
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var upkeep sync.WaitGroup
	defer upkeep.Wait()
	defer stop()
	if err := s.jobs.Start(ctx); err != nil && ctx.Err() == nil {
		s.finish(ctx, servers)
		return err
	}
	upkeep.Go(func() { s.upkeep(background) })
	upkeep.Go(func() { s.jobs.Look(background) })
	upkeep.Go(func() { s.obey(background) })
	upkeep.Go(func() { s.sealAudit(background) })
	if s.listen.Metrics != nil {
		upkeep.Go(func() { s.count(background) })
		upkeep.Go(func() { s.countJobs(background) })
	}

	s.tell("READY=1")
	select {
	case err := <-errs:
		s.finish(ctx, servers)
		return err
	case <-ctx.Done():
	}
	s.tell("STOPPING=1")
	s.log.Info("stopping: finishing what is in flight; a second signal ends the server at once")
	s.stop()
	return s.finish(ctx, servers)
}

func (s *Server) finish(ctx context.Context, servers []*http.Server) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	failed := make([]error, len(servers))
	var all sync.WaitGroup
	for i, h := range servers {
		all.Go(func() {
			if err := h.Shutdown(last); err != nil {
				failed[i] = fmt.Errorf("some requests were cut off: %w", err)
				h.Close()
			}
		})
	}
	all.Wait()
	s.runner.Stop(last)
	s.jobs.Stop(last)
	return errors.Join(failed...)
}

// watched serves what monitoring asks for.
func (s *Server) watched() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	s.health.add(mux)
	return mux
}
