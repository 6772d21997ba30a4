// Package directory holds the host database and the ACME-IDs, and is the one place
// that decides who may have which names, and who may change what. Every door asks it:
// newOrder and finalize of the ACME front end, the portal's pages, the commands of the CA
// team.
//
// Responsible for a host are people, each by themselves or as members of a group; for a
// host that was entered without anybody, the CA team. A host that has lost all who were
// responsible is nobody's, until somebody is made responsible again. Hosts that a source
// tells of (package hostsource) are as it says, and changed there; one for which it names
// nobody is nobody's, unless its configuration gives it to the CA team (unassigned).
//
// The rules for names:
//
//	who asks                     for                                      answer
//	any account                  a suspended name, or one below a         refused
//	                             suspended subtree; a wildcard that
//	                             covers one
//	account, suspended, or       anything                                 refused, and every other
//	its ACME-ID is                                                        request too
//	open account (not bound)     anything else                            after a challenge
//	bound, ACME-ID invalid       anything                                 refused, and every other
//	                                                                      request too
//	bound, no editor left        anything                                 refused
//	bound                        a name in the ACME-ID's set, for whose   granted without challenge
//	                             host an editor is responsible
//	bound                        a wildcard, when moreover it is below    granted without challenge
//	                             a subtree with wildcards
//	bound                        anything else                            refused
//	person, without ACME         a host they are responsible for; a       granted
//	                             wildcard as above
//	operator, without ACME       any host; a wildcard as above            granted
//	auditor                      anything                                 refused
//
// Editors of an ACME-ID are the people responsible for the host whose FQDN it bears: those
// who are at this moment, whoever made it. Where that is the CA team, or the name's host
// is the CA team's, the CA team answers for the name.
//
// The rules for changes:
//
//	who                          may
//	editor                       give it names they are responsible for, take out any, have new
//	                             credentials made, remove it
//	responsible for a host       make an ACME-ID that bears its FQDN
//	operator                     all that for all; names that nobody could answer for are refused
//	administrator                as an operator, and give roles
//	auditor                      look at all, change nothing
//	responsible for a name of    look at it
//	a certificate
//	responsible for every name   revoke it; as compromised, which blocks its key, only who asked
//	of a certificate             for it, or an editor of the ACME-ID that it was issued to
//	anybody else                 nothing, and is told that it does not exist
//
// An ACME-ID bears the FQDN of one host; an FQDN names at most one valid ACME-ID. It
// is invalid for ever once that host is removed or the ACME-ID itself is. Its set
// holds hosts only: a host that is removed leaves every set. EAB credentials are good
// for one registration; after it the HMAC key is erased. New credentials make the old
// ones worthless at once; the account bound before works until another one has
// registered with them, stops at once, or stays beside it, as whoever asks for them says.
package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// Directory decides by what is in the store.
type Directory struct {
	Store *store.Store
	Now   func() time.Time // nil means time.Now
}

func (d *Directory) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

// Usable tells why an account can't be used at all; "" means that it can.
func Usable(a store.Account) string {
	switch {
	case a.Suspended != "":
		return "the CA team has suspended this account or its ACME-ID: " + a.Suspended
	case !a.Bound:
		return ""
	case a.ACMEID == 0:
		return "the ACME-ID that this account was bound to no longer exists"
	case !a.ACMEIDInvalid.IsZero():
		return ended(a.ACMEIDFQDN, a.ACMEIDInvalid, a.ACMEIDWhy)
	}
	return ""
}

// ended says why an ACME-ID allows nothing any more.
func ended(fqdn string, since time.Time, why string) string {
	if why == "" {
		why = "it or its host was removed"
	}
	return fmt.Sprintf("the ACME-ID %s that this account is bound to has been invalid since %s, because %s; "+
		"get credentials of another ACME-ID and register again", fqdn, since.Format(time.RFC3339), why)
}

// Decision is the answer to "may these names be had?".
type Decision struct {
	Refused       []Refusal // why not, by name; if there is one, the whole is refused
	Preauthorised bool      // all names are granted without a challenge
}

// Refusal says why a name is refused, to who asked for it.
type Refusal struct {
	Identifier  identifier.Identifier
	Unsupported bool // the server certifies nothing of this kind
	Reason      string
}

