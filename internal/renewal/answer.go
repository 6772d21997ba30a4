package renewal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/issuance"
)

// Answers remember, from one run to the next, what CAs said of certificates, so that
// they are asked again only when they want to be (RFC 9773 §4.3). They may be used by
// many goroutines. What is lost of them is asked for again. A nil one remembers nothing.
type Answers struct {
	path string

	mu      sync.Mutex
	known   map[string]answer // by renewal ID; guarded by mu
	used    map[string]bool   // guarded by mu
	changed bool              // guarded by mu
	failed  map[string]error  // servers that could not be asked in this run; guarded by mu
}

// answer is what a CA said; without a window, which has an end after its start, it knew
// nothing.
type answer struct {
	again       int64 // Unix time before which the CA is not asked again
	start, end  int64
	explanation string
}

// mostRemembered is the longest time that an answer is kept: one that claims to be
// good for longer is from a clock that was wrong.
const mostRemembered = 25 * time.Hour

// WorkAnswers are those remembered below Certbot's --work-dir. They are read when they
// are first needed.
func WorkAnswers(workDir string) *Answers {
	return &Answers{path: filepath.Join(workDir, "vidimus-renewal-info"), failed: map[string]error{}}
}

// load reads them, once. It is called with mu held.
func (a *Answers) load() {
	if a.known != nil {
		return
	}
	a.known, a.used = map[string]answer{}, map[string]bool{}
	f, err := os.Open(a.path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if id, ans, ok := parseAnswer(lines.Text()); ok {
			a.known[id] = ans
		}
	}
}

// parseAnswer reads one line: ID, three Unix times, and a URL that may be missing.
func parseAnswer(line string) (id string, a answer, ok bool) {
	fields := strings.SplitN(line, " ", 5)
	if len(fields) < 4 {
		return "", a, false
	}
	for i, into := range []*int64{&a.again, &a.start, &a.end} {
		n, err := strconv.ParseInt(fields[i+1], 10, 64)
		if err != nil {
			return "", a, false
		}
		*into = n
	}
	if len(fields) == 5 {
		a.explanation = fields[4]
	}
	return fields[0], a, true
}

// Save stores the answers. With prune, those that nobody asked for since they were
// read are forgotten, as their certificates are gone.
func (a *Answers) Save(prune bool) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if prune && len(a.used) < len(a.known) {
		for id := range a.known {
			if !a.used[id] {
				delete(a.known, id)
			}
		}
		a.changed = true
	}
	if !a.changed {
		return nil
	}
	var b bytes.Buffer
	for id, ans := range a.known {
		fmt.Fprintf(&b, "%s %d %d %d", id, ans.again, ans.start, ans.end)
		if ans.explanation != "" {
			b.WriteString(" " + ans.explanation)
		}
		b.WriteByte('\n')
	}
	tmp := a.path + ".new"
	if err := os.WriteFile(tmp, b.Bytes(), 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, a.path); err != nil {
		return err
	}
	a.changed = false
	return nil
}

// asker asks one CA, through the answers that are remembered.
type asker struct {
	answers *Answers
	server  string
	now     func() time.Time
	dial    func(context.Context) (Asker, error)
}

// askWithin bounds the time that one question may take. A CA that does not answer is
// not asked again in the same run.
const askWithin = 10 * time.Second

// RenewalInfo implements [Asker].
func (k *asker) RenewalInfo(ctx context.Context, id string) (issuance.Window, error) {
	if id == "" {
		return issuance.Window{}, issuance.ErrNoRenewalInfo
	}
	if ans, ok := k.answers.get(id, k.now()); ok {
		return ans.window()
	}
	if err := k.answers.failure(k.server); err != nil {
		return issuance.Window{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	w, err := k.ask(ctx, id)
	switch {
	case errors.Is(err, issuance.ErrNoRenewalInfo):
		return w, err // the directory says so, which costs nothing
	case err == nil:
		k.answers.put(id, answer{again: w.AskAgain.Unix(), start: w.Start.Unix(), end: max(w.End.Unix(), w.Start.Unix()+1), explanation: w.Explanation})
	case aboutOne(err):
		k.answers.put(id, answer{again: k.now().Add(unknownFor).Unix()})
	default:
		k.answers.fail(k.server, err)
		var later *issuance.Error
		if errors.As(err, &later) && !later.RetryAt.IsZero() { // also for the next run
			k.answers.put(id, answer{again: min(later.RetryAt.Unix(), k.now().Add(24*time.Hour).Unix())})
		}
	}
	return w, err
}

// unknownFor is when a CA is asked again that had no answer for a certificate.
const unknownFor = 6 * time.Hour

// aboutOne tells whether a question failed because of the certificate that it was about:
// the CA does not know that, and will not soon. All else is about the CA.
func aboutOne(err error) bool {
	var p *acme.Problem
	return errors.Is(err, issuance.ErrBadRenewalInfo) ||
		errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests && p.Type != acme.RateLimited
}

func (k *asker) ask(ctx context.Context, id string) (issuance.Window, error) {
	ca, err := k.dial(ctx)
	if err != nil {
		return issuance.Window{}, err
	}
	return ca.RenewalInfo(ctx, id)
}

func (a answer) window() (issuance.Window, error) {
	if a.end <= a.start {
		return issuance.Window{}, issuance.ErrNoRenewalInfo
	}
	return issuance.Window{Start: time.Unix(a.start, 0).UTC(), End: time.Unix(a.end, 0).UTC(), Explanation: a.explanation, AskAgain: time.Unix(a.again, 0).UTC()}, nil
}

func (a *Answers) get(id string, now time.Time) (answer, bool) {
	if a == nil {
		return answer{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.load()
	ans, ok := a.known[id]
	if ok {
		a.used[id] = true
	}
	again := time.Unix(ans.again, 0)
	return ans, ok && now.Before(again) && again.Sub(now) <= mostRemembered
}

// fresh tells whether a question about a certificate is answered without asking its
// server.
func (a *Answers) fresh(id, server string, now time.Time) bool {
	_, ok := a.get(id, now)
	return ok || a.failure(server) != nil
}

func (a *Answers) put(id string, ans answer) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.load()
	a.known[id], a.used[id], a.changed = ans, true, true
}

// failure is why a server could not be asked before.
func (a *Answers) failure(server string) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[server]
}

func (a *Answers) fail(server string, err error) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed[server] = err
}
