package issuance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// newClient makes the HTTP client for one CA: over TLS one HTTP/2 connection, which
// all orders share.
func newClient(o Options) (*http.Client, error) {
	roots, err := rootCAs(o.Getenv)
	if err != nil {
		return nil, err
	}
	if err := checkProxies(o.Getenv); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 15 * time.Second}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 proxy(o.Getenv),
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: o.NoVerifyTLS},
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: answerIn,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   32,
		ForceAttemptHTTP2:     true,
		// A connection that died unseen is not asked again and again.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}}, nil
}

// PlainClient is an HTTP client for what CAs offer besides ACME, such as OCSP.
func PlainClient(getenv func(string) string) *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: proxy(getenv), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32}}
}

// checkProxies refuses a proxy that would be ignored. Its value may hold a password, so
// it is not told.
func checkProxies(getenv func(string) string) error {
	for _, lower := range []string{"https_proxy", "http_proxy", "all_proxy"} {
		for _, name := range []string{lower, strings.ToUpper(lower)} {
			v := getenv(name)
			if v == "" {
				continue
			}
			u, err := url.Parse(v)
			if err != nil || u.Host == "" {
				u, err = url.Parse("http://" + v)
			}
			if err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
				return fmt.Errorf("the environment variable %s is neither HOST:PORT nor http://HOST:PORT: correct it, or unset it", name)
			}
		}
	}
	return nil
}

// proxy chooses by https_proxy, http_proxy, all_proxy and no_proxy, in lower or upper
// case, with or without a scheme. Unlike Go and like Certbot, it has no exception for
// the machine itself but what no_proxy says.
func proxy(getenv func(string) string) func(*http.Request) (*url.URL, error) {
	env := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToUpper(name))
	}
	all := env("all_proxy")
	or := func(v string) string {
		if v == "" {
			return all
		}
		return v
	}
	cfg := httpproxy.Config{HTTPProxy: or(env("http_proxy")), HTTPSProxy: or(env("https_proxy")), NoProxy: env("no_proxy")}
	choose := cfg.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		host := req.URL.Hostname()
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
			return choose(req.URL)
		}
		if exempt(host, req.URL.Port(), cfg.NoProxy) {
			return nil, nil
		}
		elsewhere := *req.URL
		elsewhere.Host = "host.invalid" // its own name would be an exception
		bare := cfg
		bare.NoProxy = ""
		return bare.ProxyFunc()(&elsewhere)
	}
}

// exempt tells whether no_proxy lists the machine itself; an entry may be for one port.
func exempt(host, port, noProxy string) bool {
	return slices.ContainsFunc(strings.Split(noProxy, ","), func(entry string) bool {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if h, p, err := net.SplitHostPort(entry); err == nil {
			if p != port {
				return false
			}
			entry = h
		}
		entry = strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			addr, err := netip.ParseAddr(host)
			return err == nil && prefix.Contains(addr)
		}
		return entry == "*" || strings.TrimPrefix(entry, ".") == host
	})
}

// rootCAs honours REQUESTS_CA_BUNDLE, a file or a directory that takes the place of
// the system's roots, as Certbot does. Go itself honours SSL_CERT_FILE. A nil pool
// is the system's.
func rootCAs(getenv func(string) string) (*x509.CertPool, error) {
	path := getenv("REQUESTS_CA_BUNDLE")
	if path == "" {
		path = getenv("CURL_CA_BUNDLE")
	}
	if path == "" {
		return nil, nil
	}
	pool, found := x509.NewCertPool(), false
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		found = pool.AppendCertsFromPEM(data) || found
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("REQUESTS_CA_BUNDLE: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("REQUESTS_CA_BUNDLE: %s has no certificate in PEM", path)
	}
	return pool, nil
}
