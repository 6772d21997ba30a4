package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// selectionHelp is part of the help of each command that takes a selection.
const selectionHelp = `
A selection is of certificates that are neither revoked nor ended. Options of different
kinds narrow it down; one that is repeated widens it.`

// selectionFlags are the options by which an operator selects certificates.
type selectionFlags struct {
	hosts, names, subtrees, serials, keys, accounts, acmeIDs, issuers []string
	after, before                                                     string
}

func (f *selectionFlags) add(c *cobra.Command, t *tool) {
	fl := c.Flags()
	fl.StringSliceVar(&f.hosts, "host", nil, "those that are good for the host `FQDN`, by its name or by a wildcard")
	fl.StringSliceVar(&f.names, "name", nil, "those for exactly this `NAME`, which may be a wildcard or an IP address")
	fl.StringSliceVar(&f.subtrees, "subtree", nil, "those for this `NAME` or any below it")
	fl.StringSliceVar(&f.serials, "serial", nil, "the one with this serial `NUMBER`, in hexadecimal")
	fl.StringSliceVar(&f.keys, "key", nil, "those with this key: `FILE` in PEM of a certificate, request or key, or the SHA-256 of its SPKI in hexadecimal")
	fl.StringSliceVar(&f.accounts, "account", nil, "those issued to the ACME account with this `NUMBER` or URL")
	fl.StringSliceVar(&f.acmeIDs, "acme-id", nil, "those issued to accounts bound to the ACME-ID with this `FQDN`")
	fl.StringSliceVar(&f.issuers, "issuer", nil, "those of the issuer with this `NAME`")
	fl.StringVar(&f.after, "issued-after", "", "those issued at this `TIME` or later, such as 2026-01-31 or 2026-01-31T12:00:00Z")
	fl.StringVar(&f.before, "issued-before", "", "those issued before this `TIME`")
	t.completeFlags(c, map[string]source{"host": hostsAt, "serial": serialsAt, "account": accountsAt, "acme-id": acmeIDsAt})
	_ = c.RegisterFlagCompletionFunc("issuer", func(c *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
		cfg, err := t.config()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		for i := range cfg.Issuers {
			names = append(names, cfg.Issuers[i].Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// selection understands the options; each mistake is a usage error.
func (f *selectionFlags) selection(now time.Time) (store.Selection, error) {
	sel := store.Selection{Now: now, Issuers: f.issuers}
	for _, step := range []func(*store.Selection) error{f.readNames, f.readSerials, f.readKeys, f.readAccounts, f.readTimes} {
		if err := step(&sel); err != nil {
			return sel, usageError{err}
		}
	}
	return sel, nil
}

func (f *selectionFlags) readNames(sel *store.Selection) error {
	if len(f.hosts) > 0 && len(f.names) > 0 {
		return errors.New("give --host or --name, not both")
	}
	for _, v := range f.hosts {
		id, err := identifier.ParseLocal(v)
		if err != nil {
			return err
		}
		sel.Names = append(sel.Names, id.GoodFor()...)
	}
	for _, l := range []struct {
		values []string
		to     *[]string
	}{{f.names, &sel.Names}, {f.subtrees, &sel.Trees}, {f.acmeIDs, &sel.ACMEIDs}} {
		for _, v := range l.values {
			name, err := selectedName(v)
			if err != nil {
				return err
			}
			*l.to = append(*l.to, name)
		}
	}
	return nil
}

// selectedName reads a name as a certificate may have it: also one of one label, such as
// localhost, which is in the server's own.
func selectedName(name string) (string, error) {
	id, err := identifier.ParseLocal(name)
	return id.Value, err
}

func (f *selectionFlags) readSerials(sel *store.Selection) error {
	for _, v := range f.serials {
		serial := strings.ToLower(strings.ReplaceAll(v, ":", ""))
		if _, err := hex.DecodeString(serial); err != nil || serial == "" {
			return fmt.Errorf("%q is not a serial number in hexadecimal", v)
		}
		sel.Serials = append(sel.Serials, serial)
	}
	return nil
}

func (f *selectionFlags) readKeys(sel *store.Selection) error {
	for _, v := range f.keys {
		if plain := strings.ReplaceAll(v, ":", ""); len(plain) == 2*sha256.Size { // as openssl writes it
			v = plain
		}
		sum, err := keyHash(v)
		if err != nil {
			return fmt.Errorf("--key %s: %w", v, err)
		}
		sel.Keys = append(sel.Keys, sum)
	}
	return nil
}

func (f *selectionFlags) readAccounts(sel *store.Selection) error {
	for _, v := range f.accounts {
		id, err := accountNumber(v)
		if err != nil {
			return err
		}
		sel.Accounts = append(sel.Accounts, id)
	}
	return nil
}

func (f *selectionFlags) readTimes(sel *store.Selection) (err error) {
	if sel.IssuedAfter, err = parseTime("--issued-after", f.after); err != nil {
		return err
	}
	sel.IssuedBefore, err = parseTime("--issued-before", f.before)
	return err
}

// parseTime reads a date, which begins at midnight UTC, or a time; "" is the zero time.
func parseTime(option, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if v, err := time.Parse(layout, s); err == nil {
			return v, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q is neither a date such as 2026-01-31 nor a time such as 2026-01-31T12:00:00Z", option, s)
}

// sampleSize is how many certificates of a selection are shown.
const sampleSize = 10

// preview is what would be done.
type preview struct {
	Selection string            `json:"selection"`
	Count     int64             `json:"count"`
	Sample    []certificateView `json:"sample"`
}

func look(ctx context.Context, db *store.Store, sel store.Selection) (p preview, err error) {
	p = preview{Selection: sel.String(), Sample: []certificateView{}}
	if p.Count, err = db.CountSelected(ctx, sel); errors.Is(err, store.ErrEverything) {
		return p, usageError{errors.New("select certificates: by --host, --name, --subtree, --serial, --key, --account, --acme-id, --issuer, --issued-after or --issued-before")}
	} else if err != nil {
		return p, err
	}
	serials, err := db.Selected(ctx, sel, "", sampleSize)
	if err != nil {
		return p, err
	}
	for _, serial := range serials {
		c, err := db.Certificate(ctx, serial)
		if err != nil {
			return p, err
		}
		p.Sample = append(p.Sample, viewCertificate(c))
	}
	return p, nil
}

func (p preview) print(w io.Writer) {
	fmt.Fprintf(w, "Selected by %s: %s.\n", p.Selection, counted(p.Count))
	for _, v := range p.Sample {
		fmt.Fprintf(w, "  %s  until %s  %s\n", v.Serial, day(v.NotAfter), orNone(v.Names))
	}
	if more := p.Count - int64(len(p.Sample)); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

func counted(n int64) string {
	if n == 1 {
		return "1 certificate"
	}
	return fmt.Sprintf("%d certificates", n)
}

// page is how many serial numbers are read at once.
const page = 4 * store.Batch

// each calls fn for all of a selection, some hundreds at a time.
func each(ctx context.Context, db *store.Store, sel store.Selection, fn func(serials []string) error) error {
	for after := ""; ; {
		serials, err := db.Selected(ctx, sel, after, page)
		if err != nil || len(serials) == 0 {
			return err
		}
		after = serials[len(serials)-1]
		for len(serials) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(len(serials), store.Batch)
			if err := fn(serials[:n]); err != nil {
				return err
			}
			serials = serials[n:]
		}
	}
}

// confirm asks at the terminal, or whatever the input is; --yes goes without.
func confirm(in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s Type yes: ", question)
	line := make([]byte, 0, 8)
	for one := make([]byte, 1); len(line) < 8; { // no more than the line: it isn't ours
		if n, err := in.Read(one); n == 0 && err != nil || n == 1 && one[0] == '\n' {
			break
		} else if n == 1 {
			line = append(line, one[0])
		}
	}
	fmt.Fprintln(out)
	if !bytes.Equal(bytes.TrimSpace(line), []byte("yes")) {
		return errors.New("nothing was done, as it was not confirmed; in scripts, use --yes")
	}
	return nil
}
