package admin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func groups(t *tool) *cobra.Command {
	var g store.Group
	var added, removed []string
	noPerson := func(err error, logins []string) error {
		return notThere(err, "there is no group of that name, or not all of these are people: %s", strings.Join(logins, ", "))
	}
	add := &cobra.Command{
		Use: "add NAME", Short: "Make a group of people who are responsible together", Args: exactly(1, "the group's name"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if g.Name = args[0]; g.Name == "" {
				return usageError{errors.New("the name is empty")}
			}
			if err := d.Store.AddGroup(c.Context(), g); errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("group %s exists already", g.Name)
			} else if err != nil {
				return noPerson(err, g.Members)
			}
			return t.done(c.OutOrStdout(), g, "Added group %s.", g.Name)
		}),
	}
	add.Flags().StringVar(&g.Title, "title", "", "the group's `TITLE`, for people to read")
	add.Flags().StringSliceVar(&g.Members, "member", nil, "`LOGIN` of a member; can be repeated")
	list := &cobra.Command{
		Use: "list", Short: "List all groups", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			all, err := d.Store.Groups(c.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, g := range all {
				rows[i] = []string{g.Name, g.Title, g.Source}
			}
			return t.list(c.OutOrStdout(), all, "GROUP\tTITLE\tSOURCE", rows)
		}),
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show a group", Args: exactly(1, "the group's name"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			g, err := d.Store.Group(c.Context(), args[0])
			if err != nil {
				return notThere(err, "there is no group %s", args[0])
			}
			return t.show(c.OutOrStdout(), g, [2]string{"Group", g.Name}, [2]string{"Title", g.Title}, [2]string{"Members", orNone(g.Members)})
		}),
	}
	members := &cobra.Command{
		Use: "members NAME --add LOGIN --remove LOGIN", Short: "Change who is in a group", Args: exactly(1, "the group's name"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if len(added)+len(removed) == 0 {
				return usageError{errors.New("say what is to change, by --add or --remove; who there is now is shown by: vidimusd admin group show " + args[0])}
			}
			if err := d.ByHand(c.Context(), store.Party{Group: true, Name: args[0]}); err != nil {
				return err
			}
			if err := d.Store.ChangeMembers(c.Context(), args[0], added, removed); err != nil {
				return noPerson(err, append(added, removed...))
			}
			g, err := d.Store.Group(c.Context(), args[0])
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), g, "In group %s: %s", g.Name, orNone(g.Members))
		}),
	}
	members.Flags().StringSliceVar(&added, "add", nil, "`LOGIN` of a person to add; can be repeated")
	members.Flags().StringSliceVar(&removed, "remove", nil, "`LOGIN` of a person to take out; can be repeated")
	remove := &cobra.Command{
		Use: "remove NAME", Short: "Remove a group, which is then responsible for nothing", Args: exactly(1, "the group's name"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if err := d.ByHand(c.Context(), store.Party{Group: true, Name: args[0]}); err != nil {
				return err
			}
			if err := d.Store.RemoveGroup(c.Context(), args[0]); err != nil {
				return notThere(err, "there is no group %s", args[0])
			}
			return t.done(c.OutOrStdout(), map[string]string{"removed": args[0]}, "Removed group %s.", args[0])
		}),
	}
	return group("group", "Manage groups of people", add, list, show, members, remove)
}

// role gives a person another role.
func role(t *tool) *cobra.Command {
	return &cobra.Command{
		Use: "role LOGIN ROLE", Short: "Give a person a role in the portal", Args: exactly(2, "the person's login, and auditor, operator, administrator or none"),
		Long: `Give a person a role in the portal. An auditor sees all and changes nothing; an operator
does all for all; an administrator also gives roles. Without one ("none") people see and
change what they are responsible for.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			r, err := directory.ParseRole(args[1])
			if err != nil {
				return usageError{err}
			}
			if err := d.Store.SetRole(c.Context(), args[0], string(r)); err != nil {
				return notThere(err, "there is no person %s", args[0])
			}
			return t.done(c.OutOrStdout(), map[string]string{"login": args[0], "role": string(r)}, "The role of %s is now: %s", args[0], args[1])
		}),
	}
}
