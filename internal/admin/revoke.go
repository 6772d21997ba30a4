package admin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/acme"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func revokeCommand(t *tool) *cobra.Command {
	var f selectionFlags
	var reason string
	var dryRun, yes bool
	c := &cobra.Command{
		Use:   "revoke SELECTION [--reason REASON]",
		Short: "Revoke all certificates of a selection",
		Long: `Revoke all certificates of a selection. Their number and some of them are shown first.
CRLs and OCSP say so within seconds; caches on the way may keep what they have for five
minutes. Clients that ask for renewal information (RFC 9773) renew at once.

With the reason keyCompromise, their keys are no longer taken for certificates nor
accounts. It is done in batches, each by itself: if it is interrupted, run it again.
` + selectionHelp,
		Example: `  vidimusd admin certificate revoke --host www.example.org --reason superseded
  vidimusd admin certificate revoke --key stolen.pem --reason keyCompromise
  vidimusd admin certificate revoke --acme-id lab.example.org --issued-after 2026-01-31 --dry-run`,
		Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			why, err := parseReason(reason)
			if err != nil {
				return err
			}
			sel, err := f.read(c, t, d, store.Selection{Now: time.Now()})
			if err != nil {
				return err
			}
			p, err := look(c.Context(), d.Store, sel)
			if err != nil {
				return err
			}
			if !t.json {
				p.print(c.OutOrStdout())
			}
			blocks := why == acme.KeyCompromise && len(sel.Keys) > 0 // also when no certificate has the key any more
			switch {
			case dryRun, p.Count == 0 && !blocks:
				return t.revoked(c, p, 0, why, dryRun)
			case !yes:
				if err := confirm(c.InOrStdin(), c.ErrOrStderr(), fmt.Sprintf("Revoke %s, reason %s?", counted(p.Count), acme.Reasons[why])); err != nil {
					return err
				}
			}
			n, err := revokeAll(c.Context(), d.Store, sel, why)
			if err != nil {
				return fmt.Errorf("%d of %d certificates are revoked; run the command again for the others: %w", n, p.Count, err)
			}
			return t.revoked(c, p, n, why, false)
		}),
	}
	f.add(c, t)
	c.Flags().StringVar(&reason, "reason", "unspecified", "`REASON` as RFC 5280 has it: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be revoked")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	_ = c.RegisterFlagCompletionFunc("reason", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return reasonNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func reasonNames() []string {
	var names []string
	for r := acme.RevocationReason(0); r < 11; r++ {
		if name, ok := acme.Reasons[r]; ok {
			names = append(names, name)
		}
	}
	return names
}

// parseReason reads a reason by its name or number.
func parseReason(s string) (acme.RevocationReason, error) {
	for r, name := range acme.Reasons {
		if strings.EqualFold(s, name) || s == strconv.Itoa(int(r)) {
			return r, nil
		}
	}
	return 0, usageError{fmt.Errorf("%q is no reason; use one of %s", s, strings.Join(reasonNames(), ", "))}
}

// revokeAll revokes a selection, and counts. Keys that are compromised are blocked
// first, so that no certificate comes meanwhile.
func revokeAll(ctx context.Context, db *store.Store, sel store.Selection, why acme.RevocationReason) (n int, err error) {
	if why == acme.KeyCompromise {
		for _, key := range sel.Keys {
			if err := db.BlockKey(ctx, key, time.Now()); err != nil {
				return 0, err
			}
		}
	}
	err = each(ctx, db, sel, func(serials []string) error {
		done, err := db.RevokeAll(ctx, serials, why, time.Now())
		n += done
		return err
	})
	return n, err
}

func (t *tool) revoked(c *cobra.Command, p preview, n int, why acme.RevocationReason, dryRun bool) error {
	value := struct {
		preview
		Reason  string `json:"reason"`
		Revoked int    `json:"revoked"`
		DryRun  bool   `json:"dry_run"`
	}{p, acme.Reasons[why], n, dryRun}
	if dryRun {
		return t.done(c.OutOrStdout(), value, "Nothing was revoked: this was a dry run.")
	}
	return t.done(c.OutOrStdout(), value, "Revoked %s.", counted(int64(n)))
}
