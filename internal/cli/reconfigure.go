package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// reconfigure changes what a lineage is renewed with, once a trial has shown that it
// works.
func reconfigure(ctx context.Context, s *session) error {
	o := s.opts
	if len(o.Domains) > 0 {
		return misuse("You have specified domains, but this function cannot be used to modify the domains in a certificate. To do so, use 'certonly --cert-name' with -d; to choose a certificate, use --cert-name here.")
	}
	if err := s.askCertName(ctx, "Which certificate would you like to reconfigure?"); err != nil {
		return err
	}
	l, err := s.obtainer.Store.Load(o.CertName)
	if err != nil {
		return err
	}
	set, err := s.reconfigured(l)
	if err != nil {
		return err
	}
	if o.Domains, err = s.identifiers(l); err != nil {
		return err
	}
	if err := s.trial(ctx, l, set.Clone()); err != nil {
		return err
	}
	if err := l.Conf.Set("version", settings.Certbot); err != nil {
		return err
	}
	before := l.Conf.Bytes()
	if err := l.Record(set, true); err != nil {
		return err
	}
	if bytes.Equal(before, l.Conf.Bytes()) {
		fmt.Fprintln(s.out, "\nNo changes were made to the renewal configuration.")
		return nil
	}
	if err := l.WriteConf(); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "\nSuccessfully updated configuration.\nChanges will apply when the certificate renews.")
	return nil
}

// reconfigured is what the lineage would be renewed with.
func (s *session) reconfigured(l *lineage.Lineage) (*settings.Settings, error) {
	params := l.Params()
	set := s.opts.Settings.Clone()
	if err := set.Restore(params); err != nil {
		return nil, fmt.Errorf("%s: %w", s.obtainer.Store.ConfPath(l.Name), err)
	}
	if !s.opts.Chosen("account") {
		set.Account = params.String("account")
	}
	if set.Server != params.String("server") || set.Account != params.String("account") {
		return nil, errors.New("Using reconfigure to change the ACME account or server is not supported. If you would like to do so, use renew with the --force-renewal flag instead of reconfigure.") //lint:ignore ST1005 Certbot's words
	}
	if set.Authenticator != "webroot" {
		set.WebrootPath, set.WebrootMap = nil, nil
	}
	if s.opts.Chosen("webroot_path") && !s.opts.Chosen("webroot_map") {
		set.WebrootMap = nil
	}
	return set, nil
}

// trial renews the lineage with set, and saves nothing.
func (s *session) trial(ctx context.Context, l *lineage.Lineage, set *settings.Settings) error {
	o := s.opts
	set.DryRun = true
	if set.Server == settings.DefaultServer {
		set.Server, set.Account = settings.StagingServer, ""
		found, _ := filepath.Glob(filepath.Join(o.ConfigDir, "accounts", "*"))
		o.agreeTOS = o.agreeTOS || len(found) > 0
	}
	set.Domains, set.RunDeployHooks = o.Domains, o.RunDeployHooks
	o.Settings = set
	if err := s.askCredentials(ctx); err != nil {
		return err
	}
	if err := s.askWebroots(ctx); err != nil {
		return err
	}
	if _, err := s.obtain(ctx, l); err != nil {
		fmt.Fprintln(s.Stderr, "The trial with the new options failed, so nothing was changed.")
		return err
	}
	fmt.Fprintln(s.out, "The dry run was successful.")
	return nil
}

// askCertName asks for one of the lineages when --cert-name is missing.
func (s *session) askCertName(ctx context.Context, question string) error {
	o := s.opts
	if o.CertName != "" {
		return nil
	}
	names, err := s.obtainer.Store.Names()
	if err != nil {
		return err
	}
	if s.ask == nil {
		return misuse("say which certificate is meant: --cert-name CERTNAME ('certificates' lists them)")
	}
	if len(names) == 0 {
		return errors.New("No existing certificates found.") //lint:ignore ST1005 Certbot's words
	}
	i, err := s.ask.menu(ctx, question, names)
	if err == nil {
		o.CertName = names[i]
	}
	return err
}
