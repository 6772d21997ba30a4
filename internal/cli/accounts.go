package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/account"
	"vidimus/internal/issuance"
	"vidimus/internal/registration"
)

// register makes an account with what the command line says and a person adds.
func (s *session) register(ctx context.Context, ca *issuance.CA, accounts *account.Store) (account.Account, error) {
	eab, err := s.eab()
	if err != nil {
		return account.Account{}, err
	}
	if err := s.askForAccount(ctx, ca); err != nil {
		return account.Account{}, err
	}
	a, err := registration.Register(ctx, ca, accounts, registration.Request{Emails: s.opts.emails, AgreeTOS: s.opts.agreeTOS, EAB: eab})
	if err != nil {
		return a, fmt.Errorf("Unable to register an account with ACME server: %w", err) //lint:ignore ST1005 Certbot's words
	}
	fmt.Fprintln(s.out, "Account registered.")
	return a, nil
}

// askForAccount asks for what a new account needs and the command line left open.
func (s *session) askForAccount(ctx context.Context, ca *issuance.CA) error {
	o := s.opts
	if s.ask == nil {
		return nil
	}
	if len(o.emails) == 0 && !o.withoutEmail {
		if err := s.askEmail(ctx, "Enter email address or hit Enter to skip.", true); err != nil {
			return err
		}
	}
	if tos := ca.TermsOfService(); tos != "" && !o.agreeTOS {
		agreed, err := s.ask.yes(ctx, fmt.Sprintf("Please read the Terms of Service at:\n%s\nYou must agree in order to register with the ACME server. Do you agree?", tos), "Yes", "No")
		if err != nil {
			return err
		}
		if !agreed {
			return errors.New("Registration cannot proceed without accepting Terms of Service.") //lint:ignore ST1005 Certbot's words
		}
		o.agreeTOS = true
	}
	return nil
}

