package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/renewal"
)

// certonly obtains a certificate, or renews one for the same names.
func certonly(ctx context.Context, s *session) error {
	o := s.opts
	if err := o.checkCertonly(); err != nil {
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
	if o.Authenticator == "webroot" {
		for _, id := range o.Domains {
			if root := o.WebrootOf(id.Value); root != "" {
				o.SetWebroot(id.Value, root)
			}
		}
	}
	l, err := s.obtain(ctx, old)
	if l != nil {
		s.report(l)
	}
	return err
}

func (o *options) checkCertonly() error {
	if o.Authenticator == "" && len(o.WebrootPath) > 0 {
		return misuse("-w goes with --webroot: add that")
	}
	if o.Authenticator == "" {
		// It binds a port only if the CA wants a proof, which one that knows its
		// subscribers may not; and Certbot renews nothing that names no authenticator.
		o.Authenticator = "standalone"
	}
	if len(o.Domains) == 0 && o.CertName == "" {
		return misuse("Please specify --domains, or --cert-name for an existing certificate name.")
	}
	if o.CertName != "" {
		if err := lineage.CheckName(o.CertName); err != nil {
			return misuse("--cert-name: %w", err)
		}
	}
	return nil
}

// choose finds the lineage that this certificate is to renew, if any, by Certbot's
// rules: the one of the name, the one for the same names, or the largest one for
// some of them. keep says that there is nothing to do.
func (s *session) choose(ctx context.Context) (old *lineage.Lineage, keep bool, err error) {
	o := s.opts
	if o.CertName != "" {
		old, err := s.obtainer.Store.Load(o.CertName)
		switch {
		case errors.Is(err, lineage.ErrNone) && len(o.Domains) > 0:
			return nil, false, nil
		case err != nil:
			return nil, false, err
		}
		have, err := s.identifiers(old)
		if err != nil {
			return nil, false, err
		}
		if len(o.Domains) > 0 && !sameSet(have, o.Domains) {
			return old, false, s.matchKeyType(old)
		}
		o.Domains = have
		return s.identical(ctx, old)
	}
	same, part, err := s.search()
	switch {
	case err != nil:
		return nil, false, err
	case same != nil:
		return s.identical(ctx, same)
	case part != nil:
		if !o.Expand && !o.ForceRenewal {
			have, _ := s.identifiers(part)
			return nil, false, fmt.Errorf("the certificate %s has some of these names (%s): give --expand to replace it by one with all of them, or --cert-name for another one beside it",
				part.Name, strings.Join(identifier.Values(have), ", "))
		}
		return part, false, s.matchKeyType(part)
	}
	return nil, false, nil
}

// search looks through all lineages; broken ones are passed over.
func (s *session) search() (same, part *lineage.Lineage, err error) {
	names, err := s.obtainer.Store.Names()
	if err != nil {
		return nil, nil, err
	}
	best := 0
	for _, n := range names {
		l, err := s.obtainer.Store.Load(n)
		if err != nil {
			s.log.Warn("passing over a broken lineage", "lineage", n, "error", err)
			continue
		}
		have, err := s.identifiers(l)
		if err != nil {
			continue
		}
		switch {
		case sameSet(have, s.opts.Domains):
			same = l
		case isSubset(have, s.opts.Domains) && len(have) > best:
			part, best = l, len(have)
		}
	}
	return same, part, nil
}

func (s *session) identifiers(l *lineage.Lineage) ([]identifier.Identifier, error) {
	c, err := l.Certificate()
	if err != nil {
		return nil, err
	}
	var ids []identifier.Identifier
	for _, n := range lineage.Names(c) {
		id, err := identifier.Parse(n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func sameSet(a, b []identifier.Identifier) bool {
	return slices.Equal(identifier.Sorted(a), identifier.Sorted(b))
}

func isSubset(a, b []identifier.Identifier) bool {
	return len(a) > 0 && !slices.ContainsFunc(a, func(id identifier.Identifier) bool { return !slices.Contains(b, id) })
}

// identical decides about a lineage for the very names asked for: it is renewed
// when it is due, forced, or its key is to be of another type.
func (s *session) identical(ctx context.Context, l *lineage.Lineage) (*lineage.Lineage, bool, error) {
	before := s.opts.KeyType
	if err := s.matchKeyType(l); err != nil {
		return nil, false, err
	}
	key, err := l.Key()
	if err != nil {
		return nil, false, err
	}
	if v, ok := l.Pending(); ok {
		fmt.Fprintf(s.Stderr, "Found a new certificate in %s that was not in use, as after a crash; the next 'renew' puts it into use (version %d).\n", l.Archive(), v)
		return l, !s.opts.ForceRenewal, nil
	}
	changed := s.opts.Chosen("key_type") && before != renewal.KeyType(key)
	if changed || s.opts.ForceRenewal || s.obtainer.Due(ctx, l) {
		return l, false, nil
	}
	return l, true, nil
}

// matchKeyType keeps a lineage's type of key unless another one is asked for
// without doubt.
func (s *session) matchKeyType(l *lineage.Lineage) error {
	key, err := l.Key()
	if err != nil {
		return err
	}
	o, have := s.opts, renewal.KeyType(key)
	switch {
	case have == o.KeyType:
	case !o.Chosen("key_type"):
		o.KeyType = have
	case !o.Chosen("certname"):
		return fmt.Errorf("Are you trying to change the key type of the certificate named %s from %s to %s? Please provide both --cert-name and --key-type on the command line to confirm the change you are trying to make.", //lint:ignore ST1005 Certbot's words
			l.Name, strings.ToUpper(have), strings.ToUpper(o.KeyType))
	}
	return nil
}

// obtain orders a certificate, stores it and runs the hooks. The lineage is nil when
// there is no new certificate.
func (s *session) obtain(ctx context.Context, old *lineage.Lineage) (*lineage.Lineage, error) {
	o := s.opts
	if err := s.obtainer.Ready(ctx, o.Settings); err != nil {
		return nil, err
	}
	cmds := hook.Commands{Pre: o.PreHook, Post: o.PostHook, Deploy: o.DeployHook}
	if old != nil {
		cmds.Deploy = o.RenewHook
	}
	if o.DirectoryHooks {
		cmds.Dir = renewal.HookDir(o.ConfigDir)
	}
	names := identifier.Values(o.Domains)
	s.hooks.Pre(ctx, cmds)
	var renewed, failed []string
	defer func() {
		s.hooks.SavePost(cmds)
		s.hooks.Post(context.WithoutCancel(ctx), renewed, failed)
	}()
	l, err := s.issue(ctx, old, names)
	if l == nil {
		failed = names
		return nil, err
	}
	renewed = names
	s.hooks.Deploy(ctx, cmds, l.Live(), names)
	s.obtainer.Hooked(l.Name)
	return l, err
}

// issue gets the certificate and puts it into use.
func (s *session) issue(ctx context.Context, old *lineage.Lineage, names []string) (*lineage.Lineage, error) {
	o := s.opts
	if old == nil {
		fmt.Fprintf(s.out, "Requesting a certificate for %s\n", renewal.Summary(names))
	} else {
		fmt.Fprintf(s.out, "Renewing an existing certificate for %s\n", renewal.Summary(names))
	}
	m, err := s.obtainer.Order(ctx, o.Settings, o.Domains, old)
	if err != nil {
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
	if s.opts.preconfigured {
		fmt.Fprintln(s.out, "A scheduled task renews this certificate in the background.")
		return
	}
	fmt.Fprintf(s.out, "\nNEXT STEPS:\n- The certificate will need to be renewed before it expires: let '%s renew -q' run twice a day, from cron or a systemd timer.\n", s.Name)
}
