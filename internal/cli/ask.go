package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"vidimus/internal/authenticator/dns"
	"vidimus/internal/authenticator/webroot"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
)

// pickAuthenticator finds the authenticator when the command line names none: that of
// the certificate which is to be renewed, or the one that a person chooses.
func (s *session) pickAuthenticator(ctx context.Context) error {
	o := s.opts
	if o.Authenticator == "" && o.CertName != "" {
		s.sameAuthenticator()
	}
	if o.Authenticator == "" && s.ask != nil {
		if err := s.askAuthenticator(ctx); err != nil {
			return err
		}
	}
	if o.Authenticator == "" {
		// It binds a port only if the CA wants a proof, which one that knows its
		// subscribers may not; and Certbot renews nothing that names no authenticator.
		o.Authenticator = "standalone"
	}
	return s.askCredentials(ctx)
}

// sameAuthenticator takes over what the lineage --cert-name proves control with.
func (s *session) sameAuthenticator() {
	o := s.opts
	l, err := s.obtainer.Store.Load(o.CertName)
	if err != nil {
		return // said later, with what to do
	}
	was := o.Settings.Clone()
	if was.Restore(l.Params()) != nil || !slices.Contains(authenticatorNames(), was.Authenticator) {
		return
	}
	o.Authenticator, o.Plugin = was.Authenticator, was.Plugin
	o.HTTP01Port, o.HTTP01Address, o.PrefChallenges = was.HTTP01Port, was.HTTP01Address, was.PrefChallenges
	o.WebrootPath, o.WebrootMap = was.WebrootPath, was.WebrootMap
}

func (s *session) askAuthenticator(ctx context.Context) error {
	var offered []plugin
	var choices []string
	for _, p := range authenticators() {
		if p.Name == "manual" || p.Name == dns.Generic { // these take more than a choice
			continue
		}
		offered = append(offered, p)
		choices = append(choices, fmt.Sprintf("%s (%s)", p.Description, p.Name))
	}
	i, err := s.ask.menu(ctx, "How would you like to authenticate with the ACME CA?", choices)
	if err != nil {
		return err
	}
	return s.opts.authenticator(offered[i].Name)("")
}

// askCredentials asks where the credentials of a DNS provider are.
func (s *session) askCredentials(ctx context.Context) error {
	o := s.opts
	i := slices.IndexFunc(dns.Plugins(), func(p dns.Plugin) bool { return p.Name == o.Authenticator })
	if i < 0 || s.ask == nil || o.Authenticator == dns.Generic || o.Authenticator == "dns-google" {
		return nil
	}
	p := dns.Plugins()[i]
	dest := strings.ReplaceAll(p.Name, "-", "_") + "_credentials"
	has := slices.ContainsFunc(p.Options, func(po dns.Option) bool { return po.Name == "credentials" })
	if !has || o.PluginOption(dest) != "" {
		return nil
	}
	_, err := s.ask.text(ctx, fmt.Sprintf("Input the path to your %s credentials INI file", p.Name), func(answer string) error {
		if rest, ok := strings.CutPrefix(answer, "~/"); ok {
			answer = filepath.Join(s.Getenv("HOME"), rest)
		}
		if err := readable(answer); err != nil {
			return err
		}
		return o.pluginFile(dest)(answer)
	})
	o.MarkSet(dest)
	return err
}

// askNames asks what is to be certified.
func (s *session) askNames(ctx context.Context) error {
	o := s.opts
	if len(o.Domains) > 0 {
		return nil
	}
	if o.CertName != "" {
		if _, err := s.obtainer.Store.Load(o.CertName); s.ask == nil || !errors.Is(err, lineage.ErrNone) {
			return nil
		}
	}
	if s.ask == nil {
		return misuse("Please specify --domains, or --cert-name for an existing certificate name.")
	}
	_, err := s.ask.text(ctx, "Please enter the domain name(s) you would like on your certificate (comma and/or\nspace separated)", func(answer string) error {
		var ids []identifier.Identifier
		for _, name := range separate(answer) {
			id, err := parseDomain(name)
			if err != nil {
				return fmt.Errorf("One or more of the entered domain names was not valid:\n%w", err) //lint:ignore ST1005 Certbot's words
			}
			ids = append(ids, id)
		}
		if len(ids) == 0 {
			return fmt.Errorf("at least one name is needed")
		}
		for _, id := range ids {
			o.addIdentifier(id)
		}
		return nil
	})
	return err
}

// askWebroots gives each name the directory that it is to be proved in.
func (s *session) askWebroots(ctx context.Context) error {
	o := s.opts
	if o.Authenticator != "webroot" {
		return nil
	}
	var known []string
	for _, id := range o.Domains {
		root := o.WebrootOf(id.Value)
		if root == "" {
			if s.ask == nil {
				return misuse("no document root is known for %s: give one with -w DIR in front of -d %s", id, id)
			}
			var err error
			if root, err = s.askWebroot(ctx, id, known); err != nil {
				return err
			}
			if len(o.WebrootPath) == 0 {
				defer func() { o.WebrootPath = known }() // as Certbot saves it
			}
		}
		if !slices.Contains(known, root) {
			known = append(known, root)
		}
		o.SetWebroot(id.Value, root)
	}
	return nil
}

func (s *session) askWebroot(ctx context.Context, id identifier.Identifier, known []string) (root string, err error) {
	if len(known) > 0 {
		i, err := s.ask.menu(ctx, "Select the webroot for "+id.Value+":", append([]string{"Enter a new webroot"}, known...))
		if err != nil || i > 0 {
			return known[max(i-1, 0)], err
		}
	}
	_, err = s.ask.text(ctx, "Input the webroot for "+id.Value+":", func(answer string) (err error) {
		root, err = webroot.CheckRoot(answer)
		return err
	})
	return root, err
}
