package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/requestid"
)

// served runs s until the test ends, or stop is called, which returns what Serve did.
func served(t *testing.T, s *Server) (client *http.Client, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	roots := x509.NewCertPool()
	roots.AddCert(s.issuers[0].Current().Root)
	client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(func() { client.CloseIdleConnections(); stop() })
	return client, stop
}

func (s *Server) at(path string) string { return "https://" + s.listen.ACME.Addr().String() + path }

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestAProblemAndTheLogNameTheRequest(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	var log lines
	s.log = slog.New(requestid.Log(slog.NewTextHandler(&log, nil)))
	client, _ := served(t, s)
	get := func(path string) (id string, status int, problem struct{ Detail, RequestID string }) {
		t.Helper()
		resp, err := client.Get(s.at(path))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = json.Unmarshal(body, &problem) // a page is no problem
		return resp.Header.Get(requestid.Header), resp.StatusCode, problem
	}

	id, status, p := get("/acme/none/directory")
	if status != http.StatusNotFound || id == "" || p.RequestID != id || strings.Contains(p.Detail, id) {
		t.Errorf("not found: %d, %q, %+v", status, id, p)
	}
	if !strings.Contains(log.String(), "request="+id) {
		t.Errorf("the log doesn't name the request %s:\n%s", id, log.String())
	}
	if id, status, _ := get("/"); status != http.StatusOK || id == "" {
		t.Errorf("the front page: %d, %q", status, id)
	}
	s.store.Close()
	id, status, p = get("/acme/main/renewal-info/" + base64.RawURLEncoding.EncodeToString(s.issuers[0].Current().CA.SubjectKeyId) + ".AQ")
	if status != http.StatusInternalServerError || p.RequestID != id || !strings.Contains(p.Detail, "(request "+id+")") {
		t.Errorf("our own fault: %d, %q, %+v", status, id, p)
	}
}
