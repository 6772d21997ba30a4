package issuance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
)

func TestRequestsPersist(t *testing.T) {
	good := answer(`{"status":"valid"}`)
	broken := refuse(http.StatusInternalServerError, "serverInternal")
	hourOff := func(by time.Duration) string { return time.Now().Add(by).UTC().Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		steps    []step
		nonce    []step
		requests int           // posts
		took     time.Duration // about
		repeated bool
		fails    string
	}{
		"an answer":                      {steps: []step{good}, requests: 1},
		"a nonce that is not taken":      {steps: append(repeat(3, refuse(400, "badNonce")), good), requests: 4},
		"nonces that are never taken":    {steps: []step{refuse(400, "badNonce")}, requests: maxNonces, fails: "badNonce"},
		"a CA that breaks down":          {steps: []step{broken, good}, requests: 2, repeated: true},
		"a page of a proxy":              {steps: []step{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, good}, requests: 2, repeated: true},
		"a CA that stays broken":         {steps: []step{broken}, requests: maxAttempts, took: 10 * time.Second, repeated: true, fails: "no (serverInternal)"},
		"a connection that breaks":       {steps: []step{drop, drop, good}, requests: 3, repeated: true},
		"an answer that is cut":          {steps: []step{truncate, good}, requests: 2, repeated: true},
		"an answer that is cut, unseen":  {steps: []step{cutUnseen, good}, requests: 2, repeated: true},
		"a CA that hangs":                {steps: []step{hang, good}, requests: 2, took: answerIn, repeated: true},
		"a CA that hangs on":             {steps: []step{hang}, requests: 2, took: 2 * answerIn, repeated: true, fails: "did not answer in time"},
		"busy for a moment":              {steps: []step{refuse(503, "serverInternal", "Retry-After", "7"), good}, requests: 2, took: 7 * time.Second, repeated: true},
		"busy for no time":               {steps: repeat(9, refuse(503, "serverInternal", "Retry-After", "0")), requests: maxAttempts, took: 10 * time.Second, repeated: true, fails: "no"},
		"a rate limit of seconds":        {steps: []step{refuse(429, "rateLimited", "Retry-After", "7"), good}, requests: 2, took: 7 * time.Second},
		"a rate limit that says nothing": {steps: []step{refuse(429, "rateLimited"), good}, requests: 2},
		"a rate limit of hours":          {steps: []step{refuse(429, "rateLimited", "Retry-After", "7200")}, requests: 1, fails: "it may be tried again after"},
		"a rate limit of ages":           {steps: []step{refuse(429, "rateLimited", "Retry-After", "99999999999")}, requests: 1, fails: "it may be tried again after"},
		"a refusal":                      {steps: []step{refuse(403, "unauthorized")}, requests: 1, fails: "no (unauthorized)"},
		"no nonce for now":               {nonce: []step{refuse(503, "", "Retry-After", "9"), func(http.ResponseWriter, *http.Request) {}}, steps: []step{good}, requests: 1, took: 9 * time.Second, repeated: true},
		"never a nonce":                  {nonce: []step{refuse(404, "")}, steps: []step{good}, fails: "404"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(map[string][]step{"/x": c.steps, "/nonce": c.nonce})
			if c.nonce != nil {
				for i, f := range c.nonce {
					c.nonce[i] = func(w http.ResponseWriter, r *http.Request) {
						if i < len(c.nonce)-1 || len(c.nonce) == 1 {
							w.Header().Del("Replay-Nonce")
						}
						f(w, r)
					}
				}
			}
			bubble(t, s, func(t *testing.T, ca *CA) {
				start := time.Now()
				r, err := ca.post(t.Context(), Account{Key: newKey(t), URL: testURL + "/me"}, testURL+"/x", struct{}{})
				if took := time.Since(start); took < c.took || took > 3*c.took+2*time.Second {
					t.Errorf("it took %v, want about %v", took, c.took)
				}
				if err != nil {
					err = explain(ca.url, err)
				}
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				if r == nil || r.repeated != c.repeated {
					t.Errorf("reply %+v, want repeated to be %v", r, c.repeated)
				}
				if n := s.requests("/x"); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		})
	}
	t.Run("a clock that is wrong", func(t *testing.T) {
		for _, off := range []time.Duration{-time.Hour, time.Hour} {
			s := scripted(nil)
			bubble(t, s, func(t *testing.T, ca *CA) {
				s.paths = map[string][]step{"/x": {refuse(503, "serverInternal", "Date", hourOff(off), "Retry-After", hourOff(off+7*time.Second)), good}}
				start := time.Now()
				if _, err := ca.post(t.Context(), Account{Key: newKey(t)}, testURL+"/x", struct{}{}); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); !near(took, 7*time.Second) {
					t.Errorf("clock off by %v: it took %v, want 7s", off, took)
				}
			})
		}
	})
}

