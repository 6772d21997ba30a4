package admin

import (
	"github.com/spf13/cobra"

	"vidimus/internal/audit"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func suspensions(t *tool) *cobra.Command {
	var reason string
	kinds := exactly(2, "what is meant, account, acme-id, name or subtree, and which")
	add := &cobra.Command{
		Use: "add KIND WHAT --reason TEXT", Short: "Suspend an account, an ACME-ID, a name or a subtree", Args: kinds,
		Long: `Suspend an account (by its number), an ACME-ID (by its FQDN), a name, or a subtree (a DNS
name with all below it): nothing is issued for it until the suspension is removed. An
account that is suspended, or whose ACME-ID is, can do nothing else either. The reason is
told to clients and to the people responsible. Certificates stay good until they end,
unless they are revoked: vidimusd admin certificate revoke`,
		Example: `  vidimusd admin suspension add subtree lab.example.org --reason "Break-in, ticket 4711"`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			s, err := d.Suspend(c.Context(), store.SuspensionKind(args[0]), args[1], reason)
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), s, "Suspended %s %s.", s.Kind, s.Object)
		}),
	}
	add.Flags().StringVar(&reason, "reason", "", "the `TEXT` that clients and people are told; necessary")
	list := &cobra.Command{
		Use: "list", Short: "List what is suspended", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			all, err := d.Store.Suspensions(c.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, s := range all {
				rows[i] = []string{string(s.Kind), s.Object, day(s.Since), audit.Name(s.Actor), s.Reason}
			}
			return t.list(c.OutOrStdout(), all, "KIND\tWHAT\tSINCE\tBY\tREASON", rows)
		}),
	}
	remove := &cobra.Command{
		Use: "remove KIND WHAT", Short: "End a suspension", Args: kinds,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.Resume(c.Context(), store.SuspensionKind(args[0]), args[1]); err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]string{"kind": args[0], "resumed": args[1]}, "%s %s is no longer suspended.", args[0], args[1])
		}),
	}
	return group("suspension", "Stop accounts, ACME-IDs, names and subtrees for a while", add, list, remove)
}

func wildcards(t *tool) *cobra.Command {
	allow := &cobra.Command{
		Use: "allow FQDN", Short: "Let ACME-IDs have wildcards for a DNS name and all below it", Args: exactly(1, "a DNS name"),
		Long: `Let ACME-IDs have wildcards for a DNS name and all below it. Who wants *.www.example.org
must be responsible for the host www.example.org, and www.example.org or a name above it
must be allowed here.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			fqdn, err := d.AllowWildcards(c.Context(), args[0])
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]string{"allowed": fqdn}, "Wildcards are allowed for %s and below.", fqdn)
		}),
	}
	list := &cobra.Command{
		Use: "list", Short: "List where wildcards are allowed", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			all, err := d.Store.WildcardSubtrees(c.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, s := range all {
				rows[i] = []string{s}
			}
			return t.list(c.OutOrStdout(), all, "SUBTREE", rows)
		}),
	}
	withhold := &cobra.Command{
		Use: "withhold FQDN", Short: "Take that back; wildcards in the sets of ACME-IDs are refused from now on", Args: exactly(1, "a DNS name"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.WithholdWildcards(c.Context(), args[0]); err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]string{"withheld": args[0]}, "Wildcards are no longer allowed for %s and below.", args[0])
		}),
	}
	return group("wildcard", "Say where wildcards may be had", allow, list, withhold)
}
