package server

import (
	"context"
	"sync/atomic"
	"time"

	"vidimus/internal/store"
)

// countEvery is how often the certificates are counted, where somebody looks.
const countEvery = 5 * time.Minute

// gauge shows what the parts of the server know of themselves.
func (s *Server) gauge() {
	m := s.metrics
	m.Gauge("vidimusd_validations", "Validations that wait for their turn in memory, and that run.",
		func() float64 { n, _ := s.runner.Depth(); return float64(n) }, "state", "waiting")
	m.Gauge("vidimusd_validations", "Validations that wait for their turn in memory, and that run.",
		func() float64 { _, n := s.runner.Depth(); return float64(n) }, "state", "running")
	m.Counter("vidimusd_database_changes_total", "Changes made durable; several may share a commit.",
		func() float64 { return float64(s.store.Stats().Changes) })
	m.Counter("vidimusd_database_commits_total", "Commits that this took.", func() float64 { return float64(s.store.Stats().Commits) })
	m.Gauge("vidimusd_database_connections", "Connections in use to read from SQLite, or for anything with PostgreSQL.",
		func() float64 { return float64(s.store.Stats().Pool.InUse) })
	m.Counter("vidimusd_database_wait_seconds_total", "Time that requests waited for a connection.",
		func() float64 { return s.store.Stats().Pool.WaitDuration.Seconds() })
}

// count shows how many certificates there are, as counted now and then.
func (s *Server) count(ctx context.Context) {
	var last atomic.Pointer[store.CertificateCounts]
	show := func(name, help string, read func(*store.CertificateCounts) int64, labels ...string) {
		s.metrics.Gauge(name, help, func() float64 { return float64(read(last.Load())) }, labels...)
	}
	for {
		c, err := s.store.CountCertificates(ctx, time.Now())
		switch {
		case err != nil:
			s.log.Error("counting certificates", "err", err)
		case last.Swap(&c) == nil:
			const help = "Certificates by state, counted every five minutes."
			show("vidimusd_certificates", help, func(c *store.CertificateCounts) int64 { return c.Valid }, "state", "unexpired")
			show("vidimusd_certificates", help, func(c *store.CertificateCounts) int64 { return c.Revoked }, "state", "revoked")
			show("vidimusd_certificates", help, func(c *store.CertificateCounts) int64 { return c.Unfinished }, "state", "unfinished")
			show("vidimusd_crls_late", "CRLs that should have been signed a minute before they were counted.",
				func(c *store.CertificateCounts) int64 { return c.CRLsLate })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(countEvery):
		}
	}
}
