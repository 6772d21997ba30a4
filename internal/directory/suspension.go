package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// stopped reads what is suspended, unless nothing is, and returns the rule that tells why
// an identifier can't be had by anybody; "" means that it can.
func (d *Directory) stopped(ctx context.Context, any bool, ids []identifier.Identifier) (func(identifier.Identifier) string, error) {
	if !any {
		return func(identifier.Identifier) string { return "" }, nil
	}
	var all []store.Suspension
	var names, above []string
	for _, id := range ids {
		names = append(names, id.Value)
		if id.Type == identifier.DNS {
			above = append(above, andAbove(id.Base().Value)...)
		}
	}
	read := func(s []store.Suspension, err error) error {
		all = append(all, s...)
		return err
	}
	var err error
	if slices.ContainsFunc(ids, identifier.Identifier.Wildcard) { // which covers names that aren't listed
		err = read(d.Store.Suspensions(ctx, store.SuspendedName, store.SuspendedSubtree))
	} else {
		err = errors.Join(read(d.Store.SuspendedAmong(ctx, store.SuspendedName, names)),
			read(d.Store.SuspendedAmong(ctx, store.SuspendedSubtree, above)))
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is suspended: %w", err)
	}
	return func(id identifier.Identifier) string {
		for _, s := range all {
			if stops(s, id) {
				return fmt.Sprintf("the CA team has suspended %s: %s", s.Object, s.Reason)
			}
		}
		return ""
	}, nil
}

// stops tells whether a suspension is about an identifier, or about a name that it, a
// wildcard, covers.
func stops(s store.Suspension, id identifier.Identifier) bool {
	if s.Kind == store.SuspendedName && s.Object == id.Value {
		return true
	}
	if id.Type != identifier.DNS {
		return false
	}
	if s.Kind == store.SuspendedSubtree && slices.Contains(andAbove(id.Base().Value), s.Object) {
		return true
	}
	_, parent, _ := strings.Cut(s.Object, ".")
	return id.Wildcard() && parent == id.Base().Value
}

// Suspend stops something, with a reason that clients and people are told.
func (d *Directory) Suspend(ctx context.Context, kind store.SuspensionKind, object, reason string) (store.Suspension, error) {
	fail := func(err error) (store.Suspension, error) { return store.Suspension{}, err }
	object, err := suspendable(kind, object)
	if err != nil {
		return fail(err)
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > 500 {
		return fail(errors.New("give a reason of at most 500 characters: clients and the people responsible are told"))
	}
	switch kind {
	case store.SuspendedAccount:
		number, _ := strconv.ParseInt(object, 10, 64)
		_, err = d.Store.Account(ctx, number)
	case store.SuspendedACMEID:
		_, err = d.Store.ACMEID(ctx, object)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fail(fmt.Errorf("there is no %s %s", kindWord(kind), object))
	} else if err != nil {
		return fail(err)
	}
	s := store.Suspension{Kind: kind, Object: object, Reason: reason, Since: d.now()}
	err = d.Store.Suspend(ctx, s)
	if errors.Is(err, store.ErrConflict) {
		return fail(fmt.Errorf("%s %s is suspended already", kindWord(kind), object))
	}
	return s, err
}

// Resume ends a suspension.
func (d *Directory) Resume(ctx context.Context, kind store.SuspensionKind, object string) error {
	object, err := suspendable(kind, object)
	if err != nil {
		return err
	}
	if err = d.Store.Resume(ctx, kind, object); errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s %s is not suspended", kindWord(kind), object)
	}
	return err
}

func kindWord(k store.SuspensionKind) string {
	if k == store.SuspendedACMEID {
		return "ACME-ID"
	}
	return string(k)
}

// suspendable reads the object of a suspension in canonical form.
func suspendable(kind store.SuspensionKind, object string) (string, error) {
	switch kind {
	case store.SuspendedAccount:
		n, err := strconv.ParseInt(object, 10, 64)
		if err != nil || n <= 0 {
			return "", fmt.Errorf("%q is not the number of an account", object)
		}
		return strconv.FormatInt(n, 10), nil
	case store.SuspendedName:
		id, err := identifier.ParseLocal(object)
		return id.Value, err
	case store.SuspendedSubtree, store.SuspendedACMEID:
		id, err := identifier.ParseLocal(object)
		if err == nil && (id.Type != identifier.DNS || id.Wildcard()) {
			err = fmt.Errorf("%q is not a DNS name without wildcard", object)
		}
		return id.Value, err
	}
	return "", fmt.Errorf("there is nothing of kind %q to suspend; it is account, acme-id, name or subtree", kind)
}

// AllowWildcards lets wildcards be had for a DNS name and all below it.
func (d *Directory) AllowWildcards(ctx context.Context, fqdn string) (string, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return "", err
	}
	if err = d.Store.AllowWildcards(ctx, fqdn, d.now()); errors.Is(err, store.ErrConflict) {
		return "", fmt.Errorf("wildcards are allowed for %s already", fqdn)
	}
	return fqdn, err
}

// WithholdWildcards takes back that wildcards may be had for a DNS name and all below it.
func (d *Directory) WithholdWildcards(ctx context.Context, fqdn string) error {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return err
	}
	if err = d.Store.WithholdWildcards(ctx, fqdn); errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("wildcards are not allowed for %s itself; those that are: vidimusd admin wildcard list", fqdn)
	}
	return err
}

// Stopped tells of each of the identifiers why nobody can have it, as what is suspended is
// now; "" means that nothing stands in the way.
func (d *Directory) Stopped(ctx context.Context, ids []identifier.Identifier) (func(identifier.Identifier) string, error) {
	return d.stopped(ctx, len(ids) > 0, ids)
}
