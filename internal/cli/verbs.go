package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"vidimus/internal/certificate"
	"vidimus/internal/issuance"
	"vidimus/internal/lineage"
)

func (s *session) printJSON(v any) error {
	enc := json.NewEncoder(s.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// remove deletes lineages: the one that is named, or those that a person chooses.
func remove(ctx context.Context, s *session) error {
	names := []string{s.opts.CertName}
	if s.opts.CertName == "" {
		if s.ask == nil {
			return misuse("say which certificate to delete: --cert-name CERTNAME ('certificates' lists them)")
		}
		all, err := s.obtainer.Store.Names()
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return errors.New("No existing certificates found.") //lint:ignore ST1005 Certbot's words
		}
		if names, err = s.ask.several(ctx, "Which certificate(s) would you like to delete?", all); err != nil {
			return err
		}
	}
	if s.ask != nil {
		sure, err := s.ask.yes(ctx, "The following certificate(s) are selected for deletion:\n\n  * "+strings.Join(names, "\n  * ")+
			"\n\nWARNING: Before continuing, ensure that the listed certificates are not being used by any installed server software (e.g. Apache, nginx, mail servers). "+
			"Deleting a certificate that is still being used will cause the server software to stop working.\n\nAre you sure you want to delete the above certificate(s)?", "Yes", "No")
		if err != nil || !sure {
			return err
		}
	}
	for _, name := range names {
		if err := s.deleteLineage(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) deleteLineage(name string) error {
	if err := s.obtainer.Store.Delete(name); err != nil {
		return err
	}
	s.obtainer.Hooked(name)
	fmt.Fprintf(s.out, "Deleted all files relating to certificate %s.\n", name)
	return nil
}

func revoke(ctx context.Context, s *session) error {
	o := s.opts
	if (o.CertName == "") == (o.certPath == "") {
		return misuse("Error! Exactly one of --cert-path or --cert-name must be specified!")
	}
	l, path, err := s.toRevoke()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--cert-path: %w; 'certificates' lists where those here are", err)
	}
	chain, err := certificate.ParseChain(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if o.keyPath != "" {
		err = s.revokeByKey(ctx, chain[0])
	} else {
		err = s.revokeByAccount(ctx, chain[0], l)
	}
	if err != nil {
		return err
	}
	if err := s.deleteRevoked(ctx, l); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Congratulations! You have successfully revoked the certificate that was located at %s.\n", path)
	return nil
}

// revokeByKey revokes with the certificate's own key (RFC 8555 §7.6).
func (s *session) revokeByKey(ctx context.Context, cert *x509.Certificate) error {
	file := s.opts.keyPath
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("--key-path: %w", err)
	}
	key, err := certificate.ParseKey(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !certificate.KeyMatches(cert, key) {
		return fmt.Errorf("%s is not the private key of the certificate", file)
	}
	ca, err := s.obtainer.Connections.CA(ctx, s.opts.Server)
	if err != nil {
		return err
	}
	return ca.Revoke(ctx, issuance.Account{Key: key}, cert, key, s.opts.reason)
}

// revokeByAccount revokes with the account, that of the lineage if it has one.
func (s *session) revokeByAccount(ctx context.Context, cert *x509.Certificate, l *lineage.Lineage) error {
	s.obtainer.Connections.Register = nil // a new account could not revoke anything
	if s.accountOf(l) == "" {
		if err := s.pickAccount(ctx); err != nil {
			return err
		}
	}
	a, err := s.obtainer.Connections.Account(ctx, s.opts.Server, s.accountOf(l))
	if err != nil {
		return err
	}
	ca, err := s.obtainer.Connections.CA(ctx, s.opts.Server)
	if err != nil {
		return err
	}
	return ca.Revoke(ctx, issuance.Account{Key: a.Key, URL: a.URL}, cert, nil, s.opts.reason)
}

// toRevoke finds the certificate, and its lineage if it has one, whose server is
// the one to ask.
func (s *session) toRevoke() (*lineage.Lineage, string, error) {
	o := s.opts
	if o.CertName != "" {
		l, err := s.obtainer.Store.Load(o.CertName)
		if err != nil {
			return nil, "", err
		}
		if server := l.Server(); server != "" && !o.IsSet("server") {
			o.Server = server
		}
		return l, l.Cert(), nil
	}
	l := s.lineageOf(o.certPath)
	if l != nil && l.Server() != "" && !o.IsSet("server") {
		o.Server = l.Server()
	}
	return l, o.certPath, nil
}

// lineageOf finds the lineage that a certificate file is a part of.
func (s *session) lineageOf(path string) *lineage.Lineage {
	names, err := s.obtainer.Store.Names()
	if err != nil {
		return nil
	}
	for _, n := range names {
		if l, err := s.obtainer.Store.Load(n); err == nil && l.Has(path) {
			return l
		}
	}
	return nil
}

func (s *session) accountOf(l *lineage.Lineage) string {
	if s.opts.Account == "" && l != nil && l.Server() == s.opts.Server {
		return l.Params().String("account")
	}
	return s.opts.Account
}

// deleteRevoked deletes a lineage unless the person wants to keep it, or another one
// uses its archive.
func (s *session) deleteRevoked(ctx context.Context, l *lineage.Lineage) error {
	if l == nil {
		return nil
	}
	sure := true
	if choice := s.opts.deleteAfterRevoke; choice != nil {
		sure = *choice
	} else if s.ask != nil {
		var err error
		sure, err = s.ask.yes(ctx, "Would you like to delete the certificate(s) you just revoked, along with all earlier and later versions of the certificate?", "Yes (recommended)", "No")
		if err != nil {
			return err
		}
	}
	if !sure {
		return nil
	}
	names, err := s.obtainer.Store.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if other, err := s.obtainer.Store.Load(n); err == nil && n != l.Name && other.Archive() == l.Archive() {
			fmt.Fprintf(s.Stderr, "Not deleting revoked certificates due to overlapping archive dirs. More than one certificate is using %s\n", l.Archive())
			return nil
		}
	}
	return s.deleteLineage(l.Name)
}
