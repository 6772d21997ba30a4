package validation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// dnsPersist01 looks for a TXT record that names one of our identities and the account.
// It returns when the proof ends: at the record's persistUntil. The record's TTL is no
// bound of it (draft-ietf-acme-dns-persist-02 §4.1, §7.9).
func (a *attempt) dnsPersist01(ctx context.Context) (until time.Time, problem *acme.Problem) {
	name := "_validation-persist." + a.Identifier.Value
	rrs, err := a.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return until, acme.Problemf(acme.DNS, "looking up TXT of %s: %v", name, err)
	}
	var first error
	value, ours := "", 0
	for _, text := range texts(rrs) {
		end, match, err := a.persists(text)
		if !match {
			continue // another CA's, or no record of this kind (§4.3.2)
		}
		if err == nil {
			return end, nil
		}
		if ours++; first == nil {
			first, value = err, text
		}
	}
	expected := a.persistent()
	switch {
	case len(rrs) == 0:
		return until, acme.Problemf(acme.Unauthorized, "there is no TXT record at %s; it should be %s", name, expected)
	case ours == 0:
		return until, acme.Problemf(acme.Unauthorized, "no TXT record at %s names this CA; one should be %s", name, expected)
	}
	kind := acme.Unauthorized
	if errors.As(first, new(malformed)) {
		kind = acme.Malformed // §9.3.1
	}
	return until, acme.Problemf(kind, "the TXT record at %s, %q %v%s; it should be %s", name, clip(value), first, andMore(ours), expected)
}

// persistent is the record, in quotation marks, that would do.
func (a *attempt) persistent() string {
	if len(a.Issuers) == 0 || len(a.Thumbprints) == 0 {
		return "no issuer"
	}
	value := a.Issuers[0] + "; accounturi=" + acme.HashedAccount(a.AccountHashes, a.Identifier.Value, a.Thumbprints[0], a.Account)
	if a.Wildcard || a.Subdomains {
		value += "; policy=wildcard"
	}
	return strconv.Quote(value)
}

// malformed is what is wrong with the form of a record.
type malformed struct{ error }

func malformedf(format string, args ...any) error { return malformed{fmt.Errorf(format, args...)} }

// persists tells whether a TXT value is about this CA, and then what is wrong with it
// or how long it holds; a zero time is for ever.
func (a *attempt) persists(value string) (until time.Time, ours bool, err error) {
	v, err := parseIssue(value)
	if err != nil {
		domain, _, _ := strings.Cut(value, ";")
		return until, slices.Contains(a.Issuers, strings.ToLower(trimBlanks(domain))), malformedf("is malformed: %w", err)
	}
	if !slices.Contains(a.Issuers, v.domain) {
		return until, false, nil
	}
	if err := a.names(v); err != nil {
		return until, true, err
	}
	policy, _, err := v.get("policy")
	switch {
	case err != nil:
		return until, true, malformedf("is malformed: %w", err)
	case (a.Wildcard || a.Subdomains) && !strings.EqualFold(policy, "wildcard"):
		return until, true, errors.New("does not allow wildcards and subdomains, for want of policy=wildcard")
	}
	text, found, err := v.get("persistuntil")
	switch {
	case err != nil:
		return until, true, malformedf("is malformed: %w", err)
	case !found:
		return until, true, nil
	}
	if until, err = unixTime(text); err != nil {
		return until, true, malformedf("is malformed: its persistUntil: %w", err)
	}
	if a.now().After(until) {
		return until, true, fmt.Errorf("ended at %s", until.UTC().Format(time.RFC3339))
	}
	return until, true, nil
}

// names tells what is wrong with the account in a record, which is a hash over one of the
// account's keys, and the name or none (§4.1, §4.2).
func (a *attempt) names(v issueValue) error {
	account, found, err := v.get("accounturi")
	if err != nil {
		return malformedf("is malformed: %w", err)
	}
	hash, ours := strings.CutPrefix(account, a.AccountHashes+acme.HashSHA256)
	sum, err := base64.RawURLEncoding.DecodeString(hash)
	switch {
	case !found:
		return malformedf("has no accounturi")
	case account == a.Account:
		return malformedf("has the account's URL itself in place of its hash, as earlier drafts wanted it")
	case !ours:
		return malformedf("has an accounturi that does not begin with %s", a.AccountHashes+acme.HashSHA256)
	case err != nil || len(sum) != sha256.Size:
		return malformedf("has an accounturi that does not end with a hash in base64url")
	}
	for _, key := range a.Thumbprints {
		if account == acme.HashedAccount(a.AccountHashes, a.Identifier.Value, key, a.Account) || account == acme.HashedAccount(a.AccountHashes, acme.AnyDomain, key, a.Account) {
			return nil
		}
	}
	return errors.New("is for another account, key or name")
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