func TestInterruptionEndsARequestAtOnce(t *testing.T) {
	for name, s := range map[string]step{"resting": refuse(503, "serverInternal", "Retry-After", "100"), "hanging": hang, "backing off": refuse(500, "serverInternal")} {
		bubble(t, scripted(map[string][]step{"/x": {s}}), func(t *testing.T, ca *CA) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			_, err := ca.post(ctx, Account{Key: newKey(t)}, testURL+"/x", struct{}{})
			if took := time.Since(start); took != time.Second || !errors.Is(explain(ca.url, err), context.Canceled) {
				t.Errorf("%s: after %v: %v", name, took, err)
			}
		})
	}
}

// TestOneNameIsNotAllNames is about a CA that has something against one request, and
// words it as if it needed a rest.
func TestOneNameIsNotAllNames(t *testing.T) {
	s := scripted(map[string][]step{"/bad": {refuse(429, "rateLimited", "Retry-After", "60")}, "/good": {answer(`{}`)}})
	bubble(t, s, func(t *testing.T, ca *CA) {
		a := Account{Key: newKey(t), URL: testURL + "/me"}
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := ca.post(t.Context(), a, testURL+"/bad", struct{}{}); err == nil {
				t.Error("it succeeds")
			}
		})
		time.Sleep(time.Second) // of the bubble
		for range 3 {
			if _, err := ca.post(t.Context(), a, testURL+"/good", struct{}{}); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Second)
		}
		if took := time.Since(start); took > 100*time.Second {
			t.Errorf("others were held up for %v", took)
		}
		wg.Wait()
	})
}

func TestOrderThatHangsHoldsUpNoOther(t *testing.T) {
	first := true
	var mu sync.Mutex
	placed := answer(`{"status":"ready"}`, "Location", testURL+"/order/1")
	s := scripted(map[string][]step{"/order": {func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hangs := first
		first = false
		mu.Unlock()
		if hangs {
			hang(w, r)
		}
		placed(w, r)
	}}})
	bubble(t, s, func(t *testing.T, ca *CA) {
		a := Account{Key: newKey(t), URL: testURL + "/me"}
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		wg.Go(func() { _, _ = ca.newOrder(ctx, a, Request{}) })
		time.Sleep(time.Second)
		start := time.Now()
		for range 3 {
			if _, err := ca.newOrder(ctx, a, Request{}); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 3*orderingPatience {
			t.Errorf("three orders took %v", took)
		}
	})
}

func TestCAThatIsDownIsNotAskedForever(t *testing.T) {
	s := scripted(map[string][]step{"/x": {refuse(500, "serverInternal")}})
	bubble(t, s, func(t *testing.T, ca *CA) {
		var err error
		for range 100 {
			_, err = ca.post(t.Context(), Account{Key: newKey(t)}, testURL+"/x", struct{}{})
		}
		if n := s.requests("/x"); n != maxUnanswered*maxAttempts || !strings.Contains(err.Error(), "try later") {
			t.Errorf("%d requests, %v", n, err)
		}
	})
}

// payloadOf reads what a JWS carries.
func payloadOf(r *http.Request, into any) {
	var jws struct{ Payload string }
	json.NewDecoder(r.Body).Decode(&jws)
	data, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	json.Unmarshal(data, into)
}

