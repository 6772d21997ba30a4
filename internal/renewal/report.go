package renewal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/issuance"
)

// reportFailures lists, as Certbot does, what the CA found for each name.
func reportFailures(e *issuance.AuthorizationError, out io.Writer) {
	fmt.Fprint(out, "\nVidimus failed to authenticate some domains. The Certificate Authority reported these problems:")
	sorted := slices.Clone(e.Failures)
	slices.SortStableFunc(sorted, func(a, b issuance.Failure) int { return cmp.Compare(a.Type, b.Type) })
	for _, f := range sorted {
		fmt.Fprintf(out, "\n  Domain: %s\n  Type:   %s\n  Detail: %s\n", f.Name, f.Type, f.Detail)
	}
	if e.Hint != "" {
		fmt.Fprintf(out, "\nHint: %s\n", e.Hint)
	}
	fmt.Fprintln(out)
}

// Sentence words an error for a person. What the CA said about each name that it
// could not validate goes to out, as a block.
func Sentence(err error, out io.Writer) string {
	var ae *issuance.AuthorizationError
	if errors.As(err, &ae) {
		reportFailures(ae, out)
		return "Some challenges have failed."
	}
	return Remedy(err).Error()
}

// Remedy adds to an error of the machine what to do about it.
func Remedy(err error) error {
	var remote *issuance.Error
	switch {
	case errors.As(err, &remote) && remote.Type == "accountDoesNotExist":
		return fmt.Errorf("%w; the CA has lost or closed this account: 'unregister' forgets it here, 'register' makes another one, and 'renew --account ID' takes it", err)
	case errors.As(err, &remote):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w; nothing that was in use has changed: make room and run this again", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run this as root, or set --config-dir, --work-dir and --logs-dir to directories you can write to", err)
	}
	return err
}

// Reporting is what a report depends on besides the results.
type Reporting struct {
	Hooks  hook.Commands // of this run's command line
	DryRun bool
}

// Report prints what became of all lineages as Certbot does, and returns an error
// if anything failed.
func Report(results []Result, about Reporting, out, errs io.Writer) error {
	by := map[Outcome]int{}
	for _, res := range results {
		by[res.Outcome]++
	}
	noun := "renewals"
	if about.DryRun {
		noun = "simulated renewals"
	}
	list := func(w io.Writer, heading string, o Outcome) {
		fmt.Fprintln(w, heading)
		for _, res := range results {
			switch {
			case res.Outcome != o:
			case o == Skipped:
				fmt.Fprintf(w, "  %s expires on %s (%s)\n", res.Path, res.Expiry.UTC().Format(time.DateOnly), o)
			default:
				fmt.Fprintf(w, "  %s (%s)\n", res.Path, o)
			}
		}
	}
	fmt.Fprintf(out, "\n%s\n", Frame)
	if by[Skipped] > 0 {
		list(out, "The following certificates are not due for renewal yet:", Skipped)
	}
	switch good, bad := by[Renewed] > 0, by[Failed] > 0; {
	case !good && !bad:
		fmt.Fprintf(out, "No %s were attempted.\n", noun)
		if about.Hooks.Pre != "" || about.Hooks.Post != "" || about.Hooks.Deploy != "" {
			fmt.Fprintln(out, "No hooks were run.")
		}
	case good && !bad:
		list(out, "Congratulations, all "+noun+" succeeded: ", Renewed)
	case bad && !good:
		list(errs, "All "+noun+" failed. The following certificates could not be renewed:", Failed)
	default:
		list(out, "The following "+noun+" succeeded:", Renewed)
		fmt.Fprintln(out)
		list(errs, "The following "+noun+" failed:", Failed)
	}
	if by[Broken] > 0 {
		list(out, "\nAdditionally, the following renewal configurations were invalid: ", Broken)
	}
	fmt.Fprintln(out, Frame)
	if f, b := by[Failed], by[Broken]; f+b > 0 {
		return fmt.Errorf("%d renew failure(s), %d parse failure(s)", f, b)
	}
	return nil
}