func (s *session) askEmail(ctx context.Context, question string, optional bool) error {
	_, err := s.ask.text(ctx, question+"\n", func(answer string) (err error) {
		if answer == "" && optional {
			return nil
		}
		s.opts.emails, err = registration.ParseEmails(answer)
		return err
	})
	return err
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

// pickAccount asks which of several accounts at the server is meant, unless that is
// said already.
func (s *session) pickAccount(ctx context.Context) error {
	if s.opts.Account != "" || s.ask == nil {
		return nil
	}
	accounts, err := account.Open(s.opts.ConfigDir, s.opts.Server)
	if err != nil {
		return nil // said later, with what to do
	}
	all, err := accounts.List()
	if err != nil || len(all) < 2 {
		return err
	}
	var choices []string
	for _, a := range all {
		choices = append(choices, fmt.Sprintf("%s@%s (%.4s)", a.Host, a.Created.UTC().Format(time.RFC3339), a.ID))
	}
	i, err := s.ask.menu(ctx, "Please choose an account", choices)
	if err != nil {
		return err
	}
	s.opts.Account = all[i].ID
	return nil
}

func register(ctx context.Context, s *session) error {
	if _, err := s.eab(); err != nil { // before anything is done
		return err
	}
	accounts, err := account.Open(s.opts.ConfigDir, s.opts.Server)
	if err != nil {
		return misuse("--server: %w", err)
	}
	all, err := accounts.List()
	if err != nil {
		return err
	}
	if len(all) > 0 {
		return errors.New("There is an existing account; registration of a duplicate account with this command is currently unsupported. 'show_account' shows it, and 'update_account' changes its address.") //lint:ignore ST1005 Certbot's words
	}
	_, err = s.obtainer.Connections.Account(ctx, s.opts.Server, "")
	return err
}

// existing finds the account of a verb that is about one.
func (s *session) existing(ctx context.Context) (*issuance.CA, account.Account, error) {
	s.obtainer.Connections.Register = nil
	accounts, err := account.Open(s.opts.ConfigDir, s.opts.Server)
	if err != nil {
		return nil, account.Account{}, misuse("--server: %w", err)
	}
	if all, err := accounts.List(); err != nil {
		return nil, account.Account{}, err
	} else if len(all) == 0 {
		return nil, account.Account{}, fmt.Errorf("Could not find an existing account for server %s: make one with 'register', or name another --server", s.opts.Server) //lint:ignore ST1005 Certbot's words
	}
	if err := s.pickAccount(ctx); err != nil {
		return nil, account.Account{}, err
	}
	a, err := s.obtainer.Connections.Account(ctx, s.opts.Server, s.opts.Account)
	if err != nil {
		return nil, a, err
	}
	ca, err := s.obtainer.Connections.CA(ctx, s.opts.Server)
	return ca, a, err
}

// updateAccount changes the e-mail addresses that the CA has.
func updateAccount(ctx context.Context, s *session) error {
	o := s.opts
	ca, a, err := s.existing(ctx)
	if err != nil {
		return err
	}
	if len(o.emails) == 0 && !o.withoutEmail {
		if s.ask == nil {
			return misuse("say what to change: --email ADDRESS, or --register-unsafely-without-email to remove the addresses")
		}
		if err := s.askEmail(ctx, "Enter the new email address", false); err != nil {
			return err
		}
	}
	if o.withoutEmail {
		o.emails = nil
	}
	if _, err := ca.SetEmails(ctx, issuance.Account{Key: a.Key, URL: a.URL}, o.emails); err != nil {
		return gone(err)
	}
	if len(o.emails) == 0 {
		fmt.Fprintln(s.out, "Any contact information associated with this account has been removed.")
		return nil
	}
	fmt.Fprintf(s.out, "Your e-mail address was updated to %s.\n", strings.Join(o.emails, ","))
	return nil
}

func showAccount(ctx context.Context, s *session) error {
	ca, a, err := s.existing(ctx)
	if err != nil {
		return err
	}
	d, err := ca.Show(ctx, issuance.Account{Key: a.Key, URL: a.URL})
	if err != nil {
		return gone(err)
	}
	thumbprint, err := issuance.Thumbprint(a.Key.Public())
	if err != nil {
		return err
	}
	if s.opts.json {
		return s.printJSON(struct {
			Server     string   `json:"server"`
			ID         string   `json:"id"`
			URL        string   `json:"url"`
			Thumbprint string   `json:"thumbprint"`
			Emails     []string `json:"emails"`
		}{s.opts.Server, a.ID, d.URL, thumbprint, append([]string{}, d.Emails...)})
	}
	emails, plural := strings.Join(d.Emails, ", "), ""
	switch len(d.Emails) {
	case 0:
		emails = "none"
	case 1:
	default:
		plural = "s"
	}
	fmt.Fprintf(s.out, "Account details for server %s:\n  Account URL: %s\n  Account Thumbprint: %s\n  Email contact%s: %s\n",
		s.opts.Server, d.URL, thumbprint, plural, emails)
	return nil
}

// unknown tells whether the CA does not have an account, as when its data were lost.
func unknown(err error) bool {
	var e *issuance.Error
	return errors.As(err, &e) && e.Type == "accountDoesNotExist"
}

// gone says what to do about an account that the CA does not have.
func gone(err error) error {
	if unknown(err) {
		return fmt.Errorf("%w; 'unregister' forgets it here, so that 'register' makes another one", err)
	}
	return err
}

func unregister(ctx context.Context, s *session) error {
	ca, a, err := s.existing(ctx)
	if err != nil {
		return err
	}
	if s.ask != nil {
		sure, err := s.ask.yes(ctx, "Are you sure you would like to irrevocably deactivate your account?", "Deactivate", "Abort")
		if err != nil {
			return err
		}
		if !sure {
			return errors.New("Deactivation aborted.") //lint:ignore ST1005 Certbot's words
		}
	}
	done := "Account deactivated."
	if err := ca.Deactivate(ctx, issuance.Account{Key: a.Key, URL: a.URL}); unknown(err) {
		done = "The CA does not know this account; it is forgotten here."
	} else if err != nil {
		return err
	}
	accounts, err := account.Open(s.opts.ConfigDir, s.opts.Server)
	if err != nil {
		return err
	}
	if err := accounts.Delete(a.ID); err != nil {
		return err
	}
	fmt.Fprintln(s.out, done)
	return nil
}