// MayHave decides whether the account, which must be [Usable], may have ids, at least
// one. It costs one query for a bound account, none for others, and one to three more
// while anything is suspended.
func (d *Directory) MayHave(ctx context.Context, a store.Account, ids []identifier.Identifier) (Decision, error) {
	stopped, err := d.stopped(ctx, a.AnySuspended, ids)
	if err != nil {
		return Decision{}, err
	}
	dec := Decision{Preauthorised: a.Bound}
	judge := func(identifier.Identifier) string { return "" }
	if a.Bound {
		if judge, err = d.judge(ctx, a.ACMEID, ids); err != nil {
			return Decision{}, fmt.Errorf("reading ACME-ID %s: %w", a.ACMEIDFQDN, err)
		}
	}
	for _, id := range ids {
		switch why := stopped(id); {
		case why != "":
			dec.Refused = append(dec.Refused, Refusal{id, false, why})
		case a.Bound && id.Type != identifier.DNS:
			dec.Refused = append(dec.Refused, Refusal{id, true, addressRefused(id)})
		default:
			if why := judge(id); why != "" {
				dec.Refused = append(dec.Refused, Refusal{id, false, why})
			}
		}
	}
	return dec, nil
}

func addressRefused(id identifier.Identifier) string {
	return fmt.Sprintf("%s is an IP address, and the host database has names only; "+
		"an address can be certified where control of it is proved, in an open directory", id)
}

// judge reads what is on record about an ACME-ID and names, and returns the rule by which
// the ACME-ID may have one of them: why not, or "".
func (d *Directory) judge(ctx context.Context, acmeID int64, ids []identifier.Identifier) (func(identifier.Identifier) string, error) {
	c, err := d.Store.Coverage(ctx, acmeID, identifier.Values(ids))
	if err != nil {
		return nil, err
	}
	wildcards, err := d.wildcards(ctx, ids)
	if err != nil {
		return nil, err
	}
	return func(id identifier.Identifier) string {
		n, in := c.Names[id.Value]
		switch {
		case !c.Invalid.IsZero():
			return ended(c.FQDN, c.Invalid, c.InvalidWhy)
		case !c.Team && !c.Edited:
			return fmt.Sprintf("nobody is responsible any more for host %s, whose ACME-ID this is: have somebody made responsible for it", c.FQDN)
		case !in:
			return fmt.Sprintf("%s is not among the names of ACME-ID %s: have it added there, or order without it", id, c.FQDN)
		case !c.Team && !n.Team && !n.Shared:
			return fmt.Sprintf("nobody who is responsible for ACME-ID %s is responsible for %s any more: have it certified by an ACME-ID of who is", c.FQDN, id.Base())
		case id.Wildcard() && !wildcards(id):
			return noWildcards(id)
		}
		return ""
	}, nil
}

// wildcards tells which of the wildcards among ids the operators allow.
func (d *Directory) wildcards(ctx context.Context, ids []identifier.Identifier) (func(identifier.Identifier) bool, error) {
	var above []string
	for _, id := range ids {
		if id.Wildcard() {
			above = append(above, andAbove(id.Base().Value)...)
		}
	}
	allowed, err := d.Store.WildcardsAmong(ctx, above)
	if err != nil {
		return nil, err
	}
	return func(id identifier.Identifier) bool {
		return slices.ContainsFunc(andAbove(id.Base().Value), func(fqdn string) bool { return slices.Contains(allowed, fqdn) })
	}, nil
}

func noWildcards(id identifier.Identifier) string {
	return fmt.Sprintf("the CA team allows no wildcards for %s: name each host, or ask them for the subtree", id.Base())
}

// andAbove lists a DNS name and all above it.
func andAbove(fqdn string) []string {
	all := []string{fqdn}
	for {
		_, rest, more := strings.Cut(fqdn, ".")
		if !more {
			return all
		}
		all, fqdn = append(all, rest), rest
	}
}

// Why credentials are not accepted. Callers write it to the log and tell the client
// the same for all.
var (
	ErrUnknownCredentials = errors.New("no ACME-ID has this key ID")
	ErrUsedCredentials    = errors.New("these credentials have been used")
	ErrInvalidACMEID      = errors.New("the ACME-ID of these credentials is invalid")
	ErrSuspendedACMEID    = errors.New("the ACME-ID of these credentials is suspended")
)

// Binding finds the ACME-ID that a key ID belongs to, with the HMAC key to check the
// binding by (RFC 8555 §7.3.4). The credentials are used up only by
// [store.Store.NewBoundAccount].
func (d *Directory) Binding(ctx context.Context, kid string) (store.ACMEID, error) {
	a, err := d.Store.ACMEIDByKID(ctx, kid)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return a, ErrUnknownCredentials
	case err != nil:
		return a, err
	case !a.Invalid.IsZero():
		return a, ErrInvalidACMEID
	case len(a.HMACKey) == 0:
		return a, ErrUsedCredentials
	}
	if s, err := d.Store.SuspendedAmong(ctx, store.SuspendedACMEID, []string{a.FQDN}); err != nil || len(s) > 0 {
		return a, errors.Join(err, ErrSuspendedACMEID)
	}
	return a, nil
}
