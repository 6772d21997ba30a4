package admin

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/config"
	"vidimus/internal/server"
)

func initCommand() *cobra.Command {
	var o server.InitOptions
	var db databaseFlags
	c := &cobra.Command{
		Use:   "init --url https://HOST[:PORT]",
		Short: "Make a root CA, an issuing CA and a configuration",
		Long: `Make a root CA, an issuing CA (both ECDSA P-256, the keys readable by you alone), the
same for a staging issuer, and vidimusd.yaml. Nothing that exists is replaced.`,
		Example: `  vidimusd init --dir /etc/vidimusd --url https://acme.example.org --organisation "Example University"`,
		Args:    exactly(0, ""),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Database, err = db.read(); err != nil {
				return err
			}
			path, err := server.Init(o)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), `Made %s and the CAs in %[2]s/ca.

What to do next:
  - Move %[2]s/ca/root.key to a safe place that is not on the network: vidimusd doesn't need it.
  - Let your clients trust %[2]s/ca/root.pem.
  - Look through %[1]s, and check it:  vidimusd check --config %[1]s
  - Enter a host and the person responsible for it, and make an ACME-ID:
      vidimusd admin --config %[1]s person add ada --name "Ada Archer"
      vidimusd admin --config %[1]s host add www.example.org --person ada
      vidimusd admin --config %[1]s acme-id add www.example.org
  - Start the server:  vidimusd serve --config %[1]s
`, path, o.Dir)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".", "the `FOLDER` to make it in")
	f.StringVar(&o.URL, "url", "", "the `URL` of the server as clients will see it")
	f.StringVar(&o.Organisation, "organisation", "Vidimus", "the `NAME` of your organisation, for the CA certificates")
	f.StringVar(&o.Listen, "listen", "", "`HOST:PORT` to serve ACME at (default: all addresses, the port of --url)")
	db.add(f, "the database", "a SQLite file in FOLDER")
	f.StringVar(&o.ListenHTTP, "listen-http", "", "`HOST:PORT` to serve revocation lists at, without TLS (default: all addresses, port 80)")
	f.StringSliceVar(&o.Networks, "network", nil, "a private `NETWORK`, such as 10.0.0.0/8, where hosts may be validated; can be repeated")
	c.MarkFlagRequired("url")
	return c
}

