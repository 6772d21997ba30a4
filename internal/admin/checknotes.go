package admin

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/config"
)

// notes are what is worth knowing of a configuration that is right: what the server
// will do, and what on this machine may stand in its way.
func notes(cfg *config.Config) (all []config.Mistake) {
	add := func(format string, args ...any) {
		all = append(all, config.Mistake{Severity: "note", Text: fmt.Sprintf(format, args...)})
	}
	for _, address := range []string{cfg.Listen, cfg.ListenHTTP, cfg.ListenMetrics, cfg.ListenCertificates()} {
		if address == "" {
			continue
		}
		l, err := net.Listen("tcp", address)
		switch {
		case err == nil:
			l.Close()
		case errors.Is(err, syscall.EADDRINUSE):
			add("something listens on %s: vidimusd, if it runs", address)
		case errors.Is(err, syscall.EACCES):
			add("whoever runs this may not listen on %s; let systemd do it, or give vidimusd CAP_NET_BIND_SERVICE", address)
		default:
			add("%v", err)
		}
	}
	for i := range cfg.Issuers {
		if text := turns(&cfg.Issuers[i], time.Now()); text != "" {
			add("%s", text)
		}
	}
	file := filepath.Join(cfg.StateDir(), "vidimusd-tls.pem")
	switch chain, err := certificate.LoadChain(file); {
	case cfg.TLS.Certificate != "":
		add("HTTPS: with the certificate in %s; run \"systemctl reload vidimusd\" or send SIGHUP when it has been renewed", cfg.TLS.Certificate)
	case err != nil:
		add("HTTPS: issuer %s will issue a certificate for %s, to be kept in %s and renewed by itself", cfg.Issuers[0].Name, cfg.URL, file)
	default:
		add("HTTPS: with a certificate from issuer %s, in %s, until %s; it renews itself", cfg.Issuers[0].Name, file, chain[0].NotAfter.Format(time.DateOnly))
	}
	return all
}

// turns says which of an issuer's CAs signs now and which is next; "" when there is but
// one.
func turns(i *config.Issuer, now time.Time) string {
	var signs, next *config.Intermediate
	for n := range i.Intermediates {
		m := &i.Intermediates[n]
		switch from := time.Time(m.From); {
		case from.After(now):
			if next == nil || from.Before(time.Time(next.From)) {
				next = m
			}
		case signs == nil || from.After(time.Time(signs.From)):
			signs = m
		}
	}
	if len(i.Intermediates) < 2 || signs == nil {
		return ""
	}
	text := fmt.Sprintf("issuer %s: %s signs", i.Name, signs.Certificate)
	if next != nil {
		text += fmt.Sprintf(" until %s, then %s", day(time.Time(next.From)), next.Certificate)
	}
	return text
}
