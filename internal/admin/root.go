// Package admin is the command line of vidimusd, for the CA team: init, check, serve
// and dev run the server; the commands below "admin" change the host database and
// the ACME-IDs, also while it runs.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vidimus/internal/audit"
	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/server"
	"vidimus/internal/store"
)

// usageError is a command line that can't be understood: exit status 2.
type usageError struct{ error }

// Main runs a command line, without the program's name, and returns the exit status:
// 0 done, 1 failed, 2 misused.
func Main(args []string, version string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command(version)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	usage := usageError{}
	if text := err.Error(); !errors.As(err, &usage) && (strings.HasPrefix(text, "unknown command") || strings.HasPrefix(text, "required flag")) {
		err = usageError{fmt.Errorf("%w; see: %s --help", err, c.CommandPath())} // these are cobra's own
	}
	fmt.Fprintf(stderr, "vidimusd: %v\n", err)
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// untilSignal is a context that is done with the first of the signals. A second one ends
// the program at once, as if there were no handler.
func untilSignal(signals ...os.Signal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	came := make(chan os.Signal, 1) // signal.Notify never blocks
	signal.Notify(came, signals...)
	go func() {
		<-came
		// Both have the default effect again before anybody hears of the first.
		signal.Stop(came)
		select {
		case second := <-came: // between the two
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				p.Signal(second)
			}
		default:
		}
		cancel()
	}()
	return ctx, cancel
}

// tool is what the commands below "admin" work on.
type tool struct {
	configPath string
	json       bool
}

func command(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "vidimusd",
		Short: "An ACME server with external account binding, a host database and its own CA",
		Long: `vidimusd is the certificate service of an organisation: an ACME server that knows
which hosts there are and who may have certificates for them.

To try it:       vidimusd dev
To set it up:    vidimusd init --url https://acme.example.org:14000 --organisation "Example University"
                 vidimusd serve`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,

		DisableSuggestions: true, // they are lines of their own
	}
	root.SetVersionTemplate("vidimusd {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see: %s --help", err, c.CommandPath())}
	})
	t := new(tool)
	admin := group("admin", "Manage hosts, people, ACME-IDs, accounts and certificates",
		t.completing(hostsAt, hosts(t), "show", "people", "remove"), people(t), groups(t), t.completing(acmeIDsAt, acmeIDs(t), "show", "names", "new-credentials", "remove"), accounts(t), wildcards(t), suspensions(t), certificates(t), renewNow(t), keys(t), sources(t), jobs(t))
	admin.PersistentFlags().StringVar(&t.configPath, "config", "vidimusd.yaml", "the configuration `FILE`")
	admin.PersistentFlags().BoolVar(&t.json, "json", false, "print JSON, for scripts")
	root.AddCommand(initCommand(), caCommand(version), checkCommand(), serveCommand(version), devCommand(version), conformanceCommand(version), auditCommand(), backupCommand(version), restoreCommand(), manCommand(), admin)
	return root
}

// group is a command that only holds others.
func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, RunE: func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown command %q; see: %s --help", args[0], c.CommandPath())}
		}
		return c.Help()
	}}
	c.AddCommand(subs...)
	return c
}

// exactly wants n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		if n == 0 {
			return usageError{fmt.Errorf("%s takes no arguments; see: %s --help", c.Name(), c.CommandPath())}
		}
		return usageError{fmt.Errorf("give %s: %s", what, c.UseLine())}
	}
}

// run makes the RunE of a command that works on the database.
func (t *tool) run(fn func(c *cobra.Command, d *directory.Directory, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		cfg, err := server.Config(t.configPath)
		if err != nil {
			return err
		}
		db, err := store.Open(c.Context(), cfg.Database)
		if err != nil {
			return err
		}
		defer db.Close()
		c.SetContext(audit.With(c.Context(), thisOperator()))
		if err := fn(c, &directory.Directory{Store: db}, args); err != nil {
			return err
		}
		return db.SealAudit(c.Context()) // there may be no server to do it
	}
}

// config reads the configuration that the command was given.
func (t *tool) config() (*config.Config, error) { return server.Config(t.configPath) }

// list prints rows under a heading, or the values themselves as a JSON array.
func (t *tool) list(w io.Writer, values any, heading string, rows [][]string) error {
	if t.json {
		return printJSON(w, values)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, heading)
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	return tw.Flush()
}

// show prints one thing as lines of "name: value", or as JSON.
func (t *tool) show(w io.Writer, value any, lines ...[2]string) error {
	if t.json {
		return printJSON(w, value)
	}
	tw := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	for _, l := range lines {
		fmt.Fprintf(tw, "%s:\t%s\n", l[0], l[1])
	}
	return tw.Flush()
}

// done says what was done, or prints the value as JSON.
func (t *tool) done(w io.Writer, value any, format string, args ...any) error {
	if t.json {
		return printJSON(w, value)
	}
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// canonical reads a name as a person writes it.
func canonical(name string) (string, error) {
	id, err := identifier.Parse(name)
	return id.Value, err
}

func notThere(err error, format string, args ...any) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf(format, args...)
	}
	return err
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
