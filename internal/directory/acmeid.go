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

// AddACMEID makes an ACME-ID for the host fqdn that may manage names, or fqdn alone
// when there are none, and returns its credentials: the only time they are shown. What is
// wrong with names is a [NamesError]; [ErrNotYours] says that fqdn is not e's.
func (d *Directory) AddACMEID(ctx context.Context, e Editor, fqdn string, names []string) (store.ACMEID, store.Credentials, error) {
	fail := func(err error) (store.ACMEID, store.Credentials, error) {
		return store.ACMEID{}, store.Credentials{}, err
	}
	fqdn, err := d.editable(ctx, e, fqdn)
	if err != nil {
		return fail(err)
	}
	if len(names) == 0 {
		names = []string{fqdn}
	}
	ids, err := d.addable(ctx, e, fqdn, names)
	if err != nil {
		return fail(err)
	}
	c := newCredentials()
	err = d.Store.AddACMEID(ctx, fqdn, identifier.Values(ids), c, d.now())
	switch {
	case errors.Is(err, store.ErrConflict):
		return fail(fmt.Errorf("there is an ACME-ID %s already; for new credentials: vidimusd admin acme-id new-credentials %s", fqdn, fqdn))
	case errors.Is(err, store.ErrNotFound):
		return fail(fmt.Errorf("there is no host %s; add it first: vidimusd admin host add %s", fqdn, fqdn))
	case err != nil:
		return fail(err)
	}
	a, err := d.Store.ACMEID(ctx, fqdn)
	return a, c, err
}

// editable reads the name of the host that an ACME-ID bears, which e must be allowed to
// edit.
func (d *Directory) editable(ctx context.Context, e Editor, fqdn string) (string, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return "", err
	}
	may, err := d.MayEdit(ctx, e, fqdn)
	if err == nil && !may {
		err = fmt.Errorf("%s: %w", fqdn, ErrNotYours)
	}
	return fqdn, err
}

// addable reads names that e wants in the set of the ACME-ID of the host fqdn: e must be
// responsible for each, or be an operator who gives it to an ACME-ID whose editors, or the
// CA team, can answer for it.
func (d *Directory) addable(ctx context.Context, e Editor, fqdn string, names []string) ([]identifier.Identifier, error) {
	var ids []identifier.Identifier
	var hosts []string
	var wrong NamesError
	for _, n := range names {
		id, err := identifier.ParseDNS(n)
		if err != nil {
			wrong = append(wrong, NameError{n, err})
			continue
		}
		ids, hosts = append(ids, id), append(hosts, id.Base().Value)
	}
	answers, err := d.answerable(ctx, e, fqdn, hosts)
	if err != nil {
		return nil, err
	}
	wildcards, err := d.wildcards(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if why := answers(hosts[i]); why != "" {
			wrong = append(wrong, NameError{id.Value, errors.New(why)})
		} else if id.Wildcard() && !wildcards(id) {
			wrong = append(wrong, NameError{id.Value, errors.New(noWildcards(id))})
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return identifier.Sorted(ids), nil
}

// answerable returns the rule that tells why e can't give a host to the ACME-ID of the
// host fqdn; "" means that e can.
func (d *Directory) answerable(ctx context.Context, e Editor, fqdn string, hosts []string) (func(string) string, error) {
	if !e.ChangesAll() {
		is, err := d.responsible(ctx, e, hosts)
		return func(host string) string {
			if is(host) {
				return ""
			}
			return fmt.Sprintf("you are not responsible for %s, or it is not in the host database", host)
		}, err
	}
	relations, err := d.Store.Relations(ctx, fqdn, hosts)
	if err != nil {
		return nil, err
	}
	return func(host string) string {
		r, there := relations[host]
		own := relations[fqdn]
		switch {
		case !there:
			return fmt.Sprintf("there is no host %s; add it first: vidimusd admin host add %s", host, host)
		case own.Team || r.Team || r.Shared:
			return ""
		case host == fqdn:
			return fmt.Sprintf("nobody is responsible for host %s: make somebody so first (vidimusd admin host people %[1]s --add LOGIN, or --ca-team)", fqdn)
		}
		return fmt.Sprintf("nobody is responsible for both %s and %s, so nobody could edit this ACME-ID and answer for %[2]s: "+
			"make somebody so first (vidimusd admin host people), or use an ACME-ID of who is responsible for it", fqdn, host)
	}, nil
}

// ChangeNames adds names to the set of a valid ACME-ID and removes others. A version that
// is not 0 is the one e looked at; when it has changed since, that is [ErrChanged].
func (d *Directory) ChangeNames(ctx context.Context, e Editor, fqdn string, version int64, add, remove []string) (store.ACMEID, error) {
	a, err := d.valid(ctx, e, fqdn)
	if err != nil {
		return a, err
	}
	if version != 0 && version != a.Version {
		return a, ErrChanged
	}
	var added []identifier.Identifier
	if len(add) > 0 {
		if added, err = d.addable(ctx, e, a.FQDN, add); err != nil {
			return a, err
		}
	}
	gone := make([]string, len(remove))
	for i, n := range remove {
		id, err := identifier.ParseDNS(n)
		if err != nil {
			return a, err
		}
		if gone[i] = id.Value; !slices.Contains(a.Names, id.Value) {
			return a, fmt.Errorf("%s is not among the names of ACME-ID %s", id, a.FQDN)
		}
	}
	switch err := d.Store.ChangeNames(ctx, a.ID, a.Version, identifier.Values(added), gone); {
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return a, ErrChanged
	case err != nil:
		return a, err
	}
	return d.Store.ACMEID(ctx, a.FQDN)
}

// NewCredentials gives a valid ACME-ID new credentials, and says what becomes of the
// accounts that are bound.
func (d *Directory) NewCredentials(ctx context.Context, e Editor, fqdn string, bound store.BoundAccounts) (store.ACMEID, store.Credentials, error) {
	a, err := d.valid(ctx, e, fqdn)
	if err != nil {
		return a, store.Credentials{}, err
	}
	c := newCredentials()
	if err := d.Store.NewCredentials(ctx, a.ID, c, bound, d.now()); err != nil {
		return a, store.Credentials{}, err
	}
	a, err = d.Store.ACMEID(ctx, a.FQDN)
	return a, c, err
}

// RemoveACMEID makes an ACME-ID, and with it its account, invalid for ever.
func (d *Directory) RemoveACMEID(ctx context.Context, e Editor, fqdn string) error {
	a, err := d.valid(ctx, e, fqdn)
	if err != nil {
		return err
	}
	return d.Store.RemoveACMEID(ctx, a.ID, d.now())
}

// valid finds the valid ACME-ID of a host, which e must be allowed to edit.
func (d *Directory) valid(ctx context.Context, e Editor, fqdn string) (store.ACMEID, error) {
	fqdn, err := d.editable(ctx, e, fqdn)
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
