package admin

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"vidimus/internal/acme"
	"vidimus/internal/config"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// accountView is an account as it is shown.
type accountView struct {
	ID         int64       `json:"number"`
	URL        string      `json:"url"`
	Directory  string      `json:"directory"`
	State      acme.Status `json:"state"`
	Staging    bool        `json:"staging,omitempty"`
	ACMEID     string      `json:"acme_id,omitempty"` // FQDN
	Contact    []string    `json:"contact"`
	Thumbprint string      `json:"thumbprint"` // of the key, RFC 7638
	Created    time.Time   `json:"created"`
	Agreed     time.Time   `json:"terms_agreed,omitzero"`
	AgreedTo   string      `json:"terms,omitempty"`
	Suspended  string      `json:"suspended,omitempty"`  // why, it or its ACME-ID
	UserAgent  string      `json:"user_agent,omitempty"` // of the client that registered it
	Address    string      `json:"address,omitempty"`    // and from where
}

func viewAccount(cfg *config.Config, a store.Account) accountView {
	if a.Contact == nil {
		a.Contact = []string{}
	}
	return accountView{ID: a.ID, URL: fmt.Sprintf("%s/acme/%s/acct/%d", cfg.URL, a.Directory, a.ID), Directory: a.Directory, State: a.Status, Staging: a.Staging,
		ACMEID: a.ACMEIDFQDN, Contact: a.Contact, Thumbprint: a.Thumbprint, Created: a.Created, Agreed: a.Agreed, AgreedTo: a.AgreedTo,
		Suspended: a.Suspended, UserAgent: a.UserAgent, Address: a.Address}
}

func accounts(t *tool) *cobra.Command {
	return group("account", "Look up and end ACME accounts", listAccounts(t), showAccount(t), deactivateAccount(t))
}

// accountFlags are the options by which an operator selects accounts.
type accountFlags struct {
	directories, acmeIDs, contacts, keys, states []string
	after                                        int64
	limit                                        int
}

// states of accounts, as options have them.
var accountStates = []string{string(acme.Valid), string(acme.Deactivated), string(acme.Revoked)}

