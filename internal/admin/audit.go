package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/audit"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// auditPage is how many rows are read at once.
const auditPage = 1000

func auditCommand() *cobra.Command {
	t := new(tool)
	head := &cobra.Command{
		Use:   "head",
		Short: "Print position and hash of the audit log's end",
		Long: `Print position and hash of the audit log's end. Note them elsewhere, where whoever can
write to the database can't: "audit verify --expect HASH" then finds out later even
whether the whole log was written anew, or its end was cut off.`,
		Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			if err := d.Store.SealAudit(c.Context()); err != nil {
				return err
			}
			h, err := d.Store.AuditHead(c.Context())
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), h, "%d %s", h.Position, h.Hash)
		}),
	}
	c := group("audit", "Check and export the audit log", head, auditVerify(t), auditExport(t))
	c.PersistentFlags().StringVar(&t.configPath, "config", "vidimusd.yaml", "the configuration `FILE`")
	c.PersistentFlags().BoolVar(&t.json, "json", false, "print JSON, for scripts")
	return c
}

var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

func auditVerify(t *tool) *cobra.Command {
	var expect string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check that nothing in the audit log was altered or removed",
		Long: `Check the hash of each row of the audit log against the one before it. Rows that come
meanwhile, and wait to be sealed, are counted and not checked.`,
		Example: `  vidimusd audit verify --expect $(cat /mnt/elsewhere/audit-head)`,
		Args:    exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			if expect != "" && !hexHash.MatchString(expect) {
				return usageError{fmt.Errorf("--expect takes the 64 hexadecimal digits that \"vidimusd audit head\" printed, not %q", expect)}
			}
			if err := d.Store.SealAudit(c.Context()); err != nil { // first, to have it all
				return err
			}
			v, err := verifyAudit(c.Context(), d.Store, expect)
			if err != nil {
				return fmt.Errorf("the audit log is not whole: %w", err)
			}
			text := "The audit log is whole: %d rows, the last with the hash %s."
			if v.Unsealed > 0 {
				text += fmt.Sprintf(" %d more have come meanwhile.", v.Unsealed)
			}
			return t.done(c.OutOrStdout(), v, text, v.Position, v.Hash)
		}),
	}
	c.Flags().StringVar(&expect, "expect", "", "fail unless a row has this `HASH`, noted earlier from \"audit head\"")
	return c
}

type verified struct {
	store.AuditHead
	Unsealed int `json:"unsealed"` // rows that have no place in the chain yet, counted up to a page
}

func verifyAudit(ctx context.Context, db *store.Store, expect string) (v verified, err error) {
	head, err := db.AuditHead(ctx) // before the rows, for more may come meanwhile
	if err != nil {
		return v, err
	}
	var chain audit.Chain
	found := expect == "" || expect == audit.Start
	err = auditRows(ctx, db, 0, func(r audit.Row) error {
		found = found || r.Hash == expect
		if err := chain.Add(r); err != nil {
			return err
		}
		if r.Position == head.Position && r.Hash != head.Hash {
			return fmt.Errorf("the row at position %d has the hash %s, but the end of the chain was noted as %s", r.Position, r.Hash, head.Hash)
		}
		return nil
	})
	switch {
	case err != nil:
		return v, err
	case chain.Position < head.Position:
		return v, fmt.Errorf("it ends at position %d, but %d rows were sealed; the last ones have been removed", chain.Position, head.Position)
	case !found:
		return v, fmt.Errorf("no row has the hash %s; the log has been written anew, or cut off before that row", expect)
	}
	v.AuditHead = store.AuditHead{Position: chain.Position, Hash: chain.Hash()}
	waiting, err := db.AuditUnsealed(ctx, auditPage)
	v.Unsealed = len(waiting)
	return v, err
}

// auditRows calls fn for each sealed row behind a position, page by page.
func auditRows(ctx context.Context, db *store.Store, after int64, fn func(audit.Row) error) error {
	for {
		rows, err := db.AuditRows(ctx, after, auditPage)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := fn(r); err != nil {
				return err
			}
			after = r.Position
		}
		if len(rows) < auditPage {
			return nil
		}
	}
}

// auditFilter says which rows are wanted; what is zero is not asked for.
type auditFilter struct {
	since, until             time.Time
	action, object           *regexp.Regexp
	operator, acmeID, result string
	account                  int64
}

