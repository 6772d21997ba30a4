package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/job"
	"vidimus/internal/login"
)

// openDoor makes the ways to log in that are configured.
func (s *Server) openDoor() (*login.Door, error) {
	p := s.config.Portal
	d := &login.Door{Store: s.store, Title: p.Title, Log: s.log, Hasher: login.NewHasher(login.DefaultHashCost),
		Sessions: &login.Sessions{Store: s.store, Idle: time.Duration(p.Session.Idle), Longest: time.Duration(p.Session.Longest)}}
	for i := range p.Login {
		if err := s.addWay(d, &p.Login[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (s *Server) addWay(d *login.Door, w *config.LoginWay) (err error) {
	switch {
	case w.Password != nil:
		d.Passwords = append(d.Passwords, &login.LocalPasswords{Store: s.store, Hasher: d.Hasher, Codes: w.Password.TOTP == "required"})
	case w.LDAP != nil:
		var l *login.LDAP
		l, err = ldapWay(w.LDAP)
		d.Passwords = append(d.Passwords, l)
	case w.OIDC != nil:
		var p *login.Provider
		p, err = provider(w.OIDC, s.URL, s.log)
		d.Providers = append(d.Providers, p)
	case w.Certificate != nil:
		d.Certificates, err = certificateWay(w.Certificate, s.URL)
	}
	return err
}

func ldapWay(c *config.LDAPLogin) (*login.LDAP, error) {
	roots, err := rootsIn(c.CA)
	if err != nil {
		return nil, err
	}
	l := &login.LDAP{Way: c.Name, URL: c.URL, StartTLS: c.StartTLS, Roots: roots, BindDN: c.BindDN, Base: c.Base, Filter: c.Filter,
		GroupBase: c.GroupBase, GroupFilter: c.GroupFilter, Attributes: login.LDAPAttributes(c.Attributes), Roles: rolesOf(c.Roles),
		Create: c.Unknown == "create", Codes: c.TOTP == "required", Timeout: time.Duration(c.Timeout)}
	if c.PasswordFile != "" {
		l.Password, err = config.ReadSecret(c.PasswordFile)
	}
	return l, err
}

// providerTimeout is how long an OpenID provider, or who tells of revocations, may take to
// answer.
const providerTimeout = 10 * time.Second

func provider(c *config.OIDCLogin, url string, log *slog.Logger) (*login.Provider, error) {
	roots, err := rootsIn(c.CA)
	if err != nil {
		return nil, err
	}
	p := &login.Provider{Name: c.Name, Title: c.Title, Issuer: c.Issuer, Log: log, ClientID: c.ClientID, Scopes: c.Scopes,
		Redirect: url + "/portal/login/callback/" + c.Name, Claims: login.OIDCClaims(c.Claims), Roles: rolesOf(c.Roles), Create: c.Unknown == "create",
		HTTP: login.BoundedClient(&http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, MaxIdleConns: 4}, providerTimeout)}
	if c.ClientSecretFile != "" {
		p.Secret, err = config.ReadSecret(c.ClientSecretFile)
	}
	return p, err
}

func certificateWay(c *config.CertificateLogin, url string) (*login.Certificates, error) {
	roots, err := rootsIn(c.CA)
	if err != nil {
		return nil, err
	}
	return &login.Certificates{Name: c.Name, Title: c.Title, URL: c.URL, Home: url, Roots: roots, Field: c.Login, StripDomain: c.StripDomain,
		Create: c.Unknown == "create", Revocation: &login.Revocation{HTTP: &http.Client{Timeout: providerTimeout}, CRLs: c.CRL, OCSP: *c.OCSP,
			AcceptUnknown: c.UnknownStatus == "accept"}}, nil
}

// rootsIn reads the CAs in a PEM file; nil, for those of the system, when none is named.
func rootsIn(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	all, err := certificate.LoadChain(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool, nil
}

func rolesOf(c map[string][]string) login.Roles {
	roles := make(login.Roles)
	for role, groups := range c {
		roles[directory.Role(role)] = groups
	}
	return roles
}

// cards answers where browsers are asked for a certificate, which are looked at when
// they have come: an error of the handshake would tell people nothing.
func (s *Server) cards() *http.Server {
	h := s.httpServer(s.people.Cards())
	h.TLSConfig = s.tls.Clone()
	h.TLSConfig.ClientAuth = tls.RequestClientCert
	h.TLSConfig.ClientCAs = s.door.Certificates.Roots // by which browsers choose
	h.TLSConfig.SessionTicketsDisabled = true
	return h
}

// staleLogins is the background work that removes what has ended of logging in.
func (s *Server) staleLogins() job.Work {
	failed := func() time.Time { return time.Now().Add(-login.ForgetFailures) }
	return job.Work{Name: "stale_logins", Every: cleanEvery,
		Due: func(ctx context.Context) (bool, error) { return s.store.StaleLogins(ctx, time.Now(), failed()) },
		Do: func(ctx context.Context) error {
			return s.store.RemoveStaleLogins(ctx, time.Now(), failed(), staleLoginsMost)
		}}
}

// staleLoginsMost bounds what is removed at once.
const staleLoginsMost = 5000
