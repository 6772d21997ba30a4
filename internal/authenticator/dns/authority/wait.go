package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Polling begins at once and backs off.
const (
	firstPoll = 50 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// patience is the default of [Finder.Patience]; a server has twice been asked by then.
const (
	patience = 5 * time.Second
	minTries = 2
)

// A LagError says which server does not show what it should.
type LagError struct {
	Name    string // where the values should be
	Server  Server
	Answer  string // what it says instead
	Old     bool   // it does have TXT values there
	After   time.Duration
	Further int // how many more lag
}

func (e *LagError) Error() string {
	what := "still has no TXT value"
	if e.Old {
		what = "still answers the old TXT value"
	}
	more := ""
	if e.Further > 0 {
		more = fmt.Sprintf(", and %d more like it", e.Further)
	}
	return fmt.Sprintf("%v %s after %v (%s: %s%s)", e.Server, what, e.After.Round(time.Second/10), e.Name, e.Answer, more)
}

// Values asks the servers of a place for its TXT values and returns those that all of
// the servers that answer show.
func (f *Finder) Values(ctx context.Context, p *Place) ([]string, error) {
	if p.Hidden != nil {
		answer, err := f.resolve(ctx, p.Name, dns.TypeTXT)
		if err != nil {
			return nil, err
		}
		return texts(answer, p.Name), nil
	}
	ch := make(chan report, len(p.Servers))
	for i, s := range p.Servers {
		go func() { ch <- ask(ctx, i, s, p.Name) }()
	}
	var common []string
	var last error
	answered := false
	for range p.Servers {
		r := <-ch
		switch {
		case r.err != nil:
			last = fmt.Errorf("%v: %w", p.Servers[r.server], r.err)
		case !answered:
			common, answered = r.values, true
		default:
			common = slices.DeleteFunc(common, func(v string) bool { return !slices.Contains(r.values, v) })
		}
	}
	if !answered {
		return nil, fmt.Errorf("asking for the TXT values of %s: %w", p.Name, last)
	}
	return common, nil
}

// Wait returns when every server of the place shows all values; others may be there
// too. It fails with a [*LagError] when that takes longer than the bound.
//
// A server that gives no answer, or none of its own (it refuses, it has lost the zone),
// is left out after [Finder.Patience], with a warning, when another shows all values: a
// CA's resolver turns to another server then, too. A server that answers, but with old
// data, is never left out. If no server can be reached at all, the resolver is asked,
// and when the bound called blind is over the CA may try.
func (f *Finder) Wait(ctx context.Context, p *Place, values []string, bound, blind time.Duration) error {
	whole := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, bound, errBound)
	defer cancel()
	if p.Hidden != nil {
		return f.waitBehind(whole, p, values, blind, p.Hidden)
	}
	w := &watch{finder: f, place: p, start: time.Now(), states: make([]state, len(p.Servers))}
	reports := make(chan report)
	for i, s := range p.Servers {
		go poll(ctx, i, s, p.Name, values, reports)
	}
	timer := time.NewTimer(w.patience())
	defer timer.Stop()
	for {
		select {
		case r := <-reports:
			w.take(r, values)
		case <-timer.C:
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errBound) {
				return ctx.Err()
			}
			return w.tooLate()
		}
		switch done, allSilent := w.verdict(); {
		case done:
			return nil
		case allSilent:
			cancel()
			return f.waitBehind(whole, p, values, blind, w.states[0].err)
		}
	}
}

var errBound = errors.New("the time for the values to appear is over")

// report is what came of asking one server once.
type report struct {
	server int
	values []string
	what   string // the answer in words
	err    error  // no answer, or not of the zone's
}

// poll asks one server again and again until it shows all values.
func poll(ctx context.Context, i int, s Server, name string, values []string, reports chan<- report) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := firstPoll; ; wait = min(wait*8/5, lastPoll) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		r := ask(ctx, i, s, name)
		select {
		case reports <- r:
		case <-ctx.Done():
			return
		}
		if r.err == nil && holdsAll(r.values, values) {
			return
		}
		timer.Reset(wait)
	}
}

func ask(ctx context.Context, i int, s Server, name string) report {
	answer, err := exchange(ctx, s.Addr.String(), name, dns.TypeTXT, false)
	if err == nil {
		if err = notOwn(answer, name); err == nil && !answer.Authoritative {
			err = errors.New("it refers to other servers")
		}
	}
	if err != nil {
		return report{server: i, err: err}
	}
	r := report{server: i, values: texts(answer, name)}
	switch {
	case len(r.values) > 0:
		r.what = quoteAll(r.values)
	case aliasIn(answer, name) != "":
		r.what = "it is an alias (CNAME) of " + aliasIn(answer, name)
	default:
		r.what = dns.RcodeToString[answer.Rcode] + ", no TXT record"
	}
	return r
}

