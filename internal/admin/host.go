package admin

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func hosts(t *tool) *cobra.Command {
	var logins, groups []string
	add := &cobra.Command{
		Use: "add FQDN", Short: "Enter a host, and who is responsible for it", Args: exactly(1, "the host's FQDN"),
		Long: "Enter a host, and who is responsible for it: the CA team when nobody is named.",
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			fqdn, err := d.AddHost(c.Context(), args[0], append(directory.People(logins), directory.Groups(groups)...))
			if err != nil {
				return err
			}
			h, err := d.Store.Host(c.Context(), fqdn)
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), h, "Added host %s.", fqdn)
		}),
	}
	add.Flags().StringSliceVar(&logins, "person", nil, "`LOGIN` of a person responsible for it; can be repeated")
	add.Flags().StringSliceVar(&groups, "group", nil, "`NAME` of a group responsible for it; can be repeated")
	list := &cobra.Command{
		Use: "list", Short: "List all hosts", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			row := func(h *store.Host) []string { return []string{h.FQDN, answerable(*h), orNone(h.ACMEIDs)} }
			return listAll(t, c.OutOrStdout(), "HOST\tRESPONSIBLE\tACME-IDS", row, func(each func(*store.Host) error) error {
				return d.Store.EachHost(c.Context(), func(h store.Host) error { return each(&h) })
			})
		}),
	}
	show := &cobra.Command{
		Use: "show FQDN", Short: "Show a host", Args: exactly(1, "the host's FQDN"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			fqdn, err := canonical(args[0])
			if err != nil {
				return err
			}
			h, err := d.Store.Host(c.Context(), fqdn)
			if err != nil {
				return notThere(err, "there is no host %s", fqdn)
			}
			return t.show(c.OutOrStdout(), h, [2]string{"Host", h.FQDN}, [2]string{"Responsible", answerable(h)},
				[2]string{"ACME-IDs", orNone(h.ACMEIDs)}, [2]string{"Since", day(h.Created)})
		}),
	}
	remove := &cobra.Command{
		Use: "remove FQDN", Short: "Remove a host; the ACME-ID named for it stops working", Args: exactly(1, "the host's FQDN"),
		Long: `Remove a host. Its name leaves all ACME-IDs, and the ACME-ID that is named for it stops
working, with its account, for ever. Certificates stay good until they end, unless they
are revoked: vidimusd admin certificate revoke --host FQDN`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.RemoveHost(c.Context(), args[0]); err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]string{"removed": args[0]}, "Removed host %s.", args[0])
		}),
	}
	return group("host", "Manage the hosts", add, list, show, responsible(t), remove)
}

// answerable says who is responsible for a host.
func answerable(h store.Host) string {
	all := h.People
	for _, g := range h.Groups {
		all = append(all, "group "+g)
	}
	switch {
	case len(all) > 0:
		return strings.Join(all, ", ")
	case h.Team:
		return "the CA team"
	}
	return "nobody"
}

func responsible(t *tool) *cobra.Command {
	var added, removed, addedGroups, removedGroups []string
	var team bool
	c := &cobra.Command{
		Use: "people FQDN --add LOGIN --remove LOGIN", Short: "Change who is responsible for a host", Args: exactly(1, "the host's FQDN"),
		Long: `Change who is responsible for a host: people, and groups of people. When the last one is
removed nobody is, and no ACME-ID gets certificates for it until somebody is again, or,
with --ca-team, the CA team.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if len(added)+len(removed)+len(addedGroups)+len(removedGroups) == 0 && !team {
				return usageError{errors.New("say what is to change, by --add or --remove; who there is now is shown by: vidimusd admin host show " + args[0])}
			}
			h, err := d.ChangeParties(c.Context(), args[0], append(directory.People(added), directory.Groups(addedGroups)...),
				append(directory.People(removed), directory.Groups(removedGroups)...), team)
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), h, "Responsible for %s: %s", h.FQDN, answerable(h))
		}),
	}
	c.Flags().StringSliceVar(&added, "add", nil, "`LOGIN` of a person to add; can be repeated")
	c.Flags().StringSliceVar(&removed, "remove", nil, "`LOGIN` of a person to take out; can be repeated")
	c.Flags().StringSliceVar(&addedGroups, "add-group", nil, "`NAME` of a group to add; can be repeated")
	c.Flags().StringSliceVar(&removedGroups, "remove-group", nil, "`NAME` of a group to take out; can be repeated")
	c.Flags().BoolVar(&team, "ca-team", false, "the CA team is responsible from now on, and nobody else")
	return c
}

func people(t *tool) *cobra.Command {
	var p store.Person
	add := &cobra.Command{
		Use: "add LOGIN", Short: "Enter a person", Args: exactly(1, "the person's login"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			p.Login, p.Created = args[0], time.Now()
			if p.Login == "" {
				return usageError{errors.New("the login is empty")}
			}
			if p.Email != "" {
				if a, err := mail.ParseAddress(p.Email); err != nil || a.Address != p.Email {
					return fmt.Errorf("%q is not an e-mail address", p.Email)
				}
			}
			if err := d.Store.AddPerson(c.Context(), p); errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("person %s exists already", p.Login)
			} else if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), p, "Added person %s.", p.Login)
		}),
	}
	add.Flags().StringVar(&p.Name, "name", "", "the person's `NAME`")
	add.Flags().StringVar(&p.Email, "email", "", "the person's e-mail `ADDRESS`")
	list := &cobra.Command{
		Use: "list", Short: "List all people", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			row := func(p *store.Person) []string { return []string{p.Login, p.Name, p.Email, fmt.Sprint(len(p.Hosts))} }
			return listAll(t, c.OutOrStdout(), "LOGIN\tNAME\tE-MAIL\tHOSTS", row, func(each func(*store.Person) error) error {
				return d.Store.EachPerson(c.Context(), func(p store.Person) error { return each(&p) })
			})
		}),
	}
	show := &cobra.Command{
		Use: "show LOGIN", Short: "Show a person", Args: exactly(1, "the person's login"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			p, err := d.Store.Person(c.Context(), args[0])
			if err != nil {
				return notThere(err, "there is no person %s", args[0])
			}
			return t.show(c.OutOrStdout(), p, [2]string{"Login", p.Login}, [2]string{"Name", p.Name}, [2]string{"E-mail", p.Email},
				[2]string{"Hosts", orNone(p.Hosts)}, [2]string{"Since", day(p.Created)})
		}),
	}
	remove := &cobra.Command{
		Use: "remove LOGIN", Short: "Remove a person, who is then responsible for nothing", Args: exactly(1, "the person's login"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.ByHand(c.Context(), store.Party{Name: args[0]}); err != nil {
				return err
			}
			if err := d.Store.RemovePerson(c.Context(), args[0]); err != nil {
				return notThere(err, "there is no person %s", args[0])
			}
			return t.done(c.OutOrStdout(), map[string]string{"removed": args[0]}, "Removed person %s.", args[0])
		}),
	}
	return group("person", "Manage the people who are responsible for hosts", add, list, show, role(t), setPassword(t), resetCodes(t), sessions(t), remove)
}
