// Package server puts vidimusd together from its configuration, and runs it: the
// listeners, the CAs, the ACME front end, and what has to be done in the background.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/acmehttp"
	"vidimus/internal/audit"
	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/issuer"
	"vidimus/internal/job"
	"vidimus/internal/login"
	"vidimus/internal/metrics"
	"vidimus/internal/nonce"
	"vidimus/internal/portal"
	"vidimus/internal/revocation"
	"vidimus/internal/store"
	"vidimus/internal/validation"
	"vidimus/internal/weakkey"
)

const (
	// stopTimeout is how long requests in flight may take to finish at the end.
	stopTimeout = 10 * time.Second
	// upkeepEvery is the beat of background work that has time.
	upkeepEvery = time.Minute
)

// Server is a vidimusd that is ready to serve.
type Server struct {
	URL string // as clients see it

	config  *config.Config
	log     *slog.Logger
	store   *store.Store
	dir     *directory.Directory
	issuers []*issuer.Issuer
	crls    *revocation.Publisher
	ocsp    *revocation.Responder
	runner  *validation.Runner
	door    *login.Door    // nil without a portal
	people  *portal.Portal // the same
	jobs    *job.Queue
	blocked *weakkey.List
	nonces  *nonce.Shared    // nil when no other server can be on the database
	own     *ownCertificate  // nil when the configuration names one
	files   *fileCertificate // which is this one
	tls     *tls.Config
	listen  Listeners
	metrics *metrics.Metrics
	health  *health
	// stopping is done when the server is to stop: what only waits is answered then.
	stopping context.Context
	stop     context.CancelFunc

	supervisor Supervisor
}

