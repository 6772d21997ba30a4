package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// withCertmagic manages the names and serves them over TLS.
func withCertmagic(ctx context.Context, t *task, verb string) error {
	certmagic.DefaultACME.TestCA = "" // there is one CA only
	log, err := zap.NewDevelopment()
	if err != nil {
		return err
	}
	var config *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil }, Logger: log})
	config = certmagic.New(cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: filepath.Join(t.Dir, "certmagic")}, Logger: log})
	issuer := certmagic.ACMEIssuer{
		CA: t.Directory, TrustedRoots: t.roots, Email: "a@uni.test", Agreed: true,
		DisableHTTPChallenge: t.Method != "http-01", DisableTLSALPNChallenge: t.Method != "tls-alpn-01",
		ListenHost: "127.0.0.1", AltHTTPPort: t.HTTPPort, AltTLSALPNPort: t.TLSPort, Logger: log,
	}
	if t.Method == "dns-01" {
		issuer.DNS01Solver = t.DNS.solver()
	}
	if t.KID != "" {
		issuer.ExternalAccount = &acme.EAB{KeyID: t.KID, MACKey: t.HMACKey}
	}
	complete := certmagic.NewACMEIssuer(config, issuer)
	config.Issuers = []certmagic.Issuer{complete}
	switch verb {
	case "obtain":
	case "renew":
		if err := config.RenewCertSync(ctx, t.Names[0], true); err != nil {
			return err
		}
	case "revoke":
		err := config.RevokeCert(ctx, t.Names[0], 0, false)
		if err == nil {
			return nil
		}
		log.Info("revoking failed; once more after PreCheck", zap.Error(err))
		if err := complete.PreCheck(ctx, t.Names, false); err != nil {
			return err
		}
		return config.RevokeCert(ctx, t.Names[0], 0, false)
	default:
		return fmt.Errorf("certmagic has no %q", verb)
	}
	if err := config.ManageSync(ctx, t.Names); err != nil {
		return err
	}
	l, err := listen(t.TLSPort)
	if err != nil {
		return err
	}
	return http.Serve(tls.NewListener(l, config.TLSConfig()), http.NotFoundHandler())
}
