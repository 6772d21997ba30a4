// Package directory holds the host database and the ACME-IDs, and is the one place
// that decides which account may have which names. Every door asks it: newOrder and
// finalize of the ACME front end, and the commands of the CA team.
//
// The rules:
//
//	account                      name asked for                     answer
//	bound, its ACME-ID invalid   any                                refused, and so is the account
//	bound, its ACME-ID valid     in the ACME-ID's set, and a host   granted without challenge
//	bound, its ACME-ID valid     anything else                      refused
//	open (not bound)             anything                           after a challenge
//
// An ACME-ID bears the FQDN of one host; an FQDN names at most one valid ACME-ID. It
// is invalid for ever once that host is removed or the ACME-ID itself is. Its set
// holds hosts only: a host that is removed leaves every set. EAB credentials are good
// for one registration; after it the HMAC key is erased. New credentials make the old
// ones worthless at once; the account bound before works until another one has
// registered with them, or stops at once when the operator says so.
package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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
	case !a.Bound:
		return ""
	case a.ACMEID == 0:
		return "the ACME-ID that this account was bound to no longer exists"
	case !a.ACMEIDInvalid.IsZero():
		return ended(a.ACMEIDFQDN, a.ACMEIDInvalid)
	}
	return ""
}

// ended says why an ACME-ID allows nothing any more.
func ended(fqdn string, since time.Time) string {
	return fmt.Sprintf("the ACME-ID %s that this account is bound to has been invalid since %s, because it or its host was removed; "+
		"get credentials of another ACME-ID and register again", fqdn, since.Format(time.RFC3339))
}

// Decision is the answer to "may this account have these names?".
type Decision struct {
	Refused       []Refusal // why not, by name; if there is one, the whole is refused
	Preauthorised bool      // all names are granted without a challenge
}

// Refusal says why a name is refused, to the client.
type Refusal struct {
	Identifier  identifier.Identifier
	Unsupported bool // the server certifies nothing of this kind
	Reason      string
}

// MayHave decides whether the account, which must be [Usable], may have ids.
func (d *Directory) MayHave(ctx context.Context, a store.Account, ids []identifier.Identifier) (Decision, error) {
	var dec Decision
	if !a.Bound {
		return dec, nil
	}
	dec.Preauthorised = true
	aid, err := d.Store.ACMEIDByID(ctx, a.ACMEID)
	if err != nil {
		return Decision{}, fmt.Errorf("reading ACME-ID %s: %w", a.ACMEIDFQDN, err)
	}
	for _, id := range ids {
		switch {
		case id.Type != identifier.DNS:
			dec.Refused = append(dec.Refused, Refusal{id, true, fmt.Sprintf("%s is an IP address, and the host database has names only; "+
				"an address can be certified where control of it is proved, in an open directory", id)})
		case !aid.Invalid.IsZero():
			dec.Refused = append(dec.Refused, Refusal{id, false, ended(aid.FQDN, aid.Invalid)})
		case !slices.Contains(aid.Names, id.Value):
			dec.Refused = append(dec.Refused, Refusal{id, false, fmt.Sprintf("%s is not among the names of ACME-ID %s: have it added there, or order without it", id, aid.FQDN)})
		}
	}
	return dec, nil
}

// AddHost enters a host and the people responsible for it, by login.
func (d *Directory) AddHost(ctx context.Context, fqdn string, logins []string) (string, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return "", err
	}
	if err := d.people(ctx, logins); err != nil {
		return "", err
	}
	err = d.Store.AddHost(ctx, fqdn, logins, d.now())
	if errors.Is(err, store.ErrConflict) {
		return "", fmt.Errorf("host %s exists already", fqdn)
	}
	return fqdn, err
}

// people tells whether all these logins are known.
func (d *Directory) people(ctx context.Context, logins []string) error {
	for _, login := range logins {
		if _, err := d.Store.Person(ctx, login); errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no person %q; add them first: vidimusd admin person add %s", login, login)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// ChangePeople changes who is responsible for a host, by login.
func (d *Directory) ChangePeople(ctx context.Context, fqdn string, add, remove []string) (store.Host, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return store.Host{}, err
	}
	h, err := d.Store.Host(ctx, fqdn)
	if errors.Is(err, store.ErrNotFound) {
		return h, fmt.Errorf("there is no host %s", fqdn)
	} else if err != nil {
		return h, err
	}
	for _, login := range remove {
		if !slices.Contains(h.People, login) {
			return h, fmt.Errorf("%s is not responsible for host %s", login, fqdn)
		}
	}
	if err := d.people(ctx, add); err != nil {
		return h, err
	}
	if err := d.Store.ChangePeople(ctx, fqdn, add, remove); err != nil {
		return h, err
	}
	return d.Store.Host(ctx, fqdn)
}

// hostName reads the name of one host: a DNS name that is not a wildcard.
func hostName(s string) (string, error) {
	id, err := identifier.ParseDNS(s)
	if err != nil {
		return "", err
	}
	if id.Wildcard() {
		return "", fmt.Errorf("%q is a wildcard; a host has one name of its own", s)
	}
	return id.Value, nil
}

// RemoveHost takes a host out of the host database, with all that follows from it.
func (d *Directory) RemoveHost(ctx context.Context, fqdn string) error {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return err
	}
	err = d.Store.RemoveHost(ctx, fqdn, d.now())
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no host %s", fqdn)
	}
	return err
}

