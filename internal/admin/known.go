package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// read understands the options of a selection, and refuses what there is not: who writes
// a name wrongly would take "0 certificates" for an answer.
func (f *selectionFlags) read(c *cobra.Command, t *tool, d *directory.Directory, sel store.Selection) (store.Selection, error) {
	read, err := f.selection(sel.Now)
	if err != nil {
		return sel, err
	}
	k := known{c.Context(), d.Store}
	issuers, err := t.issuers(k)
	if err != nil {
		return sel, err
	}
	for _, check := range []func() error{
		func() error { return k.issuers(read.Issuers, issuers) },
		func() error { return k.hosts(f.hosts) },
		func() error { return k.names(f.names) },
		func() error { return k.serials(read.Serials) },
		func() error { return k.accounts(read.Accounts) },
		func() error { return k.acmeIDs(read.ACMEIDs) },
	} {
		if err := check(); err != nil {
			return sel, err
		}
	}
	read.Any, read.History, read.Replaceable = sel.Any, sel.History, sel.Replaceable
	return read, nil
}

// known looks for what a selection names.
type known struct {
	ctx context.Context
	db  *store.Store
}

// issuers lists those that are configured and those that were.
func (t *tool) issuers(k known) ([]string, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	all, err := k.db.IssuersOnRecord(k.ctx)
	for i := range cfg.Issuers {
		all = append(all, cfg.Issuers[i].Name)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

func (k known) issuers(wanted, there []string) error {
	for _, name := range wanted {
		if !slices.Contains(there, name) {
			return fmt.Errorf("there is no issuer %s; there are %s", name, strings.Join(there, ", "))
		}
	}
	return nil
}

func (k known) hosts(wanted []string) error {
	for _, host := range wanted {
		id, err := identifier.ParseLocal(host)
		if err != nil {
			return err
		}
		if err := k.any(id.GoodFor(), "no host %s is on record, and no certificate is good for it; see: vidimusd admin host list, vidimusd admin certificate list", host); err != nil {
			return err
		}
	}
	return nil
}

func (k known) names(wanted []string) error {
	for _, v := range wanted {
		name, err := selectedName(v)
		if err != nil {
			return err
		}
		if err := k.any([]string{name}, "no certificate is for exactly %s; --host takes those with a wildcard in, --subtree those for names below; see: vidimusd admin certificate list", v); err != nil {
			return err
		}
	}
	return nil
}

// any wants one of the names to be on record.
func (k known) any(names []string, otherwise, wanted string) error {
	for _, n := range names {
		if is, err := k.db.NameOnRecord(k.ctx, n); err != nil || is {
			return err
		}
	}
	return fmt.Errorf(otherwise, wanted)
}

func (k known) serials(wanted []string) error {
	for _, s := range wanted {
		if _, err := k.db.CertificateStatus(k.ctx, s); err != nil {
			return notThere(err, "there is no certificate %s on record; see: vidimusd admin certificate list", s)
		}
	}
	return nil
}

func (k known) accounts(wanted []int64) error {
	for _, id := range wanted {
		if _, err := k.db.Account(k.ctx, id); err != nil {
			return notThere(err, "there is no account %d; see: vidimusd admin account list", id)
		}
	}
	return nil
}

func (k known) acmeIDs(wanted []string) error {
	for _, fqdn := range wanted {
		if _, err := k.db.ACMEID(k.ctx, fqdn); err != nil {
			return notThere(err, "there is and was no ACME-ID %s; see: vidimusd admin acme-id list", fqdn)
		}
	}
	return nil
}
