package renewal

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/issuance"
)

// shortLived is the lifetime below which half of it, not a third, is to be left.
const shortLived = 10 * 24 * time.Hour

// lifetimeRule tells when a certificate is due if nobody says otherwise.
func lifetimeRule(c *x509.Certificate) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	if life < shortLived {
		return c.NotAfter.Add(-life / 2)
	}
	return c.NotAfter.Add(-life / 3)
}

// between is how long it is from one run to the next, at most, where people follow the
// advice to renew twice a day.
const between = 12 * time.Hour

// moment picks a time in a window (RFC 9773 §4.2): evenly spread over certificates,
// and, unlike a random number, the same one whenever it is asked again. The run that
// comes after it is to find the window still open, so the end of the window is left
// out, but no more than half of it.
func moment(w issuance.Window, id string) time.Time {
	span := w.End.Sub(w.Start)
	span = max(span-between, span/2, 1)
	sum := sha256.Sum256([]byte(id + w.Start.String() + w.End.String()))
	return w.Start.Add(time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(span)))
}

// Asker knows a CA's renewal information.
type Asker interface {
	RenewalInfo(ctx context.Context, id string) (issuance.Window, error)
}

// DueAt tells when a certificate is to be renewed: when its CA says (a nil ask is a
// CA that says nothing), else when a third of its lifetime is left; an admin's
// renew_before_expiry, if it is not "", can make it earlier than the CA says, and
// replaces the third. why explains the answer in a few words.
func DueAt(ctx context.Context, c *x509.Certificate, renewBefore string, ask Asker) (at time.Time, why string, err error) {
	at, why = lifetimeRule(c), "by its lifetime"
	if renewBefore != "" {
		span, err := parseInterval(renewBefore)
		if err != nil {
			return at, why, fmt.Errorf("renew_before_expiry: %w", err)
		}
		at, why = c.NotAfter.Add(-span), "by renew_before_expiry"
	}
	if ask == nil {
		return at, why, nil
	}
	id := certificate.RenewalID(c)
	w, err := ask.RenewalInfo(ctx, id)
	if errors.Is(err, issuance.ErrNoRenewalInfo) {
		return at, why, nil
	}
	if err != nil {
		return at, why + ", as its CA could not be asked", err
	}
	byCA := moment(w, id)
	if byCA.After(c.NotAfter) || renewBefore != "" && at.Before(byCA) {
		return at, why, nil
	}
	why = "by its CA's renewal information"
	if w.Explanation != "" {
		why += " (" + w.Explanation + ")"
	}
	return byCA, why, nil
}

var units = map[string]time.Duration{
	"second": time.Second, "sec": time.Second, "s": time.Second,
	"minute": time.Minute, "min": time.Minute, "m": time.Minute,
	"hour": time.Hour, "hr": time.Hour, "h": time.Hour,
	"day": 24 * time.Hour, "d": 24 * time.Hour,
	"week": 7 * 24 * time.Hour, "wk": 7 * 24 * time.Hour, "w": 7 * 24 * time.Hour,
	"month": 30 * 24 * time.Hour, "mth": 30 * 24 * time.Hour,
	"year": 365 * 24 * time.Hour, "yr": 365 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
}

// parseInterval reads what Certbot lets people write: "30 days", "3 weeks 1 day",
// or a bare number of days.
func parseInterval(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not an interval such as \"30 days\"", text)
	fields := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
	if len(fields) == 0 {
		return 0, bad
	}
	var sum time.Duration
	for i := 0; i < len(fields); i++ {
		number := strings.TrimRight(fields[i], "abcdefghijklmnopqrstuvwxyz")
		unit := fields[i][len(number):]
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || n > 100000 {
			return 0, bad
		}
		if unit == "" && i+1 < len(fields) {
			i++
			unit = fields[i]
		}
		if unit == "" {
			unit = "day"
		}
		size, ok := units[unit]
		if !ok {
			size, ok = units[strings.TrimSuffix(unit, "s")]
		}
		if !ok {
			return 0, bad
		}
		sum += time.Duration(n) * size
	}
	return sum, nil
}
