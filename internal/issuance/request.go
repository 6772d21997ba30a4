package issuance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"vidimus/internal/acme"
)

// Bounds of patience with one CA.
const (
	maxBody        = 1 << 20          // bytes of an answer
	answerIn       = 60 * time.Second // for one attempt, from the request to the last byte
	maxAttempts    = 8                // of one request, when the CA or the network breaks down
	maxTrying      = 90 * time.Second // after which there is no further attempt
	maxNonces      = 10               // rejected for one request
	maxPatience    = 2 * time.Minute  // with a CA that says when to come back; longer fails the order
	firstPause     = 100 * time.Millisecond
	lastPause      = 4 * time.Second
	maxUnanswered  = 4 // requests given up in a row, after which the CA counts as down
	mostPoolNonces = 64
)

// reply is what a CA answered.
type reply struct {
	status int
	header http.Header
	body   []byte
	// repeated says that an earlier attempt may have had its effect: its answer was
	// lost.
	repeated bool
}

// decode reads the body as JSON.
func (r *reply) decode(into any) error {
	if err := json.Unmarshal(r.body, into); err != nil {
		return &Error{text: "the ACME server's answer is not what RFC 8555 says: " + err.Error(), err: err}
	}
	return nil
}

// kind is the media type of the body.
func (r *reply) kind() string {
	kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind)
}

// post sends a signed request (RFC 8555 §6.2); a nil payload is POST-as-GET (§6.3).
// What the CA refuses is an [*acme.Problem].
//
// A nonce that is not taken costs one more round trip, with the nonce that came with
// the refusal. When the CA breaks down, is busy or cannot be reached, the request is
// sent again after a pause; a pause that the CA asks for with Retry-After holds for
// all requests to it, the first time.
func (ca *CA) post(ctx context.Context, a Account, url string, payload any) (*reply, error) {
	body := []byte{} // the library drops nil
	if payload != nil {
		var err error
		if body, err = json.Marshal(payload); err != nil {
			return nil, err
		}
	}
	nonce := ""
	return ca.persist(ctx, url, func(ctx context.Context) (r *reply, err error) {
		for range maxNonces {
			if nonce == "" {
				if nonce, r, err = ca.nonce(ctx); err != nil {
					return r, err
				}
			}
			signed, err := sign(a, nonce, url, body)
			if err != nil {
				return nil, fatal{err}
			}
			nonce = ""
			if r, err = ca.send(ctx, url, signed); err != nil {
				return r, err
			}
			fresh := r.header.Get("Replay-Nonce")
			if p := r.problem(url); p == nil || p.Type != acme.BadNonce {
				ca.nonces.put(fresh)
				return r, nil
			}
			nonce = fresh
		}
		return r, nil
	})
}

// orderingPatience is how long an order waits for another one to be placed.
const orderingPatience = 10 * time.Second

// send posts a request once. New orders go one after another, unless one takes long.
func (ca *CA) send(ctx context.Context, url string, signed []byte) (*reply, error) {
	if url == ca.dir.NewOrder {
		patience := time.NewTimer(orderingPatience)
		defer patience.Stop()
		select {
		case ca.ordering <- struct{}{}:
			defer func() { <-ca.ordering }()
		case <-patience.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return ca.once(ctx, http.MethodPost, url, signed)
}

// get fetches a resource that needs no account.
func (ca *CA) get(ctx context.Context, url string) (*reply, error) {
	return ca.persist(ctx, url, func(ctx context.Context) (*reply, error) {
		return ca.once(ctx, http.MethodGet, url, nil)
	})
}

// nonce takes one from the pool, or asks for one (§7.2); r is the answer then.
func (ca *CA) nonce(ctx context.Context) (n string, r *reply, err error) {
	if n := ca.nonces.take(); n != "" {
		return n, nil, nil
	}
	r, err = ca.once(ctx, http.MethodHead, ca.dir.NewNonce, nil)
	if err != nil {
		return "", nil, err
	}
	n = r.header.Get("Replay-Nonce")
	if n == "" && r.status >= 400 {
		return "", r, r.problem(ca.dir.NewNonce)
	}
	if n == "" {
		return "", r, fatal{fmt.Errorf("%s gave no nonce; check --server", ca.dir.NewNonce)}
	}
	return n, r, nil
}

// fatal is an error that another attempt does not mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// persist repeats a request until the CA has decided about it.
func (ca *CA) persist(ctx context.Context, url string, try func(context.Context) (*reply, error)) (*reply, error) {
	pause, repeated, begun := firstPause, false, time.Now()
	for attempt := 1; ; attempt++ {
		if err := ca.health.check(ca.url); err != nil { // others may have found out meanwhile
			return &reply{repeated: repeated}, err
		}
		if err := ca.rest.wait(ctx); err != nil {
			return nil, err
		}
		r, err := try(ctx)
		var p *acme.Problem
		if err == nil {
			if p = r.problem(url); p == nil {
				ca.health.good()
				r.repeated = repeated
				return r, nil
			}
			err = p
		} else {
			errors.As(err, &p) // the nonce was refused
		}
		broken := p == nil || p.Status >= 500 && p.Type != acme.RateLimited
		if !broken {
			ca.health.good()
		}
		until, again := ca.again(p, err, r, attempt)
		if !again || ctx.Err() != nil || broken && time.Since(begun) > maxTrying {
			if broken && ctx.Err() == nil {
				ca.health.bad()
			}
			return &reply{repeated: repeated}, laterThan(err, until)
		}
		repeated = repeated || broken
		ca.log.Debug("trying again", "url", url, "attempt", attempt, "error", err)
		wait := pause/2 + rand.N(pause)
		if left := time.Until(until); left > wait {
			wait = left
			if attempt == 1 { // what it says to the same request again is about that one alone
				ca.rest.until(until)
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return &reply{repeated: repeated}, err
		}
		pause = min(pause*3, lastPause)
	}
}

// again tells whether a request that failed is to be sent again, and not before when
// if the CA said so.
func (ca *CA) again(p *acme.Problem, err error, r *reply, attempt int) (until time.Time, again bool) {
	if r != nil && (r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable) {
		at, said := r.retryAfter()
		switch {
		case said && time.Until(at) > maxPatience:
			return at, false
		case said:
			return at, attempt < maxAttempts
		}
	}
	var f fatal
	switch {
	case attempt >= maxAttempts, errors.As(err, &f):
		return until, false
	case p != nil:
		return until, p.Status >= 500 || p.Status == http.StatusTooManyRequests
	case errors.Is(err, syscall.ECONNREFUSED) && !ca.health.hasAnswered():
		return until, false // there may be nothing at that address at all
	}
	return until, passing(err)
}

// once sends one request and reads the whole answer.
func (ca *CA) once(ctx context.Context, method, url string, body []byte) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, fatal{err}
	}
	if req.URL.Host == "" {
		return nil, fatal{&Error{text: fmt.Sprintf("the ACME server gave %q for the URL of something: report this to your CA", oneLine(url))}}
	}
	req.Header.Set("User-Agent", ca.userAgent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/jose+json")
	}
	ca.requests.Add(1)
	start := time.Now()
	resp, err := ca.http.Do(req)
	if err != nil {
		ca.log.Debug("request failed", "method", method, "url", url, "error", err)
		return nil, err
	}
	defer resp.Body.Close()
	r := &reply{status: resp.StatusCode, header: resp.Header}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	ca.log.Debug("request", "method", method, "url", url, "status", resp.StatusCode, "took", time.Since(start), "error", err)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer of %s was cut short: %w", url, err)
	case len(r.body) > maxBody:
		return nil, fatal{fmt.Errorf("the answer is longer than %d bytes", maxBody)}
	case r.status < 400 && r.kind() == "application/json" && len(r.body) > 0 && !json.Valid(r.body):
		// HTTP does not always tell when a connection broke (RFC 9112 §8).
		return nil, fmt.Errorf("the answer of %s was cut short: it is not JSON", url)
	case r.status >= 400:
		ca.log.Debug("error answer", "url", url, "body", clip(string(r.body), 4096))
	}
	return r, nil
}