// AddACMEID makes an ACME-ID for the host fqdn that may manage names, or fqdn alone
// when there are none, and returns its credentials: the only time they are shown.
func (d *Directory) AddACMEID(ctx context.Context, fqdn string, names []string) (store.ACMEID, store.Credentials, error) {
	fail := func(err error) (store.ACMEID, store.Credentials, error) {
		return store.ACMEID{}, store.Credentials{}, err
	}
	if len(names) == 0 {
		names = []string{fqdn}
	}
	hosts, err := d.hosts(ctx, append([]string{fqdn}, names...))
	if err != nil {
		return fail(err)
	}
	c := newCredentials()
	err = d.Store.AddACMEID(ctx, hosts[0], hosts[1:], c, d.now())
	if errors.Is(err, store.ErrConflict) {
		return fail(fmt.Errorf("there is an ACME-ID %s already; for new credentials: vidimusd admin acme-id new-credentials %s", hosts[0], hosts[0]))
	}
	if err != nil {
		return fail(err)
	}
	a, err := d.Store.ACMEID(ctx, hosts[0])
	return a, c, err
}

// hosts reads names, each of which must be a host.
func (d *Directory) hosts(ctx context.Context, names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, n := range names {
		fqdn, err := hostName(n)
		if err != nil {
			return nil, err
		}
		if _, err := d.Store.Host(ctx, fqdn); errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("there is no host %s; add it first: vidimusd admin host add %s", fqdn, fqdn)
		} else if err != nil {
			return nil, err
		}
		out[i] = fqdn
	}
	return out, nil
}

// ChangeNames adds names to the set of a valid ACME-ID and removes others.
func (d *Directory) ChangeNames(ctx context.Context, fqdn string, add, remove []string) (store.ACMEID, error) {
	a, err := d.valid(ctx, fqdn)
	if err != nil {
		return a, err
	}
	if add, err = d.hosts(ctx, add); err != nil {
		return a, err
	}
	gone := make([]string, len(remove))
	for i, n := range remove {
		if gone[i], err = hostName(n); err != nil {
			return a, err
		}
		if !slices.Contains(a.Names, gone[i]) {
			return a, fmt.Errorf("%s is not among the names of ACME-ID %s", gone[i], a.FQDN)
		}
	}
	if err := d.Store.ChangeNames(ctx, a.ID, add, gone); err != nil {
		return a, err
	}
	return d.Store.ACMEID(ctx, a.FQDN)
}

// NewCredentials gives a valid ACME-ID new credentials. The account that is bound
// stops when another registers with them, or with stop at once.
func (d *Directory) NewCredentials(ctx context.Context, fqdn string, stop bool) (store.ACMEID, store.Credentials, error) {
	a, err := d.valid(ctx, fqdn)
	if err != nil {
		return a, store.Credentials{}, err
	}
	c := newCredentials()
	if err := d.Store.NewCredentials(ctx, a.ID, c, stop, d.now()); err != nil {
		return a, store.Credentials{}, err
	}
	a, err = d.Store.ACMEID(ctx, a.FQDN)
	return a, c, err
}

// RemoveACMEID makes an ACME-ID, and with it its account, invalid for ever.
func (d *Directory) RemoveACMEID(ctx context.Context, fqdn string) error {
	a, err := d.valid(ctx, fqdn)
	if err != nil {
		return err
	}
	return d.Store.RemoveACMEID(ctx, a.ID, d.now())
}

// valid finds the valid ACME-ID of a host.
func (d *Directory) valid(ctx context.Context, fqdn string) (store.ACMEID, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return store.ACMEID{}, err
	}
	a, err := d.Store.ACMEID(ctx, fqdn)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return a, fmt.Errorf("there is no ACME-ID %s", fqdn)
	case err != nil:
		return a, err
	case !a.Invalid.IsZero():
		return a, fmt.Errorf("the ACME-ID %s has been invalid since %s; make a new one: vidimusd admin acme-id add %s",
			fqdn, a.Invalid.Format(time.RFC3339), fqdn)
	}
	return a, nil
}

// newCredentials makes a key ID of 128 bits and an HMAC key of 256 bits. Neither
// begins with a hyphen in base64url: Certbot takes such an argument for an option.
func newCredentials() store.Credentials {
	return store.Credentials{KID: base64.RawURLEncoding.EncodeToString(noHyphen(16)), HMACKey: noHyphen(32)}
}

func noHyphen(n int) []byte {
	b := make([]byte, n)
	for {
		rand.Read(b)
		if b[0]>>2 != 62 { // the six bits that base64url writes as "-"
			return b
		}
	}
}

// Why credentials are not accepted. Callers write it to the log and tell the client
// the same for all.
var (
	ErrUnknownCredentials = errors.New("no ACME-ID has this key ID")
	ErrUsedCredentials    = errors.New("these credentials have been used")
	ErrInvalidACMEID      = errors.New("the ACME-ID of these credentials is invalid")
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
	return a, nil
}
