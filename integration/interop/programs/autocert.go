package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// withAutocert serves the names over TLS, with certificates that come at the first
// connection. "renew" takes a certificate in the cache for due thirty days before its
// end, the earliest that autocert can be told.
func withAutocert(_ context.Context, t *task, verb string) error {
	if verb != "obtain" && verb != "renew" {
		return fmt.Errorf("autocert has no %q", verb)
	}
	listed := autocert.HostWhitelist(t.Names...)
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS,
		Cache:  autocert.DirCache(filepath.Join(t.Dir, "autocert")),
		HostPolicy: func(ctx context.Context, host string) error {
			if name, _, err := net.SplitHostPort(host); err == nil {
				host = name // http-01 is validated at another port than 80 here
			}
			return listed(ctx, host)
		},
		Email: "a@uni.test",
		Client: &acme.Client{
			DirectoryURL: t.Directory,
			HTTPClient:   &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: t.roots}}},
		},
	}
	if verb == "renew" {
		m.RenewBefore = 30 * 24 * time.Hour
	}
	if t.KID != "" {
		key, err := base64.RawURLEncoding.DecodeString(t.HMACKey)
		if err != nil {
			return err
		}
		m.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: t.KID, Key: key}
	}
	config := m.TLSConfig()
	if t.Method == "http-01" {
		// It tries tls-alpn-01 first, wherever that is offered, and goes on when it fails.
		config.NextProtos = slices.DeleteFunc(config.NextProtos, func(p string) bool { return p == acme.ALPNProto })
		l, err := listen(t.HTTPPort)
		if err != nil {
			return err
		}
		go http.Serve(l, m.HTTPHandler(nil))
	}
	l, err := listen(t.TLSPort)
	if err != nil {
		return err
	}
	return http.Serve(tls.NewListener(l, config), http.NotFoundHandler())
}
