package admin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func acmeIDs(t *tool) *cobra.Command {
	var names, added, removed []string
	var stop, keep bool
	add := &cobra.Command{
		Use:   "add FQDN",
		Short: "Make an ACME-ID that bears the FQDN of a host",
		Long: `Make an ACME-ID that bears the FQDN of a host and may manage a set of hosts, itself
when no other is named. Its EAB credentials (key ID and HMAC key) are printed now and
never again; they are good for one registration.`,
		Args: exactly(1, "the FQDN of a host"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			a, cred, err := d.AddACMEID(c.Context(), directory.Team, args[0], names)
			if err != nil {
				return err
			}
			return t.credentials(c.OutOrStdout(), a, cred)
		}),
	}
	add.Flags().StringSliceVar(&names, "name", nil, "a `NAME` that it may manage: of a host, or a wildcard; can be repeated")
	list := &cobra.Command{
		Use: "list", Short: "List all ACME-IDs", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			row := func(v *acmeIDView) []string { return []string{v.FQDN, v.State, orNone(v.Names)} }
			return listAll(t, c.OutOrStdout(), "ACME-ID\tSTATE\tNAMES", row, func(each func(*acmeIDView) error) error {
				return d.Store.EachACMEID(c.Context(), func(a store.ACMEID) error { return each(&acmeIDView{a, state(a)}) })
			})
		}),
	}
	show := &cobra.Command{
		Use: "show FQDN", Short: "Show an ACME-ID", Args: exactly(1, "the FQDN of an ACME-ID"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			fqdn, err := canonical(args[0])
			if err != nil {
				return err
			}
			a, err := d.Store.ACMEID(c.Context(), fqdn)
			if err != nil {
				return notThere(err, "there is no ACME-ID %s", fqdn)
			}
			return t.show(c.OutOrStdout(), acmeIDView{a, state(a)}, [2]string{"ACME-ID", a.FQDN}, [2]string{"State", state(a)},
				[2]string{"Names", orNone(a.Names)}, [2]string{"Last key ID", a.KID}, [2]string{"Since", day(a.Created)})
		}),
	}
	remove := &cobra.Command{
		Use: "remove FQDN", Short: "Make an ACME-ID and its account invalid", Args: exactly(1, "the FQDN of an ACME-ID"),
		Long: `Make an ACME-ID and its account invalid, for ever; another one may be made for the same
host. Certificates stay good until they end, unless they are revoked: vidimusd admin
certificate revoke --acme-id FQDN`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.RemoveACMEID(c.Context(), directory.Team, args[0]); err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]string{"removed": args[0]}, "Removed ACME-ID %s; its account no longer works.", args[0])
		}),
	}
	renew := &cobra.Command{
		Use:   "new-credentials FQDN",
		Short: "Give an ACME-ID new EAB credentials",
		Long: `Give an ACME-ID new EAB credentials. The account that is bound to it now works until
another one has registered with them.`,
		Args: exactly(1, "the FQDN of an ACME-ID"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			bound := store.ReplaceAccounts
			switch {
			case stop:
				bound = store.StopAccounts
			case keep:
				bound = store.KeepAccounts
			}
			a, cred, err := d.NewCredentials(c.Context(), directory.Team, args[0], bound)
			if err != nil {
				return err
			}
			return t.credentials(c.OutOrStdout(), a, cred)
		}),
	}
	renew.Flags().BoolVar(&stop, "stop-account", false, "stop the account that is bound now at once")
	renew.Flags().BoolVar(&keep, "keep-account", false, "the account that is bound now stays beside the new one")
	renew.MarkFlagsMutuallyExclusive("stop-account", "keep-account")
	set := &cobra.Command{
		Use: "names FQDN --add NAME --remove NAME", Short: "Change the set of names of an ACME-ID", Args: exactly(1, "the FQDN of an ACME-ID"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if len(added)+len(removed) == 0 {
				return usageError{errors.New("say what is to change, by --add or --remove; the names are shown by: vidimusd admin acme-id show " + args[0])}
			}
			a, err := d.ChangeNames(c.Context(), directory.Team, args[0], 0, added, removed)
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), acmeIDView{a, state(a)}, "ACME-ID %s may manage: %s", a.FQDN, orNone(a.Names))
		}),
	}
	set.Flags().StringSliceVar(&added, "add", nil, "a `NAME` to add; can be repeated")
	set.Flags().StringSliceVar(&removed, "remove", nil, "a `NAME` to take out; can be repeated")
	return group("acme-id", "Manage the ACME-IDs", add, list, show, set, renew, remove)
}

type acmeIDView struct {
	store.ACMEID
	State string `json:"state"`
}

func state(a store.ACMEID) string {
	switch {
	case !a.Invalid.IsZero():
		return "invalid since " + day(a.Invalid)
	case len(a.HMACKey) > 0 && len(a.Accounts) > 0:
		return "registered, new credentials waiting"
	case len(a.HMACKey) > 0:
		return "waiting for registration"
	case len(a.Accounts) > 0:
		return "registered"
	}
	return "without account; it needs new credentials"
}

// credentials prints new EAB credentials, once, with a command that uses them.
func (t *tool) credentials(w io.Writer, a store.ACMEID, c store.Credentials) error {
	cfg, err := t.config()
	if err != nil {
		return err
	}
	key := base64.RawURLEncoding.EncodeToString(c.HMACKey)
	dir := directoryURL(cfg)
	if t.json {
		return printJSON(w, struct {
			acmeIDView
			HMACKey   string `json:"hmac_key"`
			Directory string `json:"directory"`
		}{acmeIDView{a, state(a)}, key, dir})
	}
	_, err = fmt.Fprintf(w, `ACME-ID %s may manage: %s
Its EAB credentials are shown this once, and are good for one registration:
  key ID:   %s
  HMAC key: %s
On the host, with the HMAC key in FILE, which nobody else may read:
  vidimus register --server %s --agree-tos --email ADDRESS --eab-kid %[3]s --eab-hmac-key-file FILE
  vidimus certonly --server %[5]s --standalone -d %[6]s
`, a.FQDN, orNone(a.Names), c.KID, key, dir, strings.Join(a.Names, ","))
	return err
}

func directoryURL(c *config.Config) string {
	return c.URL + "/acme/" + c.Issuers[0].Name + "/directory"
}
