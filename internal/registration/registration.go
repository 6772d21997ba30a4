// Package registration makes an ACME account, at the CA and on disk, so that a kill
// or a lost answer between the two costs nothing: the next attempt goes on with the
// key of the last one, which the CA may know already (RFC 8555 §7.3.1). That
// matters where EAB credentials work only once.
package registration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"vidimus/internal/account"
	"vidimus/internal/issuance"
)

// Request is what a person wants an account with.
type Request struct {
	Emails   []string // may be empty
	AgreeTOS bool     // to what the CA has for its terms of service
	EAB      *issuance.EAB
}

// Register makes an account at ca and stores it.
func Register(ctx context.Context, ca *issuance.CA, store *account.Store, r Request) (account.Account, error) {
	if err := r.check(ca); err != nil {
		return account.Account{}, err
	}
	key, resumed, err := store.PendingKey()
	if err != nil {
		return account.Account{}, err
	}
	var at issuance.Account
	found := false
	if resumed {
		at, err = ca.Find(ctx, key)
		found = err == nil
	}
	if !found {
		at, err = ca.Register(ctx, key, issuance.Registration{Emails: r.Emails, EAB: r.EAB})
	}
	if err != nil {
		if refused(err) {
			store.DropPending()
		}
		return account.Account{}, err
	}
	host, _ := os.Hostname()
	a := account.Account{Key: key, URL: at.URL, Created: time.Now(), Host: host}
	if err := store.Save(&a); err != nil {
		return account.Account{}, err
	}
	return a, nil
}

func (r Request) check(ca *issuance.CA) error {
	switch {
	case ca.NeedsEAB() && r.EAB == nil:
		return errors.New("this server requires external account binding: give --eab-kid and --eab-hmac-key, which your CA has for you")
	case ca.TermsOfService() != "" && !r.AgreeTOS:
		return fmt.Errorf("you must agree to the terms of service at %s in order to register: read them and run this again with --agree-tos", ca.TermsOfService())
	}
	return nil
}

// refused tells whether the CA will never take the registration, so that its key
// is of no use.
func refused(err error) bool {
	var e *issuance.Error
	return errors.As(err, &e) && e.Type != "" && e.Type != "serverInternal" && e.Type != "rateLimited" && e.Type != "badNonce"
}

// ParseEmails reads a comma-separated list of addresses.
func ParseEmails(text string) ([]string, error) {
	var all []string
	for e := range strings.SplitSeq(text, ",") {
		e = strings.TrimSpace(e)
		local, domain, ok := strings.Cut(e, "@")
		if !ok || local == "" || domain == "" || strings.ContainsAny(e, " \t\r\n<>?&") {
			return nil, fmt.Errorf("%q is not an e-mail address", e)
		}
		all = append(all, e)
	}
	return all, nil
}
