package server

import (
	"context"
	"crypto/tls"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Supervisor is who started the server and looks after it: systemd, usually. The zero
// value is nobody.
type Supervisor struct {
	Tell     func(state string) // sd_notify(3); nil: nobody listens
	Watchdog time.Duration      // how often it wants to hear of us; 0 for never
	Reload   <-chan os.Signal   // asks for the TLS files to be read again
}

// Supervise makes the server obey sup, from the next call of [Server.Serve] on.
func (s *Server) Supervise(sup Supervisor) { s.supervisor = sup }

func (s *Server) tell(state string) {
	if s.supervisor.Tell != nil {
		s.supervisor.Tell(state)
	}
}

// obey tells the supervisor that the server is alive, twice in the time that it
// allows, and does what it asks for.
func (s *Server) obey(ctx context.Context) {
	var beat <-chan time.Time
	if every := s.supervisor.Watchdog / 2; every > 0 {
		tick := time.NewTicker(every)
		defer tick.Stop()
		beat = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat:
			s.tell("WATCHDOG=1")
		case <-s.supervisor.Reload:
			s.reload()
		}
	}
}

// reload reads the TLS files again; what else the configuration says stands until the
// next start. On a mistake the certificate that was good so far stays.
func (s *Server) reload() {
	s.tell("RELOADING=1\nMONOTONIC_USEC=" + daemon.SdNotifyMonotonicUsec())
	defer s.tell("READY=1")
	if s.files == nil {
		s.log.Info("nothing to reload: the server renews its own certificate by itself; restart it for a new configuration")
		return
	}
	if err := s.files.load(); err != nil {
		s.log.Error("the TLS files can't be read again; the certificate read before stays in use", "err", err)
		return
	}
	s.log.Info("read the TLS files again; restart the server for any other change", "certificate", s.files.certificate,
		"not_after", s.files.current.Load().Leaf.NotAfter)
}

// fileCertificate is a certificate that the configuration names.
type fileCertificate struct {
	certificate, key string // paths
	current          atomic.Pointer[tls.Certificate]
}

func (f *fileCertificate) load() error {
	c, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err == nil {
		f.current.Store(&c)
	}
	return err
}

func (f *fileCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.current.Load(), nil
}
