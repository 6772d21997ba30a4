package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"vidimus/internal/store"
)

// limit is how many failures are borne, and what comes of more: a delay that doubles with
// each. A failure is forgotten after a while.
type limit struct {
	free   int           // failures that cost nothing
	most   time.Duration // the longest delay
	forget time.Duration // after which one failure less counts
}

// The limits. Who guesses passwords of one person has 5 tries and then one in five minutes,
// from wherever; who has the password and guesses codes one in an hour. An address is that
// of many people sometimes. Beginning a log-in elsewhere costs a row, and no more. Beginning costs a row in the database and no more.
var (
	byLogin   = limit{free: 5, most: 5 * time.Minute, forget: 10 * time.Minute}
	byCode    = limit{free: 5, most: time.Hour, forget: time.Hour}
	byAddress = limit{free: 30, most: 15 * time.Minute, forget: 2 * time.Minute}
	byBegin   = limit{free: 60, most: time.Minute, forget: 5 * time.Second}
)

// ForgetFailures is when nothing of a failure matters any more.
const ForgetFailures = 24 * time.Hour

// TooMany says that logging in has failed too often.
type TooMany struct {
	Wait time.Duration // until it may be tried again
}

func (e TooMany) Error() string {
	return fmt.Sprintf("logging in has failed too often; try again in %s", e.Wait.Round(time.Second))
}

// counted is something that failures are counted for.
type counted struct {
	what  string // a hash
	limit limit
}

func count(l limit, kind, of string) counted {
	sum := sha256.Sum256([]byte(kind + "\x00" + of))
	return counted{base64.RawURLEncoding.EncodeToString(sum[:18]), l}
}

// loginKey is under which failures of a login count. A directory takes many texts for the
// same login (RFC 4518: case, spaces, what is not seen); so do we, and for some more.
func loginKey(login string) string {
	folded := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(login)))
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || r > ' ' && r < unicode.MaxASCII {
			return r
		}
		return -1
	}, folded)
}

// addressKey is under which failures of an address count: with IPv6, of its network, as who
// has one has all of it.
func addressKey(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// limiter counts failures in the database, where all servers see them.
type limiter struct {
	store *store.Store
	now   func() time.Time
}

// try counts a try as a failure, before anybody knows how it ends, so that many at once
// are no more than one after another. [TooMany] says that it is too soon.
func (l limiter) try(ctx context.Context, of ...counted) error {
	now := l.now()
	known, err := l.store.FailuresOf(ctx, whats(of))
	if err != nil {
		return err
	}
	wait := func(all []store.Failures) (longest time.Duration) {
		for _, f := range all {
			longest = max(longest, f.Next.Sub(now))
		}
		return longest
	}
	if w := wait(known); w > 0 { // which costs no transaction
		return TooMany{w}
	}
	var w time.Duration
	err = l.store.ChangeFailures(ctx, whats(of), func(all []store.Failures) bool {
		if w = wait(all); w > 0 {
			return false
		}
		for i := range all {
			limitOf(of, all[i].What).failed(&all[i], now)
		}
		return true
	})
	if err == nil && w > 0 {
		return TooMany{w}
	}
	return err
}

// succeeded takes back what [limiter.try] has counted, and forgets all failures of the
// first, whose secret it was.
func (l limiter) succeeded(ctx context.Context, of ...counted) error {
	return l.store.ChangeFailures(ctx, whats(of), func(all []store.Failures) bool {
		for i := range all {
			f := &all[i]
			f.Next = time.UnixMilli(0)
			if f.Count = max(f.Count-1, 0); f.What == of[0].what {
				f.Count = 0
			}
		}
		return true
	})
}

// failed counts one more failure.
func (l limit) failed(f *store.Failures, now time.Time) {
	if past := now.Sub(f.At) / l.forget; past > 0 {
		f.Count = max(0, f.Count-int(min(past, 1<<30)))
	}
	f.Count++
	f.At, f.Next = now, now
	if over := f.Count - l.free; over >= 0 {
		f.Next = now.Add(l.delay(over))
	}
}

// delay is one second, doubled for each failure over what is free.
func (l limit) delay(over int) time.Duration {
	if over > 20 {
		return l.most
	}
	return min(l.most, time.Second<<over)
}

func limitOf(of []counted, what string) limit {
	for _, c := range of {
		if c.what == what {
			return c.limit
		}
	}
	return byLogin
}

func whats(of []counted) []string {
	all := make([]string, len(of))
	for i, c := range of {
		all[i] = c.what
	}
	return all
}
