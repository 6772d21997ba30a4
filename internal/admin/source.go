package admin

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/hostsource"
	"vidimus/internal/server"
	"vidimus/internal/store"
)

// sourceView is a source as it is shown.
type sourceView struct {
	store.Source
	Kind       string `json:"kind"` // "" when it is not configured any more
	Priority   int    `json:"priority"`
	Every      string `json:"every,omitempty"`
	Configured bool   `json:"configured"`
	State      string `json:"state"`
}

func sources(t *tool) *cobra.Command {
	return group("source", "Manage where hosts, people and groups come from", t.listSources(), t.showSource(), t.syncSources(), t.confirmSource(), t.removeSource())
}

// viewSources are the sources that are configured, then those that are on record only.
func (t *tool) viewSources(c *cobra.Command, d *directory.Directory) ([]sourceView, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	on, err := d.Store.Sources(c.Context())
	if err != nil {
		return nil, err
	}
	all := []sourceView{}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		v := sourceView{Source: store.Source{Name: s.Name}, Kind: s.Kind(), Priority: s.Priority, Every: time.Duration(s.Every).String(), Configured: true}
		if k := slices.IndexFunc(on, func(x store.Source) bool { return x.Name == s.Name }); k >= 0 {
			v.Source = on[k]
		}
		all = append(all, v)
	}
	for _, name := range hostsource.Unconfigured(on, cfg.Sources) {
		k := slices.IndexFunc(on, func(x store.Source) bool { return x.Name == name })
		all = append(all, sourceView{Source: on[k], Priority: int(-on[k].Rank)})
	}
	for i := range all {
		all[i].State = sourceState(&all[i])
	}
	return all, nil
}

func sourceState(v *sourceView) string {
	switch {
	case !v.Configured:
		return "not configured any more"
	case v.BusyUntil.After(time.Now()):
		return "is being read"
	case v.Held != nil:
		return "held back"
	case v.Problem != "":
		return "failed"
	case v.Synced.IsZero():
		return "not read yet"
	case v.Skips > 0:
		return fmt.Sprintf("well, %d left out", v.Skips)
	}
	return "well"
}

func (t *tool) listSources() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the sources, and how it is with them", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			all, err := t.viewSources(c, d)
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, v := range all {
				rows[i] = []string{v.Name, v.Kind, strconv.Itoa(v.Priority), v.State, day(v.Synced),
					strconv.FormatInt(v.Hosts, 10), strconv.FormatInt(v.People, 10), strconv.FormatInt(v.Groups, 10)}
			}
			return t.list(c.OutOrStdout(), all, "SOURCE\tKIND\tPRIORITY\tSTATE\tREAD WELL\tHOSTS\tPEOPLE\tGROUPS", rows)
		}),
	}
}

func (t *tool) showSource() *cobra.Command {
	return t.named(&cobra.Command{
		Use: "show NAME", Short: "Show a source: what was wrong, and what waits", Args: exactly(1, "the name of a source"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			all, err := t.viewSources(c, d)
			if err != nil {
				return err
			}
			k := slices.IndexFunc(all, func(v sourceView) bool { return v.Name == args[0] })
			if k < 0 {
				return fmt.Errorf("there is no source %s; see: vidimusd admin source list", args[0])
			}
			v, w := all[k], c.OutOrStdout()
			err = t.show(w, v, [2]string{"Source", v.Name}, [2]string{"Kind", v.Kind}, [2]string{"Priority", strconv.Itoa(v.Priority)},
				[2]string{"State", v.State}, [2]string{"Tried", day(v.Tried)}, [2]string{"Read well", day(v.Synced)}, [2]string{"From the beginning", day(v.Full)},
				[2]string{"Hosts", strconv.FormatInt(v.Hosts, 10)}, [2]string{"People", strconv.FormatInt(v.People, 10)}, [2]string{"Groups", strconv.FormatInt(v.Groups, 10)},
				[2]string{"Last failure", v.Problem})
			if err != nil || t.json {
				return err
			}
			printSkipped(w, v.Skipped, int(v.Skips))
			if v.Held != nil {
				fmt.Fprintln(w, "These changes wait:")
				printChange(w, *v.Held)
				fmt.Fprint(w, confirmHint(v.Name, v.HeldHash))
			}
			return nil
		}),
	})
}

func confirmHint(name, id string) string {
	return fmt.Sprintf("If the organisation has lost that, and not the source:\n  vidimusd admin source confirm %s %s\n", name, id)
}

func printSkipped(w io.Writer, some []string, n int) {
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "Entries that make no sense, and were left out: %d\n", n)
	for _, s := range some {
		fmt.Fprintf(w, "  %s\n", s)
	}
	if n > len(some) {
		fmt.Fprintln(w, "  …")
	}
}

// printChange tells what a reading changes.
func printChange(w io.Writer, all store.SourceChange) {
	for _, kind := range []string{store.KindHost, store.KindPerson, store.KindGroup} {
		n := all[kind]
		if n == nil {
			continue
		}
		what := map[string]string{store.KindHost: "hosts", store.KindPerson: "people", store.KindGroup: "groups"}[kind]
		fmt.Fprintf(w, "  %s: %d before, %d added, %d changed, %d removed\n", what, n.Before, n.Added, n.Changed, n.Removed)
		for _, x := range []struct {
			how  string
			n    int
			some []string
		}{{"added", n.Added, n.SomeAdded}, {"changed", n.Changed, n.SomeChanged}, {"removed", n.Removed, n.SomeRemoved}, {"left without anybody", n.Emptied, n.SomeEmptied}} {
			if x.n == 0 {
				continue
			}
			more := ""
			if x.n > len(x.some) {
				more = fmt.Sprintf(" … (%d)", x.n)
			}
			fmt.Fprintf(w, "    %s: %s%s\n", x.how, strings.Join(x.some, " "), more)
		}
	}
}