// texts are the TXT values at exactly this name; the strings of one are joined
// (RFC 8555 §8.4 does not say so, but all CAs do).
func texts(answer *dns.Msg, name string) (values []string) {
	for _, rr := range answer.Answer {
		if txt, ok := rr.(*dns.TXT); ok && canonical(rr.Header().Name) == name {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	return values
}

func holdsAll(have, want []string) bool {
	for _, v := range want {
		if !slices.Contains(have, v) {
			return false
		}
	}
	return true
}

// quoteAll shows values that come from outside, bounded.
func quoteAll(values []string) string {
	const most = 4
	var shown []string
	for _, v := range values[:min(len(values), most)] {
		if len(v) > 100 {
			v = v[:100] + "…"
		}
		shown = append(shown, fmt.Sprintf("%q", v))
	}
	if len(values) > most {
		shown = append(shown, fmt.Sprintf("and %d more", len(values)-most))
	}
	return strings.Join(shown, ", ")
}

// watch is what is known of the servers of one place.
type watch struct {
	finder *Finder
	place  *Place
	start  time.Time
	states []state // as in place.Servers
}

type state struct {
	shows    bool // all values
	answered bool // at least once, with data of its own
	tries    int
	last     report
	err      error
}

func (w *watch) patience() time.Duration {
	if w.finder.Patience > 0 {
		return w.finder.Patience
	}
	return patience
}

func (w *watch) take(r report, values []string) {
	s := &w.states[r.server]
	s.tries++
	if r.err != nil {
		s.err = r.err
		return
	}
	s.answered, s.last = true, r
	s.shows = holdsAll(r.values, values)
}

// verdict tells whether the wait is over: done when each server shows all values or is
// left out; allSilent when none answers.
func (w *watch) verdict() (done, allSilent bool) {
	late := time.Since(w.start) >= w.patience()
	shown, silent := 0, 0
	for _, s := range w.states {
		switch {
		case s.shows:
			shown++
		case !s.answered && late && s.tries >= minTries:
			silent++
		}
	}
	if shown > 0 && shown+silent == len(w.states) {
		w.warnSilent()
		return true, false
	}
	return false, silent == len(w.states)
}

// tooLate is the outcome when the bound has passed: an error about the servers that
// answer with old data, unless there are only silent ones beside those that show all.
func (w *watch) tooLate() error {
	lag := &LagError{Name: w.place.Name, After: time.Since(w.start)}
	shown, lagging, silent := 0, 0, -1
	for i, s := range w.states {
		switch {
		case s.shows:
			shown++
		case s.answered:
			if lagging++; lagging == 1 {
				lag.Server, lag.Answer, lag.Old = w.place.Servers[i], s.last.what, len(s.last.values) > 0
			}
		case silent < 0:
			silent = i
		}
	}
	switch {
	case lagging > 0:
		lag.Further = lagging - 1
		return lag
	case shown > 0:
		w.warnSilent()
		return nil
	}
	why := w.states[silent].err
	if why == nil {
		why = errors.New("no answer yet")
	}
	return fmt.Errorf("no name server of %s answered within %v (%v: %w)", w.place.Zone, lag.After.Round(time.Second/10), w.place.Servers[silent], why)
}

func (w *watch) warnSilent() {
	if w.finder.Log == nil {
		return
	}
	for i, s := range w.states {
		if !s.shows {
			w.finder.Log.Warn("a name server gives no answer of its own; going on without it, as the others show all values",
				"server", w.place.Servers[i].String(), "name", w.place.Name, "reason", s.err)
		}
	}
}

// waitBehind waits for the resolver to show all values. It can hold an old answer for
// longer than the CA's resolver, so the end of the bound is no error.
func (f *Finder) waitBehind(ctx context.Context, p *Place, values []string, bound time.Duration, why error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, errBound)
	defer cancel()
	if f.Log != nil {
		f.Log.Warn("the authoritative name servers cannot be reached from here; asking the resolver instead", "name", p.Name, "reason", why)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for wait := firstPoll; ; wait = min(wait*8/5, lastPoll) {
		select {
		case <-timer.C:
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errBound) {
				return ctx.Err()
			}
			if f.Log != nil {
				f.Log.Warn("the resolver does not show the TXT values yet; letting the CA look", "name", p.Name)
			}
			return nil
		}
		if answer, err := f.resolve(ctx, p.Name, dns.TypeTXT); err == nil && holdsAll(texts(answer, p.Name), values) {
			return nil
		}
		timer.Reset(wait)
	}
}
