package cli

import (
	"context"
	"fmt"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/renewal"
)

// certonly obtains a certificate, or renews one for the same names.
func certonly(ctx context.Context, s *session) error {
	o := s.opts
	if o.Authenticator == "" && len(o.WebrootPath) > 0 {
		return misuse("-w goes with --webroot: add that")
	}
	if err := s.pickAuthenticator(ctx); err != nil {
		return err
	}
	if o.CSR != nil {
		return s.certify(ctx)
	}
	if err := s.askNames(ctx); err != nil {
		return err
	}
	old, keep, err := s.choose(ctx)
	if err != nil {
		return err
	}
	if keep {
		fmt.Fprintf(s.out, "\n%s\nCertificate not yet due for renewal; no action taken.\n%s\n", renewal.Frame, renewal.Frame)
		return nil
	}
	if err := s.askWebroots(ctx); err != nil {
		return err
	}
	l, err := s.obtain(ctx, old)
	switch {
	case err == nil && o.DryRun:
		fmt.Fprintln(s.out, "The dry run was successful.")
	case l != nil:
		s.report(l)
	}
	return err
}

// obtain orders a certificate, stores it and runs the hooks. The lineage is nil when
// there is no new certificate.
func (s *session) obtain(ctx context.Context, old *lineage.Lineage) (l *lineage.Lineage, err error) {
	o := s.opts
	names := identifier.Values(o.Domains)
	if old != nil {
		if err := o.CheckReplace(names, old.Server()); err != nil {
			return nil, err
		}
	}
	if err := s.pickAccount(ctx); err != nil {
		return nil, err
	}
	if err := s.obtainer.Ready(ctx, o.Settings); err != nil {
		return nil, err
	}
	cmds := s.commands(old)
	s.hooks.Pre(ctx, cmds)
	var renewed, failed []string
	defer func() {
		s.hooks.SavePost(cmds)
		s.hooks.Post(context.WithoutCancel(ctx), renewed, failed)
	}()
	if l, err = s.issue(ctx, old, names); l == nil && (err != nil || !o.DryRun) {
		failed = names
		return nil, err
	}
	renewed = names
	if o.DryRun {
		if old != nil && o.RunDeployHooks {
			s.hooks.Deploy(ctx, cmds, old.Live(), names)
		}
		return nil, nil
	}
	if c, err := l.Certificate(); err == nil {
		renewed = lineage.Names(c) // some may be missing, with --allow-subset-of-names
	}
	s.hooks.Deploy(ctx, cmds, l.Live(), renewed)
	s.obtainer.Hooked(l.Name)
	return l, err
}

// commands are the hooks of this run.
func (s *session) commands(old *lineage.Lineage) hook.Commands {
	o := s.opts
	cmds := hook.Commands{Pre: o.PreHook, Post: o.PostHook, Deploy: o.DeployHook}
	if old != nil {
		cmds.Deploy = o.RenewHook
	}
	if o.DirectoryHooks {
		cmds.Dir = renewal.HookDir(o.ConfigDir)
	}
	return cmds
}

// issue gets the certificate and puts it into use, unless this is a dry run.
func (s *session) issue(ctx context.Context, old *lineage.Lineage, names []string) (*lineage.Lineage, error) {
	o := s.opts
	what := "Requesting a certificate"
	switch {
	case old == nil && o.DryRun:
		what = "Simulating a certificate request"
	case o.DryRun:
		what = "Simulating renewal of an existing certificate"
	case old != nil:
		what = "Renewing an existing certificate"
	}
	fmt.Fprintf(s.out, "%s for %s\n", what, renewal.Summary(names))
	m, err := s.obtainer.Order(ctx, o.Settings, o.Domains, old)
	for _, line := range m.Warnings(o.Settings) {
		fmt.Fprintln(s.Stderr, line)
	}
	if err != nil || o.DryRun {
		return nil, err
	}
	if old != nil {
		before, _ := old.Version()
		err := s.obtainer.Deploy(old, m, o.Settings, true)
		if after, _ := old.Version(); after > before {
			return old, err
		}
		return nil, err
	}
	name := o.CertName
	if name == "" {
		name = o.Domains[0].Base().Value
	}
	return s.obtainer.New(name, m, o.Settings)
}

// report tells where the certificate is, in Certbot's words.
func (s *session) report(l *lineage.Lineage) {
	c, err := l.Certificate()
	if err != nil {
		s.log.Warn("reading the new certificate", "error", err)
		return
	}
	fmt.Fprintf(s.out, "\nSuccessfully received certificate.\nCertificate is saved at: %s\nKey is saved at:         %s\n"+
		"This certificate expires on %s.\nThese files will be updated when the certificate renews.\n",
		l.Fullchain(), l.Privkey(), c.NotAfter.UTC().Format(time.DateOnly))
	byHand := s.opts.Authenticator == "manual" && s.opts.PluginOption("manual_auth_hook") == ""
	switch {
	case byHand:
		s.nextStep("This certificate will not be renewed automatically. Autorenewal of --manual certificates requires the use of an authentication hook script " +
			"(--manual-auth-hook) but one was not provided. To renew this certificate, repeat this same " + s.Name + " command before the certificate's expiry date.")
	case s.opts.preconfigured:
		fmt.Fprintln(s.out, "A scheduled task renews this certificate in the background.")
	default:
		s.nextStep("The certificate will need to be renewed before it expires: let '" + s.Name + " renew -q' run twice a day, from cron or a systemd timer.")
	}
}

func (s *session) nextStep(text string) { fmt.Fprintf(s.out, "\nNEXT STEPS:\n- %s\n", text) }
