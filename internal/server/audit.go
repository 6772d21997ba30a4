package server

import (
	"context"
	"time"
)

const (
	// sealEvery is how long a row of the audit log waits for its place in the chain.
	sealEvery = time.Second
	// auditNoted is how often the end of the chain is logged, so that the system's
	// journal, and wherever it is sent, bears witness.
	auditNoted = time.Hour
)

// sealAudit seals the audit log now and then, and when the server stops.
func (s *Server) sealAudit(ctx context.Context) {
	tick := time.NewTicker(sealEvery)
	defer tick.Stop()
	var noted time.Time
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		if err := s.store.SealAudit(last); err != nil {
			s.log.Error("sealing the audit log; it will be tried again", "err", err)
		} else if head, err := s.store.AuditHead(last); err == nil && (ended || time.Since(noted) > auditNoted) {
			s.log.Info("the audit log's end", "position", head.Position, "hash", head.Hash)
			noted = time.Now()
		}
		cancel()
	}
}
