package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vidimus/internal/certificate"
	"vidimus/internal/store"
)

// Warnings are what a configuration without mistakes had better not be: the server
// starts with it.
func (r *reader) warnings(c *Config, now time.Time) Mistakes {
	w := &reader{dir: r.dir, mode: r.mode, doc: r.doc}
	for n := range c.Issuers {
		i, path := &c.Issuers[n], fmt.Sprintf("issuers.%d", n)
		if i.IsStaging() {
			of := slices.IndexFunc(c.Issuers, func(x Issuer) bool { return x.Name == i.stagingOf })
			w.warnOfCA(i, &i.Intermediates[0], fmt.Sprintf("issuers.%d.staging.certificate", of), now)
			continue
		}
		w.warnOfIssuer(i, path, now)
	}
	w.warnOfDatabase(c)
	w.warnOfTLS(c, now)
	if host, _, err := net.SplitHostPort(c.ListenMetrics); err == nil && c.ListenMetrics != "" {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			w.add("listen_metrics", "%s is not on loopback, and metrics are neither encrypted nor asked a password for; let a firewall see to who may ask", c.ListenMetrics)
		}
	}
	slices.SortStableFunc(w.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	for n := range w.mistakes {
		w.mistakes[n].Severity = "warning"
	}
	return w.mistakes
}

// soon is how long before the last possible issuance a warning is due.
const soon = 30 * 24 * time.Hour

func (r *reader) warnOfIssuer(i *Issuer, path string, now time.Time) {
	for n := range i.Intermediates {
		m, at := &i.Intermediates[n], path+".certificate"
		if len(i.Intermediates) > 1 || r.line(path+".intermediates.0") != r.line(path) {
			at = fmt.Sprintf("%s.intermediates.%d.certificate", path, n)
		}
		r.warnOfCA(i, m, at, now)
		if key := strings.TrimSuffix(m.Root, filepath.Ext(m.Root)) + ".key"; m.Root != m.Certificate && exists(key) {
			r.add(at, "the root's key %s is beside it; the server doesn't need it, so move it to a place that is not on the network", key)
		}
	}
	if len(i.CAAIdentities) == 0 && i.CAACheck != "never" && (i.Open || i.CAACheck == "always") {
		r.add(path+".caa_identities", "there are none, so no CAA record can allow this CA: a name that has such a record gets no certificate")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.String()
}

func (r *reader) warnOfDatabase(c *Config) {
	if store.IsURL(c.Database) {
		return
	}
	// SQLite makes files beside the database's.
	if dir := filepath.Dir(c.Database); unix.Access(dir, unix.W_OK) != nil {
		r.add("database", "whoever runs this may not write to the folder %s; run check as the user that runs the server", dir)
	} else if exists(c.Database) && unix.Access(c.Database, unix.R_OK|unix.W_OK) != nil {
		r.add("database", "whoever runs this may not read and write %s; run check, and vidimusd admin, as the user that runs the server, or give the file to that user", c.Database)
	}
	if info, err := os.Stat(c.Database); err == nil && info.Mode().Perm()&0o077 != 0 {
		r.add("database", "%s is open to others (mode %04o), and HMAC keys are in it; chmod 600 it", c.Database, info.Mode().Perm())
	}
}

func (r *reader) warnOfTLS(c *Config, now time.Time) {
	if c.TLS.Certificate == "" {
		return
	}
	chain, err := certificate.LoadChain(c.TLS.Certificate)
	if err != nil {
		return
	}
	end := chain[0].NotAfter
	switch {
	case now.After(end):
		r.add("tls.certificate", "the certificate has expired on %s", end.Format(time.DateOnly))
	case now.Add(7 * 24 * time.Hour).After(end):
		r.add("tls.certificate", "the certificate expires on %s; renew it, and reload the server then", end.Format(time.DateOnly))
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return
	}
	var wrong x509.HostnameError
	if err := chain[0].VerifyHostname(u.Hostname()); errors.As(err, &wrong) {
		r.add("tls.certificate", "the certificate is not for %s, where clients come to: %v", u.Hostname(), err)
	}
}
