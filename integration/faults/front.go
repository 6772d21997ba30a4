// Package faults has a front for an ACME CA that breaks in all the ways in which
// networks and servers break, and tests of vidimus behind it.
package faults

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to one request.
type Fault int

const (
	None        Fault = iota
	ServerError       // 500 with a problem document
	HTMLPage          // 502 with a page for people
	Busy              // 503 with Retry-After: 0
	DropBefore        // the connection breaks before the CA sees the request
	DropAfter         // the CA acts, and the answer is lost
	Truncate          // the CA acts, and half of the answer arrives
	BadNonce          // the nonce is refused
	Slow              // the answer comes late
	RateLimited       // 429 with Answer.RetryAfter
	kinds
)

var names = [kinds]string{"none", "server error", "HTML page", "busy", "drop before", "drop after", "truncated", "bad nonce", "slow", "rate limited"}

func (f Fault) String() string { return names[f] }

// Request is what a plan decides about.
type Request struct {
	Method, Path string
	Payload      string // of the JWS; "" for POST-as-GET
	Before       int    // how often this very request was met by a fault
}

// Answer is what a plan decides.
type Answer struct {
	Fault
	RetryAfter int // seconds, for RateLimited
	// Hold is called before the answer of the CA is passed on; it may block.
	Hold func()
	// Edit changes the answer of the CA.
	Edit func(body []byte) []byte
}

// Front passes requests on to a CA, with faults.
type Front struct {
	Directory string // its URL
	CABundle  string // file: who signs its TLS certificate

	backend string // scheme and host
	client  *http.Client
	plan    func(Request) Answer

	mu     sync.Mutex
	before map[string]int // faults by request; guarded by mu
	count  [kinds]int     // guarded by mu
	on     bool           // guarded by mu
}

// NewFront starts a front for the CA with this directory, over HTTP/2 if h2. It has
// no faults until Break is called.
func NewFront(t testing.TB, directory string, h2 bool, plan func(Request) Answer) *Front {
	t.Helper()
	f := &Front{plan: plan, before: map[string]int{}, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}}
	scheme, rest, _ := strings.Cut(directory, "://")
	host, path, _ := strings.Cut(rest, "/")
	f.backend = scheme + "://" + host
	srv := httptest.NewUnstartedServer(f)
	srv.EnableHTTP2 = h2
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		f.client.CloseIdleConnections()
	})
	f.Directory = srv.URL + "/" + path
	f.CABundle = filepath.Join(t.TempDir(), "front.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(f.CABundle, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// Break begins with the faults.
func (f *Front) Break() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = true
}

// Counts tells how often each fault happened.
func (f *Front) Counts() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for k, n := range f.count {
		out = append(out, fmt.Sprintf("%v: %d", Fault(k), n))
	}
	return strings.Join(out, ", ")
}

// Count tells how often one fault happened.
func (f *Front) Count(k Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[k]
}

// decide asks the plan.
func (f *Front) decide(r *http.Request, body []byte) Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.on {
		return Answer{}
	}
	req := Request{Method: r.Method, Path: r.URL.Path, Payload: payload(body)}
	key := req.Method + req.Path + req.Payload
	req.Before = f.before[key]
	a := f.plan(req)
	f.count[a.Fault]++
	if a.Fault == None {
		f.before[key] = 0
	} else {
		f.before[key]++
	}
	return a
}

// payload is that of a JWS (RFC 7515 §7.2.2).
func payload(body []byte) string {
	var jws struct{ Payload string }
	if json.Unmarshal(body, &jws) != nil {
		return ""
	}
	text, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	return string(text)
}

// late is how late a slow answer is.
const late = 200 * time.Millisecond

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a := f.decide(r, body)
	switch a.Fault {
	case DropBefore:
		panic(http.ErrAbortHandler)
	case ServerError:
		problem(w, http.StatusInternalServerError, "serverInternal", "something broke")
		return
	case HTMLPage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		io.WriteString(w, "<html><body><h1>Bad Gateway</h1></body></html>")
		return
	case Busy:
		w.Header().Set("Retry-After", "0")
		problem(w, http.StatusServiceUnavailable, "serverInternal", "too much to do")
		return
	case RateLimited:
		w.Header().Set("Retry-After", strconv.Itoa(a.RetryAfter))
		problem(w, http.StatusTooManyRequests, "rateLimited", "too many requests")
		return
	case BadNonce:
		if nonce := f.nonce(r); nonce != "" {
			w.Header().Set("Replay-Nonce", nonce)
		}
		problem(w, http.StatusBadRequest, "badNonce", "this nonce is not known")
		return
	case Slow:
		time.Sleep(late)
	}
	f.pass(w, r, body, a)
}

func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}

// forward sends a request to the CA as the client sent it to the front.
func (f *Front) forward(r *http.Request, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(r.Context(), method, f.backend+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	req.Header.Set("Accept-Encoding", "identity")
	req.Host = r.Host // the CA makes its URLs of it
	return f.client.Do(req)
}

// nonce gets a good one, to go with a refusal.
func (f *Front) nonce(r *http.Request) string {
	resp, err := f.forward(r, http.MethodHead, "/nonce-plz", nil)
	if err != nil {
		return ""
	}
	resp.Body.Close()
	return resp.Header.Get("Replay-Nonce")
}

// pass has the CA answer, and passes on what the fault leaves of it.
func (f *Front) pass(w http.ResponseWriter, r *http.Request, body []byte, a Answer) {
	resp, err := f.forward(r, r.Method, r.URL.RequestURI(), body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || a.Fault == DropAfter {
		panic(http.ErrAbortHandler)
	}
	if a.Hold != nil {
		a.Hold()
	}
	if a.Edit != nil {
		answer = a.Edit(answer)
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	}
	w.WriteHeader(resp.StatusCode)
	if a.Fault == Truncate {
		w.Write(answer[:len(answer)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(answer)
}
