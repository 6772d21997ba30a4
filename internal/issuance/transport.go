package issuance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody bounds what a CA may answer with, in bytes.
const maxBody = 1 << 20

// transport carries requests to one CA. It bounds answers, turns errors that are
// not problem documents into such, keeps Retry-After headers, which the ACME
// library does not hand on, and answers for the directory, which was fetched and
// checked before the library asks for it.
type transport struct {
	next      *http.Transport
	userAgent string
	log       *slog.Logger
	requests  atomic.Int64

	directoryURL string
	directory    []byte // what the library is to see of it

	mu         sync.Mutex
	retryAfter map[string]time.Time // by URL; guarded by mu
}

func newTransport(o Options) (*transport, error) {
	roots, err := rootCAs(o.Getenv)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 15 * time.Second}
	return &transport{
		next: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, InsecureSkipVerify: o.NoVerifyTLS},
			TLSHandshakeTimeout:   15 * time.Second,
			ResponseHeaderTimeout: 60 * time.Second,
			IdleConnTimeout:       60 * time.Second,
			ForceAttemptHTTP2:     true,
		},
		userAgent:    o.UserAgent,
		log:          o.Log,
		directoryURL: o.Directory,
		retryAfter:   map[string]time.Time{},
	}, nil
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

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.directory != nil && req.Method == http.MethodGet && req.URL.String() == t.directoryURL {
		return answer(req, http.StatusOK, "application/json", t.directory), nil
	}
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", t.userAgent)
	t.requests.Add(1)
	start := time.Now()
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.log.Debug("request failed", "method", req.Method, "url", req.URL, "error", err)
		return nil, err
	}
	t.log.Debug("request", "method", req.Method, "url", req.URL, "status", resp.StatusCode, "took", time.Since(start))
	t.noteRetryAfter(req.URL.String(), resp)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{&bounded{resp.Body, maxBody}, resp.Body}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/pem-certificate-chain") {
		dropAlternates(resp.Header)
	}
	if resp.StatusCode >= 400 {
		return t.asProblem(req, resp)
	}
	return resp, nil
}

// dropAlternates keeps the library from downloading chains that nobody asked for
// (RFC 8555 §7.4.2).
func dropAlternates(h http.Header) {
	links := h.Values("Link")
	h.Del("Link")
	for _, l := range links {
		if !strings.Contains(l, `"alternate"`) {
			h.Add("Link", l)
		}
	}
}

// asProblem logs an error, and makes one that is not a problem document (RFC 9457)
// into one, so that a proxy's web page never reaches a person's terminal.
func (t *transport) asProblem(req *http.Request, resp *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	t.log.Debug("error answer", "url", req.URL, "body", clip(string(body), 4096))
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	var valid struct{}
	if kind != "application/problem+json" && kind != "application/json" || json.Unmarshal(body, &valid) != nil {
		detail := fmt.Sprintf("%s answered with HTTP status %s", req.URL, resp.Status)
		body, _ = json.Marshal(map[string]any{"type": "about:blank", "status": resp.StatusCode, "detail": detail})
	}
	resp.Header.Set("Content-Type", "application/problem+json")
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func answer(req *http.Request, status int, kind string, body []byte) *http.Response {
	return &http.Response{Request: req, StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
}

// noteRetryAfter keeps what RFC 8555 §7.5.1 and RFC 9773 §4.3 let a CA ask for.
func (t *transport) noteRetryAfter(url string, resp *http.Response) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.retryAfter, url)
	if at, ok := parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
		t.retryAfter[url] = at
	}
}

// takeRetryAfter returns when the CA wants to be asked about url again, if it said.
func (t *transport) takeRetryAfter(url string) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.retryAfter[url]
	delete(t.retryAfter, url)
	return at, ok
}

func parseRetryAfter(v string, now time.Time) (time.Time, bool) {
	if secs, err := strconv.Atoi(v); err == nil && secs >= 0 {
		return now.Add(time.Duration(min(secs, 1<<30)) * time.Second), true
	}
	at, err := http.ParseTime(v)
	return at, err == nil
}

// bounded fails when more than left bytes are read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d bytes", maxBody)
	}
	return n, err
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// get fetches a resource that needs no account.
func (t *transport) get(ctx context.Context, url string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}
