package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/renewal"
)

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
			return s.rename(ctx, old, have)
		}
		o.Domains = have
		return s.identical(ctx, old)
	}
	if o.duplicate {
		return nil, false, nil
	}
	same, part, err := s.search()
	switch {
	case err != nil:
		return nil, false, err
	case same != nil:
		return s.identical(ctx, same)
	case part != nil:
		return s.expand(ctx, part)
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
		id, err := identifier.ParseLocal(n)
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

// rename decides about the lineage of the name --cert-name when other names are asked
// for.
func (s *session) rename(ctx context.Context, l *lineage.Lineage, have []identifier.Identifier) (*lineage.Lineage, bool, error) {
	if _, err := s.matchKeyType(ctx, l); err != nil {
		return nil, false, err
	}
	if s.ask == nil || s.opts.newDomains {
		return l, false, nil
	}
	sure, err := s.ask.yes(ctx, fmt.Sprintf("You are updating certificate %s to include new domain(s): %s\n\nYou are also removing previously included domain(s): %s\n\nDid you intend to make this change?",
		l.Name, marked("+", s.opts.Domains, have), marked("-", have, s.opts.Domains)), "Update certificate", "Cancel")
	if err == nil && !sure {
		err = errors.New("Specified mismatched certificate name and domains.") //lint:ignore ST1005 Certbot's words
	}
	return l, false, err
}

// marked lists those of ids that are not among others.
func marked(mark string, ids, others []identifier.Identifier) string {
	text := ""
	for _, id := range identifier.Sorted(ids) {
		if !slices.Contains(others, id) {
			text += "\n" + mark + " " + id.Value
		}
	}
	if text == "" {
		return "\n(None)"
	}
	return text
}

// expand decides about a lineage for some of the names asked for.
func (s *session) expand(ctx context.Context, l *lineage.Lineage) (*lineage.Lineage, bool, error) {
	o := s.opts
	if _, err := s.matchKeyType(ctx, l); err != nil {
		return nil, false, err
	}
	if o.Expand || o.ForceRenewal {
		return l, false, nil
	}
	have, _ := s.identifiers(l)
	if s.ask == nil {
		return nil, false, fmt.Errorf("the certificate %s has some of these names (%s): give --expand to replace it by one with all of them, or --duplicate for another one beside it",
			l.Name, renewal.Summary(identifier.Values(have)))
	}
	names := strings.Join(identifier.Values(have), ", ")
	sure, err := s.ask.yes(ctx, fmt.Sprintf("You have an existing certificate that contains a portion of the domains you requested (ref: %s)\n\nIt contains these names: %s\n\n"+
		"You requested these names for the new certificate: %s.\n\nDo you want to expand and replace this existing certificate with the new certificate?",
		s.obtainer.Store.ConfPath(l.Name), names, strings.Join(identifier.Values(o.Domains), ", ")), "Expand", "Cancel")
	if err == nil && !sure {
		err = fmt.Errorf("To obtain a new certificate that contains these names without replacing your existing certificate for %s, you must use the --duplicate option.", names) //lint:ignore ST1005 Certbot's words
	}
	return l, false, err
}

// identical decides about a lineage for the very names asked for: it is renewed
// when it is due, forced, or its key is to be of another type.
func (s *session) identical(ctx context.Context, l *lineage.Lineage) (*lineage.Lineage, bool, error) {
	o := s.opts
	changed, err := s.matchKeyType(ctx, l)
	if err != nil {
		return nil, false, err
	}
	if v, ok := l.Pending(); ok {
		fmt.Fprintf(s.Stderr, "Found a new certificate in %s that was not in use, as after a crash; the next 'renew' puts it into use (version %d).\n", l.Archive(), v)
		return l, !o.ForceRenewal, nil
	}
	wanted := !strings.EqualFold(l.Params().String("autorenew"), "false")
	if changed || o.ForceRenewal || o.DryRun || wanted && s.obtainer.Due(ctx, l) {
		return l, false, nil
	}
	fmt.Fprintln(s.out, "Certificate not yet due for renewal")
	if o.keep || s.ask == nil {
		return l, true, nil
	}
	what, err := s.ask.menu(ctx, fmt.Sprintf("You have an existing certificate that has exactly the same domains or certificate name you requested and isn't close to expiry.\n(ref: %s)\n\nWhat would you like to do?",
		s.obtainer.Store.ConfPath(l.Name)), []string{"Keep the existing certificate for now", "Renew & replace the certificate (may be subject to CA rate limits)"})
	return l, what == 0, err
}

// matchKeyType keeps a lineage's type of key unless another one is asked for without
// doubt, and tells whether it is to change.
func (s *session) matchKeyType(ctx context.Context, l *lineage.Lineage) (changed bool, err error) {
	key, err := l.Key()
	if err != nil {
		return false, err
	}
	o, have := s.opts, renewal.KeyType(key)
	if have == o.KeyType {
		return false, nil
	}
	if !o.Chosen("key_type") {
		o.KeyType = have
		return false, nil
	}
	if o.Chosen("certname") {
		return true, nil
	}
	if s.ask != nil {
		sure, err := s.ask.yes(ctx, fmt.Sprintf("An %s certificate named %s already exists. Do you want to update its key type to %s?",
			strings.ToUpper(have), l.Name, strings.ToUpper(o.KeyType)), "Update key type", "Keep existing key type")
		if err != nil || sure {
			return sure, err
		}
	}
	return false, fmt.Errorf("Are you trying to change the key type of the certificate named %s from %s to %s? Please provide both --cert-name and --key-type on the command line to confirm the change you are trying to make.", //lint:ignore ST1005 Certbot's words
		l.Name, strings.ToUpper(have), strings.ToUpper(o.KeyType))
}