func (t *tool) syncSources() *cobra.Command {
	dry := false
	c := &cobra.Command{
		Use: "sync [NAME]", Short: "Read sources now, and do what follows",
		Long: `Read a source, or all, and do what follows: hosts, people and groups are added, changed
and removed. The server does so by itself, as often as the configuration says (every).
With --dry-run nothing is done; it shows what would be.

A source that would lose more than its share (max_loss) is held back: nothing of it is
done until an operator confirms it. The exit status is then 1, as when one can't be read.`,
		Example: `  vidimusd admin source sync --dry-run
  vidimusd admin source sync directory`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{errors.New("give the name of one source, or none for all")}
			}
			return nil
		},
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			if len(cfg.Sources) == 0 {
				return errors.New("no source is configured; see docs/hosts.md")
			}
			var wanted []*config.Source
			for i := range cfg.Sources {
				if len(args) == 0 || cfg.Sources[i].Name == args[0] {
					wanted = append(wanted, &cfg.Sources[i])
				}
			}
			if len(wanted) == 0 {
				return fmt.Errorf("no source %s is configured; see: vidimusd admin source list", args[0])
			}
			return t.sync(c, d, wanted, dry)
		}),
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	return t.named(c)
}

// sync reads sources, and prints what came of it.
func (t *tool) sync(c *cobra.Command, d *directory.Directory, wanted []*config.Source, dry bool) error {
	w, y := c.OutOrStdout(), server.Syncer(d.Store)
	all, errs := []hostsource.Report{}, []error{}
	for _, s := range wanted {
		r, err := y.Sync(c.Context(), s, dry)
		switch {
		case errors.Is(err, store.ErrBusy):
			errs = append(errs, fmt.Errorf("source %s is being read by another process; try again when that is over", s.Name))
			continue
		case err != nil:
			errs = append(errs, fmt.Errorf("source %s could not be read, and what it said before stands: %w", s.Name, err))
			continue
		case r.Held:
			errs = append(errs, fmt.Errorf("source %s would lose too much, so nothing of it was done", s.Name))
		}
		all = append(all, r)
		if !t.json {
			printReport(w, r)
		}
	}
	if t.json {
		if err := printJSON(w, all); err != nil {
			return err
		}
	}
	if len(errs) > 0 {
		if err := d.Store.SealAudit(c.Context()); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func printReport(w io.Writer, r hostsource.Report) {
	how := "done"
	switch {
	case r.Unchanged:
		how = "nothing has changed there"
	case r.DryRun && r.Held:
		how = "this would be held back"
	case r.DryRun:
		how = "this would be done"
	case r.Held:
		how = "held back"
	}
	fmt.Fprintf(w, "Source %s, read in %.1f s: %s\n", r.Source, r.Seconds, how)
	printChange(w, r.Changes)
	printSkipped(w, r.Skipped, r.Skips)
	if r.Held && !r.DryRun {
		fmt.Fprint(w, confirmHint(r.Source, r.ID))
	}
}

func (t *tool) confirmSource() *cobra.Command {
	return t.named(&cobra.Command{
		Use: "confirm NAME ID", Short: "Let changes be done that were held back", Args: exactly(2, "the name of the source, and the ID of the changes that were held back"),
		Long: `Let changes be done that were held back, because the source would lose more than its
share. The ID, which "source show" and "source sync" print, stands for just what is lost:
when the source loses something else by now, it is held back again. It is read at once.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			err = d.Store.ConfirmSource(c.Context(), args[0], args[1], time.Now())
			switch {
			case errors.Is(err, store.ErrNotFound):
				return fmt.Errorf("there is no source %s; see: vidimusd admin source list", args[0])
			case errors.Is(err, store.ErrConflict):
				return fmt.Errorf("no changes %s of source %s wait; see: vidimusd admin source show %[2]s", args[1], args[0])
			case err != nil:
				return err
			}
			for i := range cfg.Sources {
				if s := &cfg.Sources[i]; s.Name == args[0] {
					return t.sync(c, d, []*config.Source{s}, false)
				}
			}
			return fmt.Errorf("source %s is not configured any more; take away what it said: vidimusd admin source remove %[1]s", args[0])
		}),
	})
}

func (t *tool) removeSource() *cobra.Command {
	return t.named(&cobra.Command{
		Use: "remove NAME", Short: "Take away all that a source has said", Args: exactly(1, "the name of a source that is not configured any more"),
		Long: `Take away all that a source has said that is not configured any more. Where another source
has a host too, that one decides on it now; other hosts of the source are removed, with
all that follows.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			if slices.ContainsFunc(cfg.Sources, func(s config.Source) bool { return s.Name == args[0] }) {
				return fmt.Errorf("source %s is configured; take it out of %s first, and restart the server", args[0], t.configPath)
			}
			r, err := server.Syncer(d.Store).Forget(c.Context(), args[0])
			if err != nil {
				return err
			}
			if t.json {
				return printJSON(c.OutOrStdout(), r)
			}
			printReport(c.OutOrStdout(), r)
			return nil
		}),
	})
}

// named completes the name of a source.
func (t *tool) named(c *cobra.Command) *cobra.Command {
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, prefix string) (names []string, _ cobra.ShellCompDirective) {
		cfg, err := t.config()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, s := range cfg.Sources {
			if strings.HasPrefix(s.Name, prefix) {
				names = append(names, s.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}
