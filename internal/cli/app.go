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
	"path/filepath"
	"time"

	"vidimus/internal/account"
	"vidimus/internal/hook"
	"vidimus/internal/issuance"
	"vidimus/internal/lineage"
	"vidimus/internal/lock"
	"vidimus/internal/logfile"
	"vidimus/internal/registration"
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
	Now    func() time.Time
	// Terminal tells whether a person watches.
	Terminal bool
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
	return []*verb{
		{"certonly", "certonly (--standalone | --webroot -w DIR) -d DOMAIN [-d DOMAIN] … [options]",
			"obtain or renew a certificate, but do not install it", certonly, []string{certs, control, keys, hooks, accounts}},
		{"renew", "renew [--cert-name CERTNAME] [options]",
			"renew all certificates that are due", renew, []string{certs, hooks, control}},
		{"certificates", "certificates [--cert-name CERTNAME] [-d DOMAIN] [--json]",
			"list the certificates on this machine", certificates, []string{certs}},
		{"revoke", "revoke (--cert-name CERTNAME | --cert-path FILE) [--reason REASON]",
			"revoke a certificate", revoke, []string{revoking, accounts}},
		{"delete", "delete --cert-name CERTNAME",
			"delete all files of a certificate", remove, []string{certs}},
		{"register", "register --server URL --agree-tos --email ADDRESS [--eab-kid ID --eab-hmac-key-file FILE]",
			"make an account at a CA", register, []string{accounts}},
		{"show_account", "show_account [--server URL]",
			"show what the CA knows of the account", showAccount, []string{accounts}},
		{"unregister", "unregister [--server URL] [--account ID]",
			"deactivate the account at the CA for good", unregister, []string{accounts}},
	}
}

func findVerb(name string) *verb {
	if name == "auth" {
		name = "certonly"
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

// session is one command at work.
type session struct {
	*App
	opts *options
	log  *slog.Logger
	out  io.Writer // standard output, or nothing with --quiet

	hooks    *hook.Runner
	obtainer *renewal.Obtainer
}

// execute prepares the directories as Certbot does, locks them, and runs the verb.
func (a *App) execute(ctx context.Context, cmd *command) error {
	o := cmd.opts
	if err := o.validate(); err != nil {
		return err
	}
	s := &session{App: a, opts: o, out: a.Stdout}
	if o.Quiet {
		s.out = io.Discard
	}
	release, err := s.open(cmd)
	defer release()
	if err != nil {
		return renewal.Remedy(err)
	}
	s.connect()
	if err := s.obtainer.Store.Recover(); err != nil {
		return renewal.Remedy(err)
	}
	err = cmd.verb.run(ctx, s)
	s.log.Info("ended", "verb", cmd.verb.name, "requests", s.obtainer.Connections.Requests(), "error", err)
	if errors.Is(err, context.Canceled) {
		return errors.New("Exiting due to user request.") //lint:ignore ST1005 Certbot's words
	}
	var usage usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	err = errors.New(renewal.Sentence(err, s.out))
	if !o.Quiet {
		err = fmt.Errorf("%w\nSee the log file %s for details.", err, logfile.Path(o.LogsDir)) //lint:ignore ST1005 a text for the terminal
	}
	return err
}

func (o *options) validate() error {
	if o.noHookValidation {
		return nil
	}
	for _, h := range []struct{ kind, cmd string }{{"pre", o.PreHook}, {"post", o.PostHook}, {"deploy", o.RenewHook}} {
		if err := hook.Validate(h.kind, h.cmd); err != nil {
			return err
		}
	}
	return nil
}

// open makes and locks the directories and starts the log. What it returns undoes
// the locking; it is never nil.
func (s *session) open(cmd *command) (release func(), err error) {
	var held []*lock.Dir
	locked := map[string]bool{}
	var log *os.File
	release = func() {
		for _, l := range held {
			l.Release()
		}
		log.Close()
	}
	o := s.opts
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{{o.LogsDir, 0o700}, {o.ConfigDir, 0o755}, {o.WorkDir, 0o755}} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return release, err
		}
		if locked[d.path] { // two of them may be one
			continue
		}
		locked[d.path] = true
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

// startLog says what runs, but not with which arguments: some are secrets.
func (s *session) startLog(w io.Writer, cmd *command) {
	s.log = slog.New(newLogHandler(w, s.Stderr, s.opts.verbose))
	if !s.opts.Quiet {
		fmt.Fprintf(s.Stderr, "Saving debug log to %s\n", logfile.Path(s.opts.LogsDir))
	}
	s.log.Info("started", "vidimus", version.String(), "verb", cmd.verb.name, "server", s.opts.Server, "config_dir", s.opts.ConfigDir)
}

// connect puts together what verbs work with.
func (s *session) connect() {
	o := s.opts
	conns := &renewal.Connections{ConfigDir: o.ConfigDir, UserAgent: o.userAgent(), NoVerifyTLS: o.NoVerifySSL,
		Log: s.log, Getenv: s.Getenv, Register: s.register}
	s.obtainer = &renewal.Obtainer{Store: lineage.Store{Dir: o.ConfigDir}, Connections: conns,
		Notes: renewal.WorkNotes(o.WorkDir), Log: s.log, Timeout: o.timeout, Now: s.Now}
	s.hooks = &hook.Runner{Out: s.out, Err: s.Stderr, Log: s.log}
}

func (o *options) userAgent() string {
	if o.UserAgent != "" {
		return o.UserAgent
	}
	return "Vidimus/" + version.Number
}

// register makes an account with what the command line says.
func (s *session) register(ctx context.Context, ca *issuance.CA, accounts *account.Store) (account.Account, error) {
	eab, err := s.eab()
	if err != nil {
		return account.Account{}, err
	}
	a, err := registration.Register(ctx, ca, accounts, registration.Request{
		Emails: s.opts.emails, WithoutEmail: s.opts.withoutEmail, AgreeTOS: s.opts.agreeTOS, EAB: eab})
	if err != nil {
		return a, fmt.Errorf("Unable to register an account with ACME server: %w", err) //lint:ignore ST1005 Certbot's words
	}
	fmt.Fprintln(s.out, "Account registered.")
	return a, nil
}

// eab reads the EAB credentials; nil when there are none.
func (s *session) eab() (*issuance.EAB, error) {
	o := s.opts
	text := o.eabKey
	if o.eabKeyFile != "" {
		if o.eabKey != "" {
			return nil, misuse("give --eab-hmac-key or --eab-hmac-key-file, not both")
		}
		var err error
		if text, err = s.readSecret(o.eabKeyFile); err != nil {
			return nil, fmt.Errorf("--eab-hmac-key-file: %w", err)
		}
	}
	if o.eabKID == "" && text == "" {
		return nil, nil
	}
	if o.eabKID == "" || text == "" {
		return nil, misuse("EAB credentials are a key ID and an HMAC key: give both --eab-kid and --eab-hmac-key (or --eab-hmac-key-file)")
	}
	key, err := issuance.ParseEABKey(text)
	if err != nil {
		return nil, misuse("%w", err)
	}
	return &issuance.EAB{KeyID: o.eabKID, Key: key, Alg: o.eabAlg}, nil
}

func (s *session) readSecret(file string) (string, error) {
	const most = 64 << 10
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(s.Stdin, most))
		return string(data), err
	}
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most))
	return string(data), err
}
