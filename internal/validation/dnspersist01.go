package validation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// minPersist is how long a proof by dns-persist-01 lasts though the record's TTL is
// shorter, so that the order it was for can be finalized.
const minPersist = 10 * time.Minute

// dnsPersist01 looks for a TXT record that names one of our identities and the account.
// It returns when the proof ends: at the record's persistUntil, and when its TTL is over
// (draft-ietf-acme-dns-persist-01 §4.1, §7.8).
func (a *attempt) dnsPersist01(ctx context.Context) (until time.Time, problem *acme.Problem) {
	name := "_validation-persist." + a.Identifier.Value
	rrs, err := a.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return until, acme.Problemf(acme.DNS, "looking up TXT of %s: %v", name, err)
	}
	var first string
	ours := 0
	for _, rr := range rrs {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		value := strings.Join(txt.Txt, "")
		end, match, err := a.persists(value)
		if !match {
			continue // another CA's, or no record of this kind (§4.3.2)
		}
		if err == nil {
			ttl := time.Duration(txt.Hdr.Ttl) * time.Second
			return earlier(end, a.now().Add(max(ttl, minPersist))), nil
		}
		if ours++; first == "" {
			first = fmt.Sprintf("%q %v", clip(value), err)
		}
	}
	expected := "no issuer"
	if len(a.Issuers) > 0 {
		expected = strconv.Quote(a.Issuers[0] + "; accounturi=" + a.Account)
	}
	if a.Wildcard || a.Subdomains {
		expected = strings.TrimSuffix(expected, `"`) + `; policy=wildcard"`
	}
	switch {
	case len(rrs) == 0:
		return until, acme.Problemf(acme.Unauthorized, "there is no TXT record at %s; it should be %s", name, expected)
	case ours == 0:
		return until, acme.Problemf(acme.Unauthorized, "no TXT record at %s names this CA; one should be %s", name, expected)
	}
	return until, acme.Problemf(acme.Unauthorized, "the TXT record at %s, %s%s; it should be %s", name, first, andMore(ours), expected)
}

// persists tells whether a TXT value is about this CA, and then what is wrong with it
// or how long it holds; a zero time is for ever.
func (a *attempt) persists(value string) (until time.Time, ours bool, err error) {
	v, err := parseIssue(value)
	if err != nil {
		domain, _, _ := strings.Cut(value, ";")
		return until, slices.Contains(a.Issuers, strings.ToLower(trimBlanks(domain))), fmt.Errorf("is malformed: %w", err)
	}
	if !slices.Contains(a.Issuers, v.domain) {
		return until, false, nil
	}
	account, found, err := v.get("accounturi")
	switch {
	case err != nil:
		return until, true, fmt.Errorf("is malformed: %w", err)
	case !found:
		return until, true, errors.New("has no accounturi")
	case account != a.Account:
		return until, true, errors.New("is for another account")
	}
	policy, _, err := v.get("policy")
	switch {
	case err != nil:
		return until, true, fmt.Errorf("is malformed: %w", err)
	case (a.Wildcard || a.Subdomains) && !strings.EqualFold(policy, "wildcard"):
		return until, true, errors.New("does not allow wildcards and subdomains, for want of policy=wildcard")
	}
	text, found, err := v.get("persistuntil")
	switch {
	case err != nil:
		return until, true, fmt.Errorf("is malformed: %w", err)
	case !found:
		return until, true, nil
	}
	if until, err = unixTime(text); err != nil {
		return until, true, fmt.Errorf("is malformed: its persistUntil: %w", err)
	}
	if a.now().After(until) {
		return until, true, fmt.Errorf("ended at %s", until.UTC().Format(time.RFC3339))
	}
	return until, true, nil
}

// unixTime reads seconds since 1970 in decimal digits, up to the year 9999.
func unixTime(s string) (time.Time, error) {
	const last = 253402300799
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no number of seconds since 1970", clip(s))
	}
	return time.Unix(int64(min(n, last)), 0), nil
}

// earlier is the earlier of two times, of which the first may be zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