func auditExport(t *tool) *cobra.Command {
	var since, until, action, object string
	var f auditFilter
	c := &cobra.Command{
		Use:   "export",
		Short: "Print the audit log as JSON lines",
		Long: `Print the sealed rows of the audit log, oldest first, each as one line of JSON. Times
are RFC 3339 or dates (UTC). --action and --object are regular expressions for the
whole word.`,
		Example: `  vidimusd audit export --since 2026-01-01 --action 'certificate\..*'
  vidimusd audit export --object www.example.org`,
		Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			if err := f.read(since, until, action, object); err != nil {
				return usageError{err}
			}
			if err := d.Store.SealAudit(c.Context()); err != nil {
				return err
			}
			return exportAudit(c.Context(), d.Store, &f, c.OutOrStdout())
		}),
	}
	fl := c.Flags()
	fl.StringVar(&since, "since", "", "from this `TIME` on")
	fl.StringVar(&until, "until", "", "before this `TIME`")
	fl.StringVar(&action, "action", "", "`ACTION`, such as certificate.issued")
	fl.StringVar(&object, "object", "", "`OBJECT`: a host, an ACME-ID, a serial number, an account")
	fl.StringVar(&f.result, "result", "", "`RESULT`: done, valid or invalid")
	fl.StringVar(&f.operator, "operator", "", "done by this `USER` of the operating system")
	fl.StringVar(&f.acmeID, "acme-id", "", "done by this ACME-ID's account, by `FQDN`")
	fl.Int64Var(&f.account, "account", 0, "done by the account with this `NUMBER`")
	return c
}

func (f *auditFilter) read(since, until, action, object string) (err error) {
	for _, x := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", since, &f.since}, {"--until", until, &f.until}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = time.Parse(time.RFC3339, x.text); err != nil {
			if *x.to, err = time.Parse(time.DateOnly, x.text); err != nil {
				return fmt.Errorf("%s %q is neither a date such as 2026-01-31 nor a time such as 2026-01-31T12:00:00Z", x.flag, x.text)
			}
		}
	}
	for _, x := range []struct {
		flag, text string
		to         **regexp.Regexp
	}{{"--action", action, &f.action}, {"--object", object, &f.object}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = regexp.Compile("^(?:" + x.text + ")$"); err != nil {
			return fmt.Errorf("%s: %w", x.flag, err)
		}
	}
	return nil
}

func (f *auditFilter) wants(r *audit.Row) (bool, error) {
	var a audit.Actor
	if err := json.Unmarshal(r.Actor, &a); err != nil {
		return false, fmt.Errorf("the actor of the row at position %d is no JSON object; run: vidimusd audit verify", r.Position)
	}
	return !r.At.Before(f.since) && (f.until.IsZero() || r.At.Before(f.until)) &&
		(f.action == nil || f.action.MatchString(string(r.Action))) && (f.object == nil || f.object.MatchString(r.Object)) &&
		(f.result == "" || r.Result == f.result) && (f.operator == "" || a.Operator == f.operator) &&
		(f.acmeID == "" || a.ACMEID == f.acmeID) && (f.account == 0 || a.Account == f.account), nil
}

// maxSkew is how far the times of rows may be out of the chain's order: replicas'
// clocks differ, and a change may take a while from its event to its commit.
const maxSkew = 5 * time.Minute

func exportAudit(ctx context.Context, db *store.Store, f *auditFilter, w io.Writer) error {
	after, err := auditBefore(ctx, db, f.since.Add(-maxSkew))
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	end := errors.New("past the end")
	err = auditRows(ctx, db, after, func(r audit.Row) error {
		if !f.until.IsZero() && r.At.After(f.until.Add(maxSkew)) {
			return end
		}
		if ok, err := f.wants(&r); err != nil || !ok {
			return err
		}
		return enc.Encode(r)
	})
	if errors.Is(err, end) {
		return nil
	}
	return err
}

// auditBefore finds a position all rows up to which are older than t, by halving.
func auditBefore(ctx context.Context, db *store.Store, t time.Time) (after int64, err error) {
	head, err := db.AuditHead(ctx)
	if err != nil {
		return 0, err
	}
	for low, high := int64(0), head.Position; low < high; {
		middle := low + (high-low)/2
		rows, err := db.AuditRows(ctx, middle, 1)
		if err != nil {
			return 0, err
		}
		if len(rows) > 0 && rows[0].At.Before(t) {
			low, after = middle+1, middle+1
		} else {
			high = middle
		}
	}
	return after, nil
}

// thisOperator is who runs the program, for the audit log: the user of the operating
// system, and whose he was before sudo.
func thisOperator() audit.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		name += " (" + sudo + " by sudo)"
	}
	return audit.Actor{Operator: name}
}
