// Package cli is the command line of vidimus: Certbot's grammar, Certbot's words on
// standard output where scripts look for them, and one sentence on standard error
// that says what to do next when something is wrong.
//
// Exit status: 0 done, 1 failed, 2 misused.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"vidimus/internal/authenticator"
	"vidimus/internal/hook"
	"vidimus/internal/lineage"
	"vidimus/internal/lock"
	"vidimus/internal/logfile"
	"vidimus/internal/renewal"
	"vidimus/internal/settings"
	"vidimus/internal/version"
)

// App is the program in its surroundings.
type App struct {
	Name   string // as it was started; "certbot" makes it answer as that
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	// Environ is what the commands that this program starts see.
	Environ []string
	Now     func() time.Time
	// Terminal tells whether standard input is a terminal, Interactive whether standard
	// output is one too, so that a person can be asked, and Watched whether standard
	// error is one, so that a person sees progress.
	Terminal    bool
	Interactive bool
	Watched     bool
}

// verb is a command.
type verb struct {
	name   string
	usage  string
	short  string
	run    func(context.Context, *session) error
	groups []string // the options that matter for it
}

// verbs returns the commands there are, in the order of the help.
func verbs() []*verb {
	all := []string{certs, control, keys, hooks, accounts, trials}
	return []*verb{
		{"run", "[run] [options] [-d DOMAIN] …", "obtain and install a certificate (the default); there are no installers yet, use certonly", install, nil},
		{"certonly", "certonly (--standalone | --webroot -w DIR | --manual | --dns PROVIDER) -d DOMAIN [-d DOMAIN] … [options]",
			"obtain or renew a certificate, but do not install it", certonly, all},
		{"renew", "renew [--cert-name CERTNAME] [options]",
			"renew all certificates that are due", renew, []string{certs, hooks, control, trials}},
		{"certificates", "certificates [--cert-name CERTNAME] [-d DOMAIN] [--json]",
			"list the certificates on this machine", certificates, []string{certs}},
		{"reconfigure", "reconfigure --cert-name CERTNAME [options]",
			"change the options a certificate is renewed with, after a trial", reconfigure, []string{control, keys, hooks, trials}},
		{"revoke", "revoke (--cert-name CERTNAME | --cert-path FILE) [--reason REASON]",
			"revoke a certificate", revoke, []string{revoking, accounts}},
		{"delete", "delete [--cert-name CERTNAME]",
			"delete all files of a certificate", remove, []string{certs}},
		{"register", "register --server URL --agree-tos --email ADDRESS [--eab-kid ID --eab-hmac-key-file FILE]",
			"make an account at a CA", register, []string{accounts}},
		{"update_account", "update_account [--server URL] (--email ADDRESS | --register-unsafely-without-email)",
			"change the e-mail address of the account", updateAccount, []string{accounts}},
		{"show_account", "show_account [--server URL] [--json]",
			"show what the CA knows of the account", showAccount, []string{accounts}},
		{"unregister", "unregister [--server URL] [--account ID]",
			"deactivate the account at the CA for good", unregister, []string{accounts}},
		{"plugins", "plugins [--authenticators | --installers] [--json]",
			"list the ways to prove control", listPlugins, []string{control}},
		{"install", "install --cert-name CERTNAME", "install a certificate in a web server; there are no installers yet", install, nil},
		{"enhance", "enhance --cert-name CERTNAME", "harden a web server; there are no installers yet", install, nil},
		{"rollback", "rollback", "undo what installers changed; there are no installers yet", install, nil},
	}
}

func findVerb(name string) *verb {
	switch name {
	case "auth":
		name = "certonly"
	case "everything":
		name = "run"
	}
	for _, v := range verbs() {
		if v.name == name {
			return v
		}
	}
	return nil
}

// Run does what args, without the program's name, ask for, and returns the exit
// status.
func (a *App) Run(ctx context.Context, args []string) int {
	cmd, err := parse(args, a.Getenv)
	if err == nil {
		switch {
		case cmd.show:
			a.version()
			return 0
		case cmd.help:
			err = help(a.Stdout, a.Name, cmd.topic)
		case cmd.write != nil:
			err = cmd.write(a.Stdout, a.Name)
		default:
			err = a.execute(ctx, cmd)
		}
	}
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(a.Stderr, "%s: %v\n", a.Name, err)
		return 2
	}
	fmt.Fprintln(a.Stderr, err)
	return 1
}

func (a *App) version() {
	if a.Name == "certbot" {
		fmt.Fprintln(a.Stdout, "certbot", settings.Certbot)
		return
	}
	fmt.Fprintf(a.Stdout, "vidimus %s (follows certbot %s)\n", version.String(), settings.Certbot)
}

// installs tells whether a verb is about installers.
func (v *verb) installs() bool {
	return slices.Contains([]string{"run", "install", "enhance", "rollback"}, v.name)
}

// bare tells whether a verb needs none of Certbot's directories.
func (v *verb) bare() bool { return v.installs() || v.name == "plugins" }

// session is one command at work.
type session struct {
	*App
	verb *verb
	opts *options
	log  *slog.Logger
	out  io.Writer // standard output, or nothing with --quiet
	ask  *prompt   // nil when nobody can be asked

	hooks    *hook.Runner
	obtainer *renewal.Obtainer
}

