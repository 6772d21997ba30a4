package renewal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/issuance"
)

// scripted is a CA that answers by certificate, and counts.
type scripted struct {
	says  map[string]says
	asked []string
}

func (s *scripted) RenewalInfo(ctx context.Context, id string) (issuance.Window, error) {
	s.asked = append(s.asked, id)
	return s.says[id].RenewalInfo(ctx, id)
}

// runAt is one run of the program, at a time.
func runAt(t *testing.T, dir string, now time.Time, ca *scripted) (*asker, func(prune bool)) {
	t.Helper()
	answers := WorkAnswers(dir)
	k := &asker{answers: answers, server: "https://ca/dir", now: func() time.Time { return now },
		dial: func(context.Context) (Asker, error) { return ca, nil }}
	return k, func(prune bool) {
		t.Helper()
		if err := answers.Save(prune); err != nil {
			t.Error(err)
		}
	}
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestAnswersAreRememberedUntilTheCAWantsToBeAsked(t *testing.T) {
	dir := t.TempDir()
	w := issuance.Window{Start: noon, End: noon.Add(time.Hour), AskAgain: noon.Add(6 * time.Hour), Explanation: "https://ca/why a b"}
	ca := &scripted{says: map[string]says{"a": {w: w}}}
	for _, c := range []struct {
		after time.Duration
		asked int
	}{{0, 1}, {time.Hour, 1}, {6*time.Hour - time.Second, 1}, {6 * time.Hour, 2},
		{-48 * time.Hour, 3}, // a clock that was wrong then, or is now
	} {
		k, save := runAt(t, dir, noon.Add(c.after), ca)
		got, err := k.RenewalInfo(t.Context(), "a")
		if err != nil || !got.Start.Equal(w.Start) || !got.End.Equal(w.End) || got.Explanation != w.Explanation {
			t.Errorf("after %v: %+v, %v", c.after, got, err)
		}
		if len(ca.asked) != c.asked {
			t.Errorf("after %v it has been asked %d times, want %d", c.after, len(ca.asked), c.asked)
		}
		save(true)
	}
}

func TestAnswersAboutOtherCertificatesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	w := issuance.Window{Start: noon, End: noon.Add(time.Hour), AskAgain: noon.Add(6 * time.Hour)}
	ca := &scripted{says: map[string]says{"kept": {w: w}, "gone": {w: w}}}
	k, save := runAt(t, dir, noon, ca)
	k.RenewalInfo(t.Context(), "kept")
	k.RenewalInfo(t.Context(), "gone")
	save(true)
	for _, prune := range []bool{false, true} { // a run about one lineage, and one about all
		k, save = runAt(t, dir, noon, ca)
		k.RenewalInfo(t.Context(), "kept")
		save(prune)
		data, _ := os.ReadFile(filepath.Join(dir, "vidimus-renewal-info"))
		if !strings.Contains(string(data), "kept ") || strings.Contains(string(data), "gone ") == prune {
			t.Errorf("prune %v: %s", prune, data)
		}
	}
}

// TestOneCertificateIsNotTheCA is about a CA that has no answer for one certificate,
// and one that has no answer.
func TestOneCertificateIsNotTheCA(t *testing.T) {
	refusal := func(status int, kind acme.ProblemType) error {
		return fmt.Errorf("renewal information: %w", &acme.Problem{Status: status, Type: kind})
	}
	for name, c := range map[string]struct {
		err        error
		others     bool // are asked in the same run
		remembered bool // by the next run
	}{
		"unknown":               {refusal(404, acme.Malformed), true, true},
		"unknown, in few words": {refusal(404, ""), true, true},
		"a window of no use":    {fmt.Errorf("%w: it ends early", issuance.ErrBadRenewalInfo), true, true},
		"broken":                {refusal(500, acme.ServerInternal), false, false},
		"rate limit":            {refusal(429, acme.RateLimited), false, false},
		"unreachable":           {errors.New("no route"), false, false},
		"later":                 {&issuance.Error{Type: "rateLimited", RetryAt: noon.Add(3 * time.Hour)}, false, true},
	} {
		dir := t.TempDir()
		ca := &scripted{says: map[string]says{"a": {err: c.err}, "b": {w: issuance.Window{Start: noon, End: noon.Add(1), AskAgain: noon.Add(time.Hour)}}}}
		k, save := runAt(t, dir, noon, ca)
		if _, err := k.RenewalInfo(t.Context(), "a"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := k.RenewalInfo(t.Context(), "b"); (err == nil) != c.others {
			t.Errorf("%s: another certificate: %v", name, err)
		}
		save(true)
		ca.asked = nil
		k, _ = runAt(t, dir, noon.Add(2*time.Hour), ca)
		k.RenewalInfo(t.Context(), "a")
		if remembered := len(ca.asked) == 0; remembered != c.remembered {
			t.Errorf("%s: remembered is %v", name, remembered)
		}
	}
}

// TestShortWindowIsRemembered is about a window that ends in the second it begins in.
func TestShortWindowIsRemembered(t *testing.T) {
	dir := t.TempDir()
	c := cert(90 * day)
	w := issuance.Window{Start: c.NotBefore.Add(time.Hour + time.Millisecond), End: c.NotBefore.Add(time.Hour + 2*time.Millisecond), AskAgain: noon.Add(time.Hour)}
	k, save := runAt(t, dir, noon, &scripted{})
	k.dial = func(context.Context) (Asker, error) { return says{w: w}, nil }
	for range 2 {
		at, why, err := DueAt(t.Context(), c, "", k)
		if err != nil || at.Sub(w.Start).Abs() > 2*time.Second {
			t.Errorf("due %v (%s), %v", at, why, err)
		}
		save(true)
		k, save = runAt(t, dir, noon, &scripted{})
	}
}

func TestCAThatDoesNotAnswerIsWaitedForOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	k, _ := runAt(t, t.TempDir(), noon, nil)
	dialed := 0
	k.dial = func(ctx context.Context) (Asker, error) { dialed++; <-ctx.Done(); return nil, ctx.Err() }
	for range 3 {
		if _, err := k.RenewalInfo(ctx, "a"); err == nil {
			t.Error("no error")
		}
	}
	if dialed != 1 {
		t.Errorf("tried %d times", dialed)
	}
}

func TestAnswersServeManyAtOnce(t *testing.T) {
	a := WorkAnswers(t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				id := fmt.Sprint(i, "-", n)
				a.put(id, answer{again: noon.Add(time.Hour).Unix()})
				if _, ok := a.get(id, noon); !ok {
					t.Error("forgotten")
				}
				a.fail(id, errors.New("x"))
				a.failure(id)
			}
			if err := a.Save(false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzParseAnswer(f *testing.F) {
	f.Add("a.b 1 2 3")
	f.Add("ocsp:1:2 -1 0 99999999999999999999 https://x y")
	f.Add("a 9223372036854775807 -9223372036854775808 9223372036854775807")
	f.Add("a 1 5 5")
	f.Fuzz(func(t *testing.T, line string) {
		id, a, ok := parseAnswer(line)
		if !ok {
			return
		}
		if strings.Contains(id, " ") {
			t.Errorf("ID %q", id)
		}
		if w, err := a.window(); err == nil {
			moment(w, id)
		}
	})
}
