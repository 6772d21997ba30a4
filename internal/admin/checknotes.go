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
	for _, address := range []string{cfg.Listen, cfg.ListenHTTP, cfg.ListenMetrics} {
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