// execute prepares the directories as Certbot does, locks them, and runs the verb.
func (a *App) execute(ctx context.Context, cmd *command) error {
	o := cmd.opts
	if err := o.settle(cmd.verb); err != nil {
		return err
	}
	s := &session{App: a, verb: cmd.verb, opts: o, out: a.Stdout}
	if o.Quiet {
		s.out = io.Discard
	}
	if o.forceInteractive || a.Interactive && !o.nonInteractive {
		s.ask = &prompt{in: a.Stdin, out: a.Stdout}
	}
	if cmd.verb.bare() {
		return cmd.verb.run(ctx, s)
	}
	release, err := s.open(cmd)
	defer release()
	if err != nil {
		return renewal.Remedy(err)
	}
	s.connect()
	defer s.obtainer.Provers.Close()
	if err := s.recover(ctx); err != nil {
		return renewal.Remedy(err)
	}
	err = cmd.verb.run(ctx, s)
	if err := s.obtainer.Answers.Save(false); err != nil {
		s.log.Warn("what CAs said cannot be remembered", "error", err)
	}
	s.log.Info("ended", "verb", cmd.verb.name, "requests", s.obtainer.Connections.Requests(), "error", err)
	if errors.Is(err, context.Canceled) {
		return errors.New("Exiting due to user request.") //lint:ignore ST1005 Certbot's words
	}
	var usage usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	details := s.out
	if o.Quiet { // what went wrong is told all the same
		details = s.Stderr
	}
	err = errors.New(renewal.Sentence(err, details))
	if !o.Quiet {
		err = fmt.Errorf("%w\nSee the log file %s for details.", err, logfile.Path(o.LogsDir)) //lint:ignore ST1005 a text for the terminal
	}
	return err
}

// open makes and locks the directories and starts the log. What it returns undoes
// the locking; it is never nil.
func (s *session) open(cmd *command) (release func(), err error) {
	var held []*lock.Dir
	locked := map[string]bool{}
	var log *logfile.File
	release = func() {
		for _, l := range held {
			l.Release()
		}
		log.Close()
	}
	o := s.opts
	for _, d := range []struct {
		option, path string
		mode         fs.FileMode
	}{{"--logs-dir", o.LogsDir, 0o700}, {"--config-dir", o.ConfigDir, 0o755}, {"--work-dir", o.WorkDir, 0o755}} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return release, fmt.Errorf("%s: %w", d.option, err)
		}
		if locked[d.path] { // two of them may be one
			continue
		}
		locked[d.path] = true
		if err := o.strict(d.path); err != nil {
			return release, err
		}
		l, err := lock.Acquire(d.path)
		if err != nil {
			return release, err
		}
		held = append(held, l)
	}
	if log, err = logfile.Open(o.LogsDir, o.maxLogBackups); err != nil {
		return release, err
	}
	s.startLog(log, cmd)
	for _, dir := range hook.Dirs(renewal.HookDir(o.ConfigDir)) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return release, err
		}
	}
	return release, nil
}

// strict refuses a directory that others could put files into, if that is wanted.
func (o *options) strict(dir string) error {
	if !o.strictPermissions {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s exists, but it should be owned by current user with no write permission for others: run chown and chmod on it, or leave out --strict-permissions", dir)
	}
	return nil
}

// startLog says what runs, but not with which arguments: some are secrets.
func (s *session) startLog(w io.Writer, cmd *command) {
	verbose := s.opts.verbose
	if s.opts.Quiet {
		verbose = 0
	}
	s.log = slog.New(newLogHandler(w, s.Stderr, verbose))
	if !s.opts.Quiet {
		fmt.Fprintf(s.Stderr, "Saving debug log to %s\n", logfile.Path(s.opts.LogsDir))
	}
	s.log.Info("started", "vidimus", version.String(), "verb", cmd.verb.name, "server", s.opts.Server, "config_dir", s.opts.ConfigDir)
}

// recover clears away what a run left that was killed.
func (s *session) recover(ctx context.Context) error {
	if slices.Contains([]string{"certonly", "renew", "reconfigure"}, s.verb.name) {
		if err := s.obtainer.Provers.Recover(ctx); err != nil { // tried again the next time
			fmt.Fprintf(s.Stderr, "what an earlier run left at DNS or in a webroot could not be removed: %v\n", err)
		}
	}
	return s.obtainer.Store.Recover()
}

// connect puts together what verbs work with.
func (s *session) connect() {
	o := s.opts
	conns := &renewal.Connections{ConfigDir: o.ConfigDir, UserAgent: o.userAgent(), NoVerifyTLS: o.NoVerifySSL,
		Log: s.log, Getenv: s.Getenv, Register: s.register}
	s.obtainer = &renewal.Obtainer{Store: lineage.Store{Dir: o.ConfigDir}, Connections: conns,
		Notes: renewal.WorkNotes(o.WorkDir), Log: s.log, Timeout: o.timeout, Now: s.Now, Answers: renewal.WorkAnswers(o.WorkDir)}
	s.obtainer.Provers = renewal.Provers{Out: s.out, Err: s.Stderr, Log: s.log, Environ: s.Environ, WorkDir: o.WorkDir, Getenv: s.Getenv}
	if s.ask != nil {
		s.obtainer.Provers.Ask = s.ask.instruct
	}
	if o.debugChallenge && s.ask != nil {
		s.obtainer.Provers.Wrap = func(a authenticator.Authenticator) authenticator.Authenticator {
			return &pausing{a, s.ask, o.verbose > 0}
		}
	}
	s.hooks = &hook.Runner{Out: s.out, Err: s.Stderr, Log: s.log}
}

func (o *options) userAgent() string {
	if o.UserAgent != "" || o.Chosen("user_agent") {
		return o.UserAgent
	}
	agent := "Vidimus/" + version.Number
	if o.userAgentComment != "" {
		agent += " " + o.userAgentComment
	}
	return agent
}