// problem is what the CA refused; nil when it did not. An error page of a proxy never
// reaches a person's terminal.
func (r *reply) problem(url string) *acme.Problem {
	if r.status < 400 {
		return nil
	}
	p := new(acme.Problem)
	if kind := r.kind(); kind != "application/problem+json" && kind != "application/json" || json.Unmarshal(r.body, p) != nil || p.Detail == "" && p.Type == "" {
		p = &acme.Problem{Detail: fmt.Sprintf("%s answered with HTTP status %d %s", url, r.status, http.StatusText(r.status))}
	}
	p.Status = r.status
	return p
}

// laterError is a refusal that says when another attempt makes sense.
type laterError struct {
	error
	at time.Time
}

func (l laterError) Unwrap() error { return l.error }

func laterThan(err error, at time.Time) error {
	if at.IsZero() {
		return err
	}
	return laterError{err, at}
}

// nonces is a pool of nonces that the CA gave (§6.5). The youngest goes first: CAs
// forget old ones.
type nonces struct {
	mu   sync.Mutex
	pool []string // guarded by mu
}

func (n *nonces) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := len(n.pool) - 1
	if last < 0 {
		return ""
	}
	v := n.pool[last]
	n.pool = n.pool[:last]
	return v
}

func (n *nonces) put(v string) {
	if v == "" {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.pool) == mostPoolNonces {
		n.pool = n.pool[1:]
	}
	n.pool = append(n.pool, v)
}

// rest is a time before which a CA wants no request.
type rest struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (r *rest) until(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.After(r.at) {
		r.at = at
	}
}

func (r *rest) wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		left := time.Until(r.at)
		r.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
}

// health notices a CA that is down, so that a thousand orders do not each find out.
type health struct {
	mu         sync.Mutex
	answered   bool // at all; guarded by mu
	unanswered int  // in a row; guarded by mu
}

func (h *health) good() {
	h.mu.Lock()
	h.answered, h.unanswered = true, 0
	h.mu.Unlock()
}

func (h *health) hasAnswered() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answered
}

func (h *health) bad() {
	h.mu.Lock()
	h.unanswered++
	h.mu.Unlock()
}

func (h *health) check(url string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unanswered < maxUnanswered {
		return nil
	}
	return &Error{text: fmt.Sprintf("the ACME server %s has failed to answer %d requests in a row and is not asked again in this run: try later", url, h.unanswered)}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter is when the CA wants the request again. A date is taken as the time from
// the one in the answer, as either clock may be wrong.
func (r *reply) retryAfter() (at time.Time, said bool) {
	now := time.Now()
	theirs, err := http.ParseTime(r.header.Get("Date"))
	if err != nil {
		theirs = now
	}
	at, said = parseRetryAfter(r.header.Get("Retry-After"), theirs)
	return now.Add(at.Sub(theirs)), said
}

// parseRetryAfter reads what RFC 8555 §6.6 and RFC 9773 §4.3 let a CA ask for.
func parseRetryAfter(v string, now time.Time) (time.Time, bool) {
	if secs, err := strconv.Atoi(v); err == nil && secs >= 0 {
		return now.Add(time.Duration(min(secs, 1<<30)) * time.Second), true
	}
	at, err := http.ParseTime(v)
	return at, err == nil
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// resolve makes a URL of a Link header absolute.
func resolve(base, ref string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	u, err := b.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}