// Open opens the database and the CAs, and finishes what an earlier process left
// unfinished. It takes over the listeners, also when it fails.
func Open(ctx context.Context, c *config.Config, l Listeners, version string, log *slog.Logger) (_ *Server, err error) {
	s := &Server{URL: c.URL, config: c, log: log, listen: l, metrics: metrics.New(version)}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.health = &health{check: s.usable, stopping: s.stopping.Done()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.store, err = store.Open(ctx, c.Database); err != nil {
		return nil, err
	}
	if err := s.store.Claim(); err != nil {
		return nil, err
	}
	s.store.Observe(s.metrics.Event)
	s.dir = &directory.Directory{Store: s.store}
	if err := s.openIssuers(ctx); err != nil {
		return nil, err
	}
	if err := s.finishAtStart(ctx); err != nil {
		return nil, err
	}
	if err := s.openTLS(ctx); err != nil {
		return nil, err
	}
	v, err := validator(&c.Validation, version)
	if err != nil {
		return nil, err
	}
	if s.blocked, err = weakkey.Load(c.BlockedKeys...); err != nil {
		return nil, fmt.Errorf("blocked_keys: %w", err)
	}
	directories, err := policies(c)
	if err != nil {
		return nil, err
	}
	s.runner = &validation.Runner{Validator: v, Store: s.store, Log: log, Directories: directories}
	if err := s.openPortal(); err != nil {
		return nil, err
	}
	if err := s.store.Record(ctx, audit.Event{Action: audit.ServerStarted, Object: c.URL, Detail: audit.Detail{
		"version": version, "config_sha256": c.SHA256}}); err != nil {
		return nil, err
	}
	if s.store.Shared() {
		if s.nonces, err = nonce.NewShared(ctx, s.store, nil); err != nil {
			return nil, err
		}
	} else if err := s.runner.Resume(ctx); err != nil {
		return nil, err
	}
	return s, s.openJobs()
}

// finishAtStart finishes the issuances that a crash has cut short. What can't be
// finished holds up nothing else.
func (s *Server) finishAtStart(ctx context.Context) error {
	all, err := s.store.UnfinishedCertificates(ctx)
	if err != nil {
		return fmt.Errorf("looking for unfinished issuances: %w", err)
	}
	orphans := make(map[string]int)
	for _, c := range all {
		if s.issuer(c.Issuer) == nil {
			orphans[c.Issuer]++
		}
	}
	for name, n := range orphans {
		s.log.Error("issuances that were cut short can't be finished, as their issuer is not configured any more", "issuer", name, "certificates", n)
	}
	if err := s.finishIssuances(ctx, 0); err != nil {
		s.log.Error("issuances were cut short", "err", err)
	}
	return nil
}

func (s *Server) openIssuers(ctx context.Context) error {
	for i := range s.config.Issuers {
		c := &s.config.Issuers[i]
		iss, err := openIssuer(c, s.config, s.store)
		if err == nil {
			err = iss.OpenCRLs(ctx)
		}
		if err != nil {
			return err
		}
		s.issuers = append(s.issuers, iss)
	}
	return s.openRevocation()
}

func (s *Server) issuer(name string) *issuer.Issuer {
	for _, i := range s.issuers {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// openTLS finds the server's own certificate: the one that the configuration names,
// or one from the first issuer.
func (s *Server) openTLS(ctx context.Context) error {
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if f := s.config.TLS; f.Certificate != "" {
		s.files = &fileCertificate{certificate: f.Certificate, key: f.Key}
		s.tls.GetCertificate = s.files.get
		return s.files.load()
	}
	ids, err := s.ownNames()
	if err != nil {
		return err
	}
	s.own = &ownCertificate{now: time.Now, issuer: s.issuers[0], ids: ids, path: filepath.Join(s.config.StateDir(), "vidimusd-tls.pem")}
	s.tls.GetCertificate = s.own.get
	if err := s.own.keepFresh(ctx); err != nil {
		return fmt.Errorf("the server's own certificate: %w", err)
	}
	return nil
}

// ownNames lists what the server's own certificate is for: the host of its URL, and
// for a server that listens on loopback the names of this machine, where the CA may
// certify them.
func (s *Server) ownNames() ([]identifier.Identifier, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	host := u.Hostname()
	ids := []identifier.Identifier{{Type: identifier.DNS, Value: "localhost"}}
	if host != "localhost" {
		id, err := identifier.Parse(host)
		if err != nil {
			return nil, fmt.Errorf("the host of the url in the configuration: %w", err)
		}
		ids = []identifier.Identifier{id}
	}
	if a, ok := s.listen.ACME.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		ids = append(ids, identifier.Identifier{Type: identifier.DNS, Value: "localhost"},
			identifier.Identifier{Type: identifier.IP, Value: "127.0.0.1"}, identifier.Identifier{Type: identifier.IP, Value: "::1"})
	}
	return mayCertify(s.issuers[0], ids)
}

// upkeep keeps fresh what this server has for itself: OCSP responses, and its own
// certificate.
func (s *Server) upkeep(ctx context.Context) {
	tick := time.NewTicker(upkeepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ocsp.Renew(ctx); err != nil {
			s.log.Error("signing OCSP responses ahead", "err", err)
		}
		if s.own == nil {
			continue
		}
		if err := s.own.keepFresh(ctx); err != nil {
			s.log.Error("renewing the server's own certificate", "err", err)
		}
	}
}

// Close frees everything that Open took.
func (s *Server) Close() error {
	s.stop()
	errs := []error{s.listen.close()}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// acme puts the ACME front end before the pages.
func (s *Server) acme(pages http.Handler) http.Handler {
	var endpoints []acmehttp.Endpoint
	for n, iss := range s.issuers {
		c := &s.config.Issuers[n]
		meta := acme.DirectoryMeta{TermsOfService: c.TermsOfService, Website: c.Website}
		if c.CAACheck != "never" {
			meta.CAAIdentities = c.CAAIdentities
		}
		for k, name := range c.Directories() {
			endpoints = append(endpoints, acmehttp.Endpoint{Name: name, Issuer: iss, Open: k == 1, Staging: c.IsStaging(), Meta: persistent(meta, c, k == 1, s.URL),
				Challenges: c.ChallengeTypes(), Identities: c.CAAIdentities, MaxIdentifiers: c.MaxIdentifiers,
				Subdomains: k == 1 && c.SubdomainAuthorization})
		}
	}
	c := acmehttp.Config{Blocked: s.blocked, Stopping: s.stopping, Problem: s.metrics.Problem, BaseURL: s.URL, Endpoints: endpoints, Store: s.store, Directory: s.dir, Runner: s.runner, Log: s.log,
		RenewalRetryAfter: time.Duration(s.config.RenewalInfo.RetryAfter)}
	if s.nonces != nil {
		c.Nonces = s.nonces
	}
	front := acmehttp.New(c)
	mux := http.NewServeMux()
	mux.Handle("/acme/", front)
	if s.people != nil {
		mux.Handle("/portal/", s.people)
	}
	mux.Handle("/", pages)
	return mux
}

// DirectoryURL is where the ACME directory of that name is.
func (s *Server) DirectoryURL(name string) string { return s.URL + "/acme/" + name + "/directory" }

// Config reads the configuration at path, and words what is wrong with it.
func Config(path string) (*config.Config, error) {
	c, err := config.Read(path)
	var m config.Mistakes
	if errors.As(err, &m) {
		return nil, fmt.Errorf("%s is not right:\n%w", path, m)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s; make one with: vidimusd init --dir %s", path, filepath.Dir(path))
	}
	return c, err
}
