package admin

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// mostCompleted is how many possibilities a shell is given.
const mostCompleted = 100

// source lists what begins with a prefix.
type source func(db *store.Store, ctx context.Context, prefix string, limit int) ([]string, error)

var (
	accountsAt source = (*store.Store).AccountsFrom
	hostsAt    source = (*store.Store).HostsFrom
	acmeIDsAt  source = (*store.Store).ACMEIDsFrom
	serialsAt  source = (*store.Store).SerialsFrom
)

// completed completes the one argument, or the value of an option, out of the database.
func (t *tool) completed(from source) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, prefix string) (all []string, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		err := t.run(func(c *cobra.Command, d *directory.Directory, _ []string) (err error) {
			all, err = from(d.Store, c.Context(), prefix, mostCompleted)
			return err
		})(c, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlags completes the values of options out of the database, where there are such.
func (t *tool) completeFlags(c *cobra.Command, flags map[string]source) {
	for name, from := range flags {
		_ = c.RegisterFlagCompletionFunc(name, func(c *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return t.completed(from)(c, nil, prefix)
		})
	}
}

// completing completes the arguments of the commands of a group with these names.
func (t *tool) completing(from source, group *cobra.Command, names ...string) *cobra.Command {
	for _, c := range group.Commands() {
		if slices.Contains(names, c.Name()) {
			c.ValidArgsFunction = t.completed(from)
		}
	}
	return group
}