func listAccounts(t *tool) *cobra.Command {
	var f accountFlags
	c := &cobra.Command{
		Use: "list [SELECTION]", Short: "List the ACME accounts", Args: exactly(0, ""),
		Long: `List the ACME accounts by their numbers, those of open directories and those of ACME-IDs.
Without a selection all are listed. Options of different kinds narrow it down; one that
is repeated widens it.

  valid        it works
  deactivated  its client has ended it
  revoked      an operator has ended it, or another account of its ACME-ID has followed it

One that is valid is shown as suspended while an operator has stopped it or its ACME-ID.`,
		Example: `  vidimusd admin account list --directory main-open --state valid
  vidimusd admin account list --contact ada@example.org --json
  vidimusd admin account list --after 5000 --limit 1000`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			cfg, err := t.config()
			if err != nil {
				return err
			}
			sel, err := f.selection(known{c.Context(), d.Store}, cfg)
			if err != nil {
				return err
			}
			return listAll(t, c.OutOrStdout(), "NUMBER\tDIRECTORY\tSTATE\tSINCE\tACME-ID\tCONTACT", accountRow, func(each func(*accountView) error) error {
				return f.each(c, d.Store, sel, func(a store.Account) error {
					v := viewAccount(cfg, a)
					return each(&v)
				})
			})
		}),
	}
	fl := c.Flags()
	fl.StringSliceVar(&f.directories, "directory", nil, "those of the ACME directory with this `NAME` in its URL, such as main-open")
	fl.StringSliceVar(&f.acmeIDs, "acme-id", nil, "those bound to the ACME-ID with this `FQDN`")
	fl.StringSliceVar(&f.contacts, "contact", nil, "those with a contact that has this `TEXT` in it, such as an e-mail address")
	fl.StringSliceVar(&f.keys, "key", nil, "those with this key: `FILE` in PEM or a JWK, or the key's thumbprint (RFC 7638) in base64url")
	fl.StringSliceVar(&f.states, "state", nil, "those in this `STATE`: valid, deactivated or revoked")
	fl.Int64Var(&f.after, "after", 0, "only those with a higher `NUMBER`")
	fl.IntVar(&f.limit, "limit", 0, "at most this `NUMBER` of them; 0 for all")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(accountStates, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("directory", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		cfg, err := t.config()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return directoryNames(cfg), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func directoryNames(cfg *config.Config) (names []string) {
	for i := range cfg.Issuers {
		names = append(names, cfg.Issuers[i].Directories()...)
	}
	return names
}

func accountRow(v *accountView) []string {
	id := v.ACMEID
	if id == "" {
		id = "none"
	}
	return []string{strconv.FormatInt(v.ID, 10), v.Directory, v.state(), day(v.Created), id, orNone(v.Contact)}
}

// state is that of the account for people.
func (v *accountView) state() string {
	if v.Suspended != "" && v.State == acme.Valid {
		return "suspended"
	}
	return string(v.State)
}

// selection understands the options.
func (f *accountFlags) selection(k known, cfg *config.Config) (sel store.AccountSelection, err error) {
	for _, s := range f.states {
		if !slices.Contains(accountStates, s) {
			return sel, usageError{fmt.Errorf("%q is no state of an account; use %s", s, strings.Join(accountStates, ", "))}
		}
		sel.Statuses = append(sel.Statuses, acme.Status(s))
	}
	for _, v := range f.acmeIDs {
		fqdn, err := canonical(v)
		if err != nil {
			return sel, usageError{err}
		}
		sel.ACMEIDs = append(sel.ACMEIDs, fqdn)
	}
	for _, v := range f.keys {
		sum, err := thumbprint(v)
		if err != nil {
			return sel, usageError{fmt.Errorf("--key %s: %w", v, err)}
		}
		sel.Thumbprints = append(sel.Thumbprints, sum)
	}
	if f.limit < 0 || f.after < 0 {
		return sel, usageError{errors.New("--after and --limit are not below 0")}
	}
	sel.Directories, sel.Contacts = f.directories, f.contacts
	if err := k.acmeIDs(sel.ACMEIDs); err != nil {
		return sel, err
	}
	return sel, k.directories(sel.Directories, directoryNames(cfg))
}

// directories refuses those that are not configured and have no account.
func (k known) directories(wanted, configured []string) error {
	for _, name := range wanted {
		if slices.Contains(configured, name) {
			continue
		}
		some, err := k.db.Accounts(k.ctx, store.AccountSelection{Directories: []string{name}}, 0, 1)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return fmt.Errorf("there is no ACME directory %s; there are %s", name, strings.Join(configured, ", "))
		}
	}
	return nil
}

// thumbprint reads what names an account's key on the command line.
func thumbprint(arg string) (string, error) {
	if sum, err := base64.RawURLEncoding.DecodeString(arg); err == nil && len(sum) == crypto.SHA256.Size() {
		return arg, nil
	}
	f, err := os.Open(arg)
	if errors.Is(err, os.ErrNotExist) {
		return "", errors.New("it is neither a file nor a thumbprint of 43 characters in base64url")
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", err
	}
	var key jose.JSONWebKey
	if json.Valid(data) {
		err = key.UnmarshalJSON(data)
	} else if spki, perr := publicKeyInfo(data); perr != nil {
		err = perr
	} else {
		key.Key, err = x509.ParsePKIXPublicKey(spki)
	}
	if err != nil {
		return "", err
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// each calls fn for the accounts of a selection, a page at a time.
func (f *accountFlags) each(c *cobra.Command, db *store.Store, sel store.AccountSelection, fn func(store.Account) error) error {
	const page = 1000
	after, left := f.after, f.limit
	for {
		n := page
		if f.limit > 0 {
			n = min(page, left)
		}
		all, err := db.Accounts(c.Context(), sel, after, n)
		if err != nil {
			return err
		}
		for _, a := range all {
			if err := fn(a); err != nil {
				return err
			}
			after = a.ID
		}
		if left -= len(all); len(all) < n || f.limit > 0 && left == 0 {
			return c.Context().Err()
		}
	}
}

// findAccount finds an account by its number or URL.
func findAccount(c *cobra.Command, d *directory.Directory, arg string) (a store.Account, err error) {
	id, err := accountNumber(arg)
	if err != nil {
		return a, usageError{err}
	}
	a, err = d.Store.Account(c.Context(), id)
	return a, notThere(err, "there is no account %d; see: vidimusd admin account list", id)
}

// accountUse is what an account has done, as it is shown.
type accountUse struct {
	accountView
	Orders       int64     `json:"orders"`
	LastOrder    time.Time `json:"last_order,omitzero"`
	Certificates int64     `json:"certificates"`
	Valid        int64     `json:"certificates_valid"`
	Newest       []string  `json:"newest_valid"` // serial numbers
}

func showAccount(t *tool) *cobra.Command {
	return &cobra.Command{
		Use: "show NUMBER", Short: "Show an ACME account, and what it has done", Args: exactly(1, "the number or the URL of an account"),
		ValidArgsFunction: t.completed(accountsAt),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			a, err := findAccount(c, d, args[0])
			if err != nil {
				return err
			}
			cfg, err := t.config()
			if err != nil {
				return err
			}
			u, err := d.Store.AccountUse(c.Context(), a.ID, time.Now())
			if err != nil {
				return err
			}
			v := accountUse{viewAccount(cfg, a), u.Orders, u.LastOrder, u.Certificates, u.Valid, u.Newest}
			return t.show(c.OutOrStdout(), v, v.lines()...)
		}),
	}
}

func (v accountUse) lines() [][2]string {
	lines := [][2]string{{"Account", strconv.FormatInt(v.ID, 10)}, {"URL", v.URL}, {"Directory", v.Directory}, {"State", v.state()}}
	for _, more := range [][2]string{{"Suspended, as", v.Suspended}, {"Registered by", v.UserAgent}, {"Registered from", v.Address}} {
		if more[1] != "" {
			lines = append(lines, more)
		}
	}
	if v.ACMEID != "" {
		lines = append(lines, [2]string{"ACME-ID", v.ACMEID})
	}
	lines = append(lines, [2]string{"Contact", orNone(v.Contact)}, [2]string{"Key thumbprint", v.Thumbprint}, [2]string{"Since", day(v.Created)})
	if !v.Agreed.IsZero() {
		lines = append(lines, [2]string{"Agreed", strings.TrimSuffix(day(v.Agreed)+" to "+v.AgreedTo, " to ")})
	}
	last := "none"
	if v.Orders > 0 {
		last = fmt.Sprintf("%d on record, the last of %s", v.Orders, day(v.LastOrder))
	}
	of := strconv.FormatInt(v.ID, 10)
	return append(lines, [2]string{"Orders", last},
		[2]string{"Certificates", fmt.Sprintf("%d, of which %d are valid; see: vidimusd admin certificate list --account %s", v.Certificates, v.Valid, of)},
		[2]string{"Newest", orNone(v.Newest)}, [2]string{"Its history", "vidimusd audit export --object " + of})
}

func deactivateAccount(t *tool) *cobra.Command {
	var why string
	var yes bool
	c := &cobra.Command{
		Use: "deactivate NUMBER --reason NOTE", Short: "End an ACME account, for ever", Args: exactly(1, "the number or the URL of an account"),
		Long: `End an ACME account, for ever: it is revoked (RFC 8555 §7.1.6), its orders that have no
certificate yet are invalid, and what it has proved counts no longer. A server that runs
knows within a second. Its client may register anew, with another key, where the
directory is open; to keep its key out: vidimusd admin key block; to stop it for a while only:
vidimusd admin suspension add account NUMBER. An ACME-ID stays, and
may get new credentials. Certificates stay good until they end, unless they are revoked:
vidimusd admin certificate revoke --account NUMBER`,
		Example:           `  vidimusd admin account deactivate 4711 --reason "host taken over, ticket 815"`,
		ValidArgsFunction: t.completed(accountsAt),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if why = strings.TrimSpace(why); why == "" || len(why) > maxNote {
				return usageError{fmt.Errorf("say why, for the audit log, in at most %d bytes: --reason NOTE", maxNote)}
			}
			a, err := findAccount(c, d, args[0])
			if err != nil {
				return err
			}
			if a.Status != acme.Valid {
				return fmt.Errorf("account %d is %s already", a.ID, a.Status)
			}
			if !yes {
				whose := orNone(a.Contact)
				if a.ACMEIDFQDN != "" {
					whose = "ACME-ID " + a.ACMEIDFQDN
				}
				if err := confirm(c.InOrStdin(), c.ErrOrStderr(), fmt.Sprintf("End account %d of directory %s (%s) for ever?", a.ID, a.Directory, whose)); err != nil {
					return err
				}
			}
			problem := acme.Problemf(acme.Unauthorized, "the account was ended by the operators of this server")
			problem.Status = 0 // inside an object there is no HTTP status
			if err := d.Store.RevokeAccount(c.Context(), a.ID, problem, why); errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("account %d was ended by somebody else just now", a.ID)
			} else if err != nil {
				return err
			}
			cfg, err := t.config()
			if err != nil {
				return err
			}
			a.Status = acme.Revoked
			return t.done(c.OutOrStdout(), viewAccount(cfg, a), "Ended account %d. Its certificates stay good, unless: vidimusd admin certificate revoke --account %[1]d", a.ID)
		}),
	}
	c.Flags().StringVar(&why, "reason", "", "`NOTE` for the audit log")
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}

// maxNote bounds what an operator writes into the audit log, in bytes.
const maxNote = 1000

// accountNumber reads the number or the URL of an account.
func accountNumber(v string) (int64, error) {
	id, err := strconv.ParseInt(v[strings.LastIndex(v, "/")+1:], 10, 64)
	if err != nil || id <= 0 {
		return 0, fmt.Errorf("%q is neither the number nor the URL of an account", v)
	}
	return id, nil
}
