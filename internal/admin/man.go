package admin

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vidimus/internal/roff"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man", Short: "Print the manual page", Hidden: true, Args: exactly(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return manPage(c.OutOrStdout(), c.Root()) },
	}
}

// manPage writes the manual page, for man(1), out of the commands themselves.
func manPage(w io.Writer, root *cobra.Command) error {
	var b strings.Builder
	p := func(format string, args ...any) {
		for i, a := range args {
			args[i] = roff.Escape(fmt.Sprint(a))
		}
		fmt.Fprintf(&b, format, args...)
	}
	p(".TH VIDIMUSD 8 \"\" Vidimus\n.SH NAME\nvidimusd \\- an ACME server with external account binding, a host database and its own CA\n.SH SYNOPSIS\n.B vidimusd\nCOMMAND [OPTION ...]\n")
	p(".SH DESCRIPTION\n")
	paragraphs(p, root.Long)
	p(".SH COMMANDS\n")
	for _, c := range leaves(root) {
		p(".SS %s\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
		if c.Long == "" {
			p("%s.\n", c.Short)
		} else {
			paragraphs(p, c.Long)
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { flag(p, f) })
		if c.Example != "" {
			p(".PP\n.nf\n%s\n.fi\n", c.Example)
		}
	}
	p(".SH COMMON OPTIONS\nThose of all commands below admin, and of audit:\n")
	admin, _, err := root.Find([]string{"admin"})
	if err != nil {
		return err
	}
	admin.PersistentFlags().VisitAll(func(f *pflag.Flag) { flag(p, f) })
	section := func(title string, entries ...[2]string) {
		p(".SH %s\n", title)
		for _, e := range entries {
			p(".TP\n.B %s\n%s\n", e[0], e[1])
		}
	}
	section("FILES",
		[2]string{"vidimusd.yaml", "The configuration, made by vidimusd init, with all keys explained. Paths in it are relative to its folder."},
		[2]string{"vidimusd.db", "The database, unless the configuration names one on PostgreSQL."},
		[2]string{"vidimusd-tls.pem", "The certificate that the server issues to itself, with its key, in the folder that state: in the configuration names."})
	section("ENVIRONMENT",
		[2]string{databaseVariable, "The URL of the database, where a command has the option --database and it isn't given."},
		[2]string{"PGPASSFILE, PGSSLROOTCERT, PGHOST and so on", "What the database's URL doesn't say, as with all clients of PostgreSQL."},
		[2]string{"NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS, LISTEN_FDNAMES", "Set by systemd: where it is told that the server is ready and well, and the sockets that it has opened."})
	section("SIGNALS",
		[2]string{"SIGTERM, SIGINT", "Finish what is in flight, for at most ten seconds, and end; the second one ends at once."},
		[2]string{"SIGHUP", "Read the files again that tls: in the configuration names."})
	p(".SH EXIT STATUS\n0 done, 1 failed, 2 misused.\n")
	_, err = io.WriteString(w, b.String())
	return err
}

// leaves lists the commands that do something themselves.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
			continue
		}
		if !sub.HasSubCommands() || sub.Flags().HasAvailableFlags() && strings.Contains(sub.Use, " ") {
			all = append(all, sub)
		}
		all = append(all, leaves(sub)...)
	}
	return all
}

// paragraphs writes a text; its lines that are indented stay as they are.
func paragraphs(p func(string, ...any), text string) {
	for n, par := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if n > 0 {
			p(".PP\n")
		}
		if strings.Contains("\n"+par, "\n  ") {
			p(".nf\n%s\n.fi\n", par)
		} else {
			p("%s\n", par)
		}
	}
}

func flag(p func(string, ...any), f *pflag.Flag) {
	if f.Name == "help" {
		return
	}
	arg, usage := pflag.UnquoteUsage(f)
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
		usage += " (default " + f.DefValue + ")"
	}
	p(".TP\n.B %s\n%s\n", strings.TrimSpace("--"+f.Name+" "+arg), usage)
}
