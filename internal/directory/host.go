package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// AddHost enters a host and who is responsible for it: the CA team when nobody is named.
func (d *Directory) AddHost(ctx context.Context, fqdn string, parties []store.Party) (string, error) {
	fqdn, err := hostName(fqdn)
	if err != nil {
		return "", err
	}
	if err := d.known(ctx, parties); err != nil {
		return "", err
	}
	err = d.Store.AddHost(ctx, fqdn, parties, d.now())
	if errors.Is(err, store.ErrConflict) {
		return "", fmt.Errorf("host %s exists already", fqdn)
	}
	return fqdn, err
}

// People are the parties of these logins.
func People(logins []string) []store.Party { return parties(false, logins) }

// Groups are the parties of these groups.
func Groups(names []string) []store.Party { return parties(true, names) }

func parties(group bool, names []string) []store.Party {
	all := make([]store.Party, len(names))
	for i, n := range names {
		all[i] = store.Party{Group: group, Name: n}
	}
	return all
}

// known tells whether all these people and groups are.
func (d *Directory) known(ctx context.Context, parties []store.Party) (err error) {
	for _, p := range parties {
		kind := "person"
		if p.Group {
			kind = "group"
			_, err = d.Store.Group(ctx, p.Name)
		} else {
			_, err = d.Store.PersonAlone(ctx, p.Name)
		}
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no %s %q; add them first: vidimusd admin %[1]s add %s", kind, p.Name, p.Name)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// ChangeParties changes who is responsible for a host. With team the CA team is, and
// everybody else must be removed.
func (d *Directory) ChangeParties(ctx context.Context, fqdn string, add, remove []store.Party, team bool) (store.Host, error) {
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
	if h.Source != "" {
		return h, elsewhere("host", fqdn, h.Source)
	}
	for _, p := range remove {
		if of := h.People; !slices.Contains(of, p.Name) && !p.Group || p.Group && !slices.Contains(h.Groups, p.Name) {
			return h, fmt.Errorf("%s is not responsible for host %s", p.Name, fqdn)
		}
	}
	if err := d.known(ctx, add); err != nil {
		return h, err
	}
	err = d.Store.ChangeParties(ctx, fqdn, add, remove, team)
	if errors.Is(err, store.ErrConflict) {
		return h, fmt.Errorf("the CA team can be made responsible for %s when nobody else is; remove the others in the same command", fqdn)
	} else if err != nil {
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
	if h, err := d.Store.HostAlone(ctx, fqdn); err == nil && h.Source != "" {
		return elsewhere("host", fqdn, h.Source)
	}
	err = d.Store.RemoveHost(ctx, fqdn, d.now())
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no host %s", fqdn)
	}
	return err
}

// ByHand tells whether a person or group may be changed here: whether they don't come from
// a source. One that is not there may be.
func (d *Directory) ByHand(ctx context.Context, p store.Party) error {
	if p.Group {
		if g, err := d.Store.Group(ctx, p.Name); err == nil && g.Source != "" {
			return elsewhere("group", p.Name, g.Source)
		}
		return nil
	}
	if x, err := d.Store.PersonAlone(ctx, p.Name); err == nil && x.Source != "" {
		return elsewhere("person", p.Name, x.Source)
	}
	return nil
}

// elsewhere says where something is to be changed.
func elsewhere(kind, name, source string) error {
	return fmt.Errorf("%s %s comes from the source %s: change it there, and have it read: vidimusd admin source sync %[3]s", kind, name, source)
}
