package issuance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vidimus/internal/acme"
)

// Window is when a CA wants a certificate renewed (RFC 9773 §4.2).
type Window struct {
	Start, End  time.Time
	Explanation string    // a URL
	AskAgain    time.Time // not before then; see [ariLeast] and [ariMost]
}

// A CA is asked about a certificate again when it says, but not more often than once
// a minute and not less than once a day, and after six hours if it says nothing
// (RFC 9773 §4.3.1, §4.3.2).
const (
	ariLeast   = time.Minute
	ariMost    = 24 * time.Hour
	ariDefault = 6 * time.Hour
)

// ErrNoRenewalInfo says that the CA has no renewal information.
var ErrNoRenewalInfo = errors.New("the CA offers no renewal information")

// ErrBadRenewalInfo says that what the CA answered about a certificate is of no use.
var ErrBadRenewalInfo = errors.New("the renewal information that the CA gave")

// RenewalInfo asks when the certificate with the identifier (RFC 9773 §4.1) is to be
// renewed.
func (ca *CA) RenewalInfo(ctx context.Context, id string) (Window, error) {
	if ca.dir.RenewalInfo == "" || id == "" {
		return Window{}, ErrNoRenewalInfo
	}
	r, err := ca.get(ctx, strings.TrimSuffix(ca.dir.RenewalInfo, "/")+"/"+id)
	if err != nil {
		return Window{}, fmt.Errorf("renewal information: %w", explain(ca.url, err))
	}
	var info acme.RenewalInfo
	if err := r.decode(&info); err != nil {
		return Window{}, fmt.Errorf("%w: %w", ErrBadRenewalInfo, err)
	}
	w := Window{Start: info.SuggestedWindow.Start, End: info.SuggestedWindow.End, Explanation: oneLine(info.ExplanationURL)}
	if w.Start.IsZero() || !w.End.After(w.Start) {
		return Window{}, fmt.Errorf("%w: its window ends before it begins", ErrBadRenewalInfo)
	}
	now := time.Now()
	w.AskAgain = now.Add(ariDefault)
	if at, ok := r.retryAfter(); ok {
		w.AskAgain = now.Add(min(max(at.Sub(now), ariLeast), ariMost))
	}
	return w, nil
}
