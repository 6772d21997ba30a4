package admin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// renewFlags are the options of renew-now besides the selection.
type renewFlags struct {
	explanation, until string
	over               time.Duration
	dryRun, yes        bool
}

func renewNow(t *tool) *cobra.Command {
	var f selectionFlags
	var r renewFlags
	c := &cobra.Command{
		Use:   "renew-now SELECTION [--explanation-url URL] [--over 6h]",
		Short: "Have the certificates of a selection renewed early",
		Long: `Have all certificates of a selection renewed early: clients that ask for renewal
information (RFC 9773) are told a window that is now, and where to read why. They hear of
it when they ask next: see renewal_info in the configuration. Certificates that have been
replaced are left out. With --over their windows are spread over so long from now, so
that not all clients come at once.
` + selectionHelp,
		Example: `  vidimusd admin renew-now --issuer main --over 24h --explanation-url https://www.example.org/pki/2026-new-ca
  vidimusd admin renew-now list
  vidimusd admin renew-now undo 7`,
		Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			now := time.Now()
			call, err := r.call(now)
			if err != nil {
				return usageError{err}
			}
			sel, err := f.read(c, t, d, store.Selection{Now: now, Replaceable: true})
			if err != nil {
				return err
			}
			p, err := look(c.Context(), d.Store, sel)
			if err != nil {
				return err
			}
			if !t.json {
				p.print(c.OutOrStdout())
			}
			switch {
			case r.dryRun, p.Count == 0:
				return t.done(c.OutOrStdout(), called{p, 0, r.dryRun}, "No window was moved.")
			case !r.yes:
				if err := confirm(c.InOrStdin(), c.ErrOrStderr(), fmt.Sprintf("Have %s renewed, over %s?", counted(p.Count), r.over)); err != nil {
					return err
				}
			}
			call.Selection = p.Selection
			id, err := callRenewals(c.Context(), d.Store, sel, call, p.Count, now, r.over)
			if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), called{p, id, false}, "The windows are moved. To undo it: vidimusd admin renew-now undo %d", id)
		}),
	}
	f.add(c, t)
	c.Flags().StringVar(&r.explanation, "explanation-url", "", "`URL` of a page that says why, for the operators of the clients")
	c.Flags().StringVar(&r.until, "until", "", "the windows are as usual again from this `TIME` on (default: as long as the certificates)")
	c.Flags().DurationVar(&r.over, "over", 0, "spread the windows over `TIME`, so long from now, such as 6h; 0 means that all are now")
	c.Flags().BoolVar(&r.dryRun, "dry-run", false, "only show what is selected")
	c.Flags().BoolVar(&r.yes, "yes", false, "don't ask")
	c.AddCommand(renewalCalls(t), undoRenewals(t))
	return c
}

type called struct {
	preview
	ID     int64 `json:"id,omitempty"`
	DryRun bool  `json:"dry_run"`
}

// call checks the options.
func (r *renewFlags) call(now time.Time) (c store.RenewalCall, err error) {
	c = store.RenewalCall{ExplanationURL: r.explanation, Created: now}
	if u, err := url.Parse(r.explanation); r.explanation != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(r.explanation) > 2000) {
		return c, fmt.Errorf("--explanation-url %q is not the URL of a page", r.explanation)
	}
	if r.over < 0 || r.over > 30*24*time.Hour {
		return c, fmt.Errorf("--over %s is out of range: 0 to 720h", r.over)
	}
	if c.Until, err = parseTime("--until", r.until); err != nil {
		return c, err
	}
	if !c.Until.IsZero() && !c.Until.After(now.Add(r.over)) {
		return c, errors.New("--until is before the last window would begin")
	}
	return c, nil
}

// callRenewals moves the windows of a selection of so many certificates. Each gets its
// own, in the order of serial numbers, which is that of issuance: so the load is even, and
// what was issued first is renewed first.
func callRenewals(ctx context.Context, db *store.Store, sel store.Selection, call store.RenewalCall, count int64, now time.Time, over time.Duration) (int64, error) {
	id, err := db.NewRenewalCall(ctx, call)
	if err != nil {
		return 0, err
	}
	done := int64(0)
	err = each(ctx, db, sel, func(serials []string) error {
		windows := make([]store.RenewalWindow, len(serials))
		for i, serial := range serials {
			windows[i] = slot(now, over, done, count)
			windows[i].Serial = serial
			done++
		}
		return db.AddRenewalWindows(ctx, id, windows)
	})
	if err != nil {
		return id, fmt.Errorf("%d of %d windows are moved; undo it with: vidimusd admin renew-now undo %d: %w", done, count, id, err)
	}
	return id, nil
}

// slot is the window of the n-th of count certificates: in the past when all are to come
// at once.
func slot(now time.Time, over time.Duration, n, count int64) store.RenewalWindow {
	if over == 0 {
		return store.RenewalWindow{Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour)}
	}
	n = min(n, count-1) // there may be more by now than were counted
	start := now.Add(time.Duration(float64(over) * float64(n) / float64(count)))
	return store.RenewalWindow{Start: start, End: start.Add(max(over/50, 10*time.Minute))}
}

func renewalCalls(t *tool) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List when renewals were asked for, and how many have come", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			calls, err := d.Store.RenewalCalls(c.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(calls))
			for i, r := range calls {
				state := "holds"
				switch {
				case !r.Undone.IsZero():
					state = "undone " + day(r.Undone)
				case !r.Until.IsZero():
					state = "until " + day(r.Until)
				}
				rows[i] = []string{strconv.FormatInt(r.ID, 10), day(r.Created), state, fmt.Sprintf("%d of %d", r.Replaced, r.Certificates), r.Selection}
			}
			return t.list(c.OutOrStdout(), calls, "NUMBER\tSINCE\tSTATE\tREPLACED\tSELECTION", rows)
		}),
	}
}

func undoRenewals(t *tool) *cobra.Command {
	return &cobra.Command{
		Use: "undo NUMBER", Short: "Give certificates their usual windows again", Args: exactly(1, "the number that renew-now list shows"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usageError{fmt.Errorf("%q is no number; see: vidimusd admin renew-now list", args[0])}
			}
			if err := d.Store.UndoRenewalCall(c.Context(), id, time.Now()); errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("there is no call %d that holds; see: vidimusd admin renew-now list", id)
			} else if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), map[string]int64{"undone": id}, "Undone: the windows are as usual again.")
		}),
	}
}