func checkCommand() *cobra.Command {
	t, ask := new(tool), false
	c := &cobra.Command{
		Use:   "check",
		Short: "Say all that is wrong with the configuration",
		Long: `Say all that is wrong with the configuration, each with its line; and if nothing is,
what had better be otherwise (warnings) and what the server will do (notes), which leave
the exit status 0. Run it as the user that runs the server. With --online the
database has to answer and to take changes, though nothing is changed in it, and each DNS
resolver has to answer, and to validate DNSSEC where the configuration requires it
(validation.dnssec); otherwise nothing is asked of the network.`,
		Args: exactly(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Read(t.configPath)
			mistakes, ok := err.(config.Mistakes)
			if err != nil && !ok {
				_, err = server.Config(t.configPath)
				return err
			}
			var asked online
			if err == nil {
				mistakes = server.TryProfiles(cfg)
			}
			if ask && err == nil {
				asked = checkOnline(c.Context(), cfg)
				mistakes = append(mistakes, asked.wrong...)
			}
			all := append(config.Mistakes{}, mistakes...)
			if err == nil {
				all = slices.Concat(all, cfg.Warnings, asked.warnings, notes(cfg))
			}
			if t.json {
				if err := printJSON(c.OutOrStdout(), all); err != nil {
					return err
				}
			}
			switch {
			case len(mistakes) > 0 && t.json:
				return fmt.Errorf("%s has %d mistakes", t.configPath, len(mistakes))
			case len(mistakes) > 0:
				return fmt.Errorf("%s is not right:\n%w", t.configPath, mistakes)
			case t.json:
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is right.\n", t.configPath)
			for _, m := range all {
				fmt.Fprintln(c.OutOrStdout(), m)
			}
			for _, line := range asked.right {
				fmt.Fprintln(c.OutOrStdout(), line)
			}
			for i := range cfg.Issuers {
				for _, d := range cfg.Issuers[i].Directories() {
					fmt.Fprintf(c.OutOrStdout(), "ACME directory: %s/acme/%s/directory\n", cfg.URL, d)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&t.configPath, "config", "vidimusd.yaml", "the configuration `FILE`")
	c.Flags().BoolVar(&t.json, "json", false, "print mistakes, warnings and notes as JSON")
	c.Flags().BoolVar(&ask, "online", false, "ask the database and the DNS resolvers too")
	return c
}

func serveCommand(version string) *cobra.Command {
	t, l := new(tool), new(logFlags)
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server that the configuration describes, in the foreground; it logs to standard
error. SIGTERM ends it, SIGHUP has it read the files again that "tls:" names. The
database is made, and brought up to date, when it starts.`,
		Args: exactly(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			log, err := l.logger(c.ErrOrStderr(), cfg.Log)
			if err != nil {
				return err
			}
			lis, err := server.Listen(cfg)
			if err != nil {
				return err
			}
			s, err := server.Open(c.Context(), cfg, lis, version, log)
			if err != nil {
				return err
			}
			defer s.Close()
			sup, end, err := supervisor()
			if err != nil {
				return err
			}
			defer end()
			s.Supervise(sup)
			for i := range cfg.Issuers {
				for _, d := range cfg.Issuers[i].Directories() {
					log.Info("serving", "issuer", cfg.Issuers[i].Name, "directory", s.DirectoryURL(d))
				}
			}
			return s.Serve(c.Context())
		},
	}
	c.Flags().StringVar(&t.configPath, "config", "vidimusd.yaml", "the configuration `FILE`")
	l.add(c, "as configured", "as configured")
	return c
}

func devCommand(version string) *cobra.Command {
	var o server.DevOptions
	var db databaseFlags
	l := new(logFlags)
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a throw-away server with demo data, to try things",
		Long: `Run everything in one process: SQLite, a throw-away CA, demo people, hosts and ACME-IDs.
FOLDER/dev.json appears when the server is ready; it names the directories, the CA
bundle and EAB credentials. A folder that was used before is used again; that of a real
server is refused.

Without --resolver every name is taken to be at this machine (127.0.0.1), so that
http-01 and tls-alpn-01 work for any name; dns-01 needs a resolver.`,
		Args: exactly(0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			log, err := l.logger(c.ErrOrStderr(), config.Log{Format: "text", Level: "warn"})
			if err != nil {
				return err
			}
			if o.Database, err = db.read(); err != nil {
				return err
			}
			if o.Dir == "" {
				if o.Dir, err = os.MkdirTemp("", "vidimusd-dev-"); err != nil {
					return err
				}
				defer os.RemoveAll(o.Dir)
			}
			o.Progress = c.ErrOrStderr()
			return server.Dev(c.Context(), o, version, log, func(i server.DevInfo) { greet(c.OutOrStdout(), o, i) })
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "", "the `FOLDER` for its files (default: a temporary one, removed at the end)")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:14000", "`HOST:PORT` to serve ACME at; port 0 lets the system choose")
	f.IntVar(&o.HTTP01Port, "http-01-port", 80, "the `PORT` that http-01 is validated at")
	f.IntVar(&o.TLSALPN01Port, "tls-alpn-01-port", 443, "the `PORT` that tls-alpn-01 is validated at")
	f.StringVar(&o.Resolver, "resolver", "", "`HOST:PORT` of the DNS resolver to validate with")
	db.add(f, "an empty database", "a SQLite file in FOLDER")
	f.IntVar(&o.DemoSize, "demo-size", 0, "make up this `NUMBER` of hosts too, with ten certificates each, people, groups, ACME-IDs and clients; 100000 take minutes and 4 GB")
	l.add(c, "text", "warn")
	return c
}

func greet(w io.Writer, o server.DevOptions, i server.DevInfo) {
	fmt.Fprintf(w, `vidimusd is ready (pid %d); stop it with Ctrl-C.
  ACME directory, with EAB credentials:    %s
  ACME directory, open, with challenges:   %s
  Trust this root in your client:          %s
  All of this for scripts:                 %s/dev.json
  Portal for people:                       %s
`, i.PID, i.Directory, i.DirectoryOpen, i.CABundle, o.Dir, i.Portal)
	for _, p := range i.People {
		fmt.Fprintf(w, "    log in as %-16s with password %s\n", p.Login, p.Password)
	}
	if len(i.EAB) == 0 {
		fmt.Fprintf(w, "All EAB credentials have been used; for new ones:\n  vidimusd admin --config %s acme-id new-credentials www.uni.test\n", i.Config)
		return
	}
	c := i.EAB[0]
	fmt.Fprintf(w, `To get a certificate, in another terminal:
  export REQUESTS_CA_BUNDLE=%s
  vidimus register --server %s --agree-tos --email you@uni.test --eab-kid %s --eab-hmac-key %s
  vidimus certonly --server %[2]s --standalone -d %[5]s
`, i.CABundle, i.Directory, c.KID, c.HMACKey, strings.Join(c.Names, ","))
}

// day is how dates are shown to people.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
