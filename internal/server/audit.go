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
	var noted, complained time.Time
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		switch err := s.store.SealAudit(last); {
		case err == nil:
			complained = time.Time{}
			if ended || time.Since(noted) > auditNoted {
				s.noteAudit(last)
				noted = time.Now()
			}
		case time.Since(complained) > upkeepEvery: // once while the database is down, not each second
			s.log.Error("sealing the audit log; it is tried again each second", "err", err)
			complained = time.Now()
		}
		cancel()
	}
}

func (s *Server) noteAudit(ctx context.Context) {
	head, err := s.store.AuditHead(ctx)
	if err != nil {
		s.log.Error("reading the audit log's end", "err", err)
		return
	}
	s.log.Info("the audit log's end", "position", head.Position, "hash", head.Hash)
}