// TestRegistrationWhoseAnswerIsLostIsFound is about CAs that look at the EAB
// credentials, which are used up, before they look whether the account is there.
func TestRegistrationWhoseAnswerIsLostIsFound(t *testing.T) {
	made := false
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replay-Nonce", "n")
		if r.URL.Path == "/nonce" {
			return
		}
		var in acme.NewAccount
		payloadOf(r, &in)
		switch {
		case in.OnlyReturnExisting && made:
			answer(`{"status":"valid"}`, "Location", testURL+"/me")(w, r)
		case made:
			refuse(403, "unauthorized")(w, r)
		default:
			made = true
			drop(w, r)
		}
	})
	bubble(t, h, func(t *testing.T, ca *CA) {
		a, err := ca.Register(t.Context(), newKey(t), Registration{EAB: &EAB{KeyID: "k", Key: []byte("secret")}})
		if err != nil || a.URL != testURL+"/me" {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestRevocationWhoseAnswerIsLostIsDone(t *testing.T) {
	already := refuse(400, "alreadyRevoked")
	for name, c := range map[string]struct {
		steps []step
		good  bool
	}{"lost": {[]step{drop, already}, true}, "revoked long ago": {[]step{already}, false}} {
		bubble(t, scripted(map[string][]step{"/revoke": c.steps}), func(t *testing.T, ca *CA) {
			leaf, _ := chainOf(t, newKey(t), "a.example.org")
			if err := ca.Revoke(t.Context(), Account{Key: newKey(t), URL: testURL + "/me"}, leaf, nil, 0); (err == nil) != c.good {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestPollingBacksOffWhateverTheCASays(t *testing.T) {
	for name, c := range map[string]struct {
		headers     []string
		least, most int // polls in 90 seconds
	}{
		"it says nothing":       {nil, 10, 60},
		"zero":                  {[]string{"Retry-After", "0"}, 10, 60},
		"a date that is past":   {[]string{"Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"}, 10, 60},
		"three seconds":         {[]string{"Retry-After", "3"}, 29, 32},
		"longer than the limit": {[]string{"Retry-After", "100000"}, 1, 1},
	} {
		s := scripted(map[string][]step{"/x": {answer(`{"status":"processing"}`, c.headers...)}})
		bubble(t, s, func(t *testing.T, ca *CA) {
			start := time.Now()
			fetch := func(ctx context.Context) (*reply, error) {
				return ca.post(ctx, Account{Key: newKey(t)}, testURL+"/x", nil)
			}
			err := ca.await(t.Context(), fetch, 90*time.Second, func(*reply) (bool, error) { return false, nil })
			if err == nil || !strings.Contains(err.Error(), "within 1m30s") || time.Since(start) != 90*time.Second {
				t.Errorf("%s: after %v: %v", name, time.Since(start), err)
			}
			if n := s.requests("/x"); n < c.least || n > c.most {
				t.Errorf("%s: %d polls", name, n)
			}
		})
	}
}

func TestRenewalWindows(t *testing.T) {
	span := func(start, end string) string {
		return `{"suggestedWindow":{"start":"` + start + `","end":"` + end + `"},"explanationURL":"https://ca/\u001b[31mwhy"}`
	}
	good := span("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
	for name, c := range map[string]struct {
		step  step
		err   error // nil for none, ErrBadRenewalInfo, or any
		again time.Duration
	}{
		"a window":                {answer(good), nil, 6 * time.Hour},
		"ask every second":        {answer(good, "Retry-After", "1"), nil, time.Minute},
		"ask in an hour":          {answer(good, "Retry-After", "3600"), nil, time.Hour},
		"ask next year":           {answer(good, "Retry-After", "30000000"), nil, 24 * time.Hour},
		"start after end":         {answer(span("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")), ErrBadRenewalInfo, 0},
		"start and end are equal": {answer(span("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z")), ErrBadRenewalInfo, 0},
		"no window":               {answer(`{}`), ErrBadRenewalInfo, 0},
		"no dates":                {answer(span("soon", "later")), ErrBadRenewalInfo, 0},
		"not found":               {refuse(404, "malformed"), new(acme.Problem), 0},
	} {
		bubble(t, scripted(map[string][]step{"/renewal/id": {c.step}}), func(t *testing.T, ca *CA) {
			w, err := ca.RenewalInfo(t.Context(), "id")
			switch p, ok := c.err.(*acme.Problem); {
			case ok:
				if !errors.As(err, &p) {
					t.Errorf("%s: %v", name, err)
				}
			case !errors.Is(err, c.err):
				t.Errorf("%s: %v", name, err)
			case err == nil && time.Until(w.AskAgain).Round(time.Second) != c.again:
				t.Errorf("%s: ask again in %v, want %v", name, time.Until(w.AskAgain), c.again)
			case err == nil && strings.ContainsRune(w.Explanation, 0x1b):
				t.Errorf("%s: %q", name, w.Explanation)
			}
		})
	}
}

// FuzzProblem gives documents of a hostile CA to what words them for a terminal.
func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"type":"urn:ietf:params:acme:error:compound","detail":"\u009b31m","subproblems":[null,{"identifier":{"value":"\u001b"}},{}]}`))
	f.Add([]byte(`{"type":"urn:ietf:params:acme:error:\u001b[31m","subproblems":[{"detail":"\u202e"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := &reply{status: 400, header: http.Header{"Content-Type": {"application/problem+json"}}, body: body}
		var e *Error
		if err := explain(testURL, r.problem(testURL)); !errors.As(err, &e) || oneLine(e.Type) != e.Type ||
			slices.ContainsFunc([]rune(err.Error()), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q", err)
		}
	})
}
