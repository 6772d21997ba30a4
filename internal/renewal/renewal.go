// Package renewal decides which lineages are due, renews them, and runs the hooks
// around that. A lineage that is broken, or fails, never keeps the others from
// their renewal.
//
// What concerns one lineage alone (reading it, its settings, its order, putting it
// into use) is apart from what all share (hooks, what is printed, the report): the
// first part may come to run for many lineages at the same time, the second part
// stays serial.
package renewal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// Renewer renews what is due.
type Renewer struct {
	*Obtainer
	Settings *settings.Settings // of this run; each lineage's own fill the gaps
	Hooks    *hook.Runner
	Out      io.Writer // what happens
	Err      io.Writer // what went wrong
	// RandomDelay is the longest wait before the first order, so that the machines
	// of the world do not all come at the same minute; 0 is none.
	RandomDelay time.Duration

	delayed bool
}

// Outcome says what became of a lineage.
type Outcome string

const (
	Renewed Outcome = "success"
	Failed  Outcome = "failure"
	Skipped Outcome = "skipped"
	Broken  Outcome = "parsefail"
)

// Result is the outcome for one lineage.
type Result struct {
	Name    string
	Path    string // of the full chain; of the conf when it is broken
	Outcome Outcome
	Expiry  time.Time // of the certificate that was kept
	Err     error     // why it failed or is broken
	Domains []string
}

// candidate is a lineage with the settings to renew it with.
type candidate struct {
	*lineage.Lineage
	set     *settings.Settings
	ids     []identifier.Identifier
	domains []string
	expiry  time.Time
}

// Renew works through the lineages, or the one called name, and returns one result
// for each. The error is about none of them in particular.
func (r *Renewer) Renew(ctx context.Context, name string) ([]Result, error) {
	names, err := r.names(name)
	if err != nil {
		return nil, err
	}
	var results []Result
	defer func() { // also when this panics or is interrupted
		var renewed, failed []string
		for _, res := range results {
			switch res.Outcome {
			case Renewed:
				renewed = append(renewed, res.Domains...)
			case Failed:
				failed = append(failed, res.Domains...)
			}
		}
		r.Hooks.Post(context.WithoutCancel(ctx), renewed, failed)
	}()
	for _, n := range names {
		r.box("Processing " + r.Store.ConfPath(n))
		results = append(results, r.one(ctx, n))
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
	}
	return results, nil
}

func (r *Renewer) names(name string) ([]string, error) {
	if name == "" {
		return r.Store.Names()
	}
	if _, err := r.Store.Load(name); errors.Is(err, lineage.ErrNone) {
		return nil, err
	}
	return []string{name}, nil
}

// Frame is the line that Certbot draws around messages.
var Frame = strings.Repeat("- ", 39) + "-"

func (r *Renewer) box(text string) {
	fmt.Fprintf(r.Out, "\n%s\n%s\n%s\n", Frame, text, Frame)
}

// one takes a lineage through all that is to be done about it.
func (r *Renewer) one(ctx context.Context, name string) Result {
	c, err := r.load(name)
	if err != nil {
		path := r.Store.ConfPath(name)
		fmt.Fprintf(r.Err, "Renewal configuration file %s is broken.\nThe error was: %v\nSkipping.\n", path, err)
		return Result{Name: name, Path: path, Outcome: Broken, Err: err}
	}
	res := Result{Name: name, Path: c.Fullchain(), Expiry: c.expiry, Domains: c.domains}
	hookDue, err := r.finish(c)
	if err == nil && !(hookDue && !r.Settings.ForceRenewal) && r.due(ctx, c) {
		var done bool
		if done, err = r.renew(ctx, c); done {
			hookDue, res.Outcome = true, Renewed
		}
	} else if err == nil && !hookDue {
		fmt.Fprintln(r.Out, "Certificate not yet due for renewal")
		res.Outcome = Skipped
	}
	if hookDue {
		r.Hooks.Deploy(ctx, r.commands(c), c.Live(), c.domains)
		if ctx.Err() == nil {
			r.Hooked(name)
		}
		res.Outcome = Renewed
	}
	if err != nil {
		fmt.Fprintf(r.Err, "Failed to renew certificate %s with error: %s\n", name, Sentence(err, r.Out))
		res.Outcome, res.Err = Failed, err
	}
	return res
}

// load reads a lineage and what it is renewed with, and mends its links.
func (r *Renewer) load(name string) (*candidate, error) {
	l, err := r.Store.Load(name)
	if err != nil {
		return nil, err
	}
	if healed, err := l.Heal(); err != nil {
		return nil, err
	} else if healed {
		fmt.Fprintf(r.Err, "The links in %s led to different versions, as after a crash; they lead to the newest whole version now.\n", l.Live())
	}
	c := &candidate{Lineage: l, set: r.Settings.Clone()}
	if err := c.set.Restore(l.Params()); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(r.Store.ConfPath(name)), err)
	}
	for _, key := range c.set.Unsupported() {
		fmt.Fprintf(r.Err, "%s has %s, which has no effect here.\n", r.Store.ConfPath(name), key)
	}
	return c, c.readCertificate()
}

func (c *candidate) readCertificate() error {
	cert, err := c.Certificate()
	if err != nil {
		return err
	}
	c.domains, c.expiry, c.ids = lineage.Names(cert), cert.NotAfter, nil
	for _, n := range c.domains {
		id, err := identifier.Parse(n)
		if err != nil {
			return err
		}
		c.ids = append(c.ids, id)
	}
	if len(c.ids) == 0 {
		return fmt.Errorf("%s certifies no name", c.Cert())
	}
	return nil
}

// finish puts a version into use that an interrupted run left behind, and tells
// whether deploy hooks are to be run, for that or because the run was interrupted
// before them.
func (r *Renewer) finish(c *candidate) (hookDue bool, err error) {
	if v, ok := c.Pending(); ok {
		fmt.Fprintf(r.Err, "Found a new certificate in %s that was not in use, as after a crash; putting it into use.\n", c.Archive())
		if err := r.use(c.Lineage, v); err != nil {
			return false, err
		}
		return true, c.readCertificate()
	}
	noted := r.Notes.Version(c.Name)
	if noted == 0 {
		return false, nil
	}
	if v, ok := c.Version(); ok && v == noted {
		fmt.Fprintf(r.Err, "The deploy hooks for %s have not run, as after a crash; running them.\n", c.Name)
		return true, nil
	}
	r.Hooked(c.Name) // about a version that never came into use
	return false, nil
}

// due tells whether a lineage is to be renewed now.
func (r *Renewer) due(ctx context.Context, c *candidate) bool {
	if r.Settings.ForceRenewal {
		return true
	}
	if !c.set.Autorenew {
		r.Log.Info("autorenew is off", "lineage", c.Name)
		return false
	}
	return r.Due(ctx, c.Lineage)
}

// Due tells whether the certificate in use is to be renewed. A CA that cannot be
// asked does not keep it from its renewal.
func (o *Obtainer) Due(ctx context.Context, l *lineage.Lineage) bool {
	cert, err := l.Certificate()
	if err != nil {
		return true
	}
	var ask Asker
	if server := l.Server(); server != "" {
		if ca, err := o.Connections.CA(ctx, server); err != nil {
			o.Log.Warn("renewal information cannot be asked for", "lineage", l.Name, "error", err)
		} else {
			ask = ca
		}
	}
	at, why, err := DueAt(ctx, cert, l.Conf.String("renew_before_expiry"), ask)
	if err != nil {
		o.Log.Warn("deciding when to renew", "lineage", l.Name, "error", err)
	}
	due := !o.Now().Before(at)
	o.Log.Info("renewal", "lineage", l.Name, "due", due, "at", at, "decided", why)
	return due
}

// renew orders and deploys. done says that a new version is in use, even if a
// later step failed.
func (r *Renewer) renew(ctx context.Context, c *candidate) (done bool, err error) {
	r.delay(ctx)
	if err := r.Ready(ctx, c.set); err != nil {
		return false, err
	}
	cmds := r.commands(c)
	r.Hooks.Pre(ctx, cmds)
	defer r.Hooks.SavePost(cmds)
	fmt.Fprintf(r.Out, "Renewing an existing certificate for %s\n", Summary(c.domains))
	m, err := r.Order(ctx, c.set, c.ids, c.Lineage)
	if err != nil {
		return false, err
	}
	before, _ := c.Version()
	err = r.Deploy(c.Lineage, m, c.set, false)
	after, ok := c.Version()
	return ok && after > before, err
}

func (r *Renewer) delay(ctx context.Context) {
	if r.delayed || r.RandomDelay <= 0 {
		return
	}
	r.delayed = true
	wait := time.Second + rand.N(r.RandomDelay)
	r.Log.Info("non-interactive renewal: random delay", "wait", wait)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

func (r *Renewer) commands(c *candidate) hook.Commands {
	cmds := hook.Commands{Pre: c.set.PreHook, Post: c.set.PostHook, Deploy: c.set.RenewHook}
	if r.Settings.DirectoryHooks {
		cmds.Dir, cmds.DirPrePost = HookDir(r.Store.Dir), true
	}
	return cmds
}

// HookDir is where an admin's hooks for all lineages are.
func HookDir(configDir string) string { return filepath.Join(configDir, "renewal-hooks") }

// Summary names a certificate by its first names.
func Summary(domains []string) string {
	switch len(domains) {
	case 0:
		return ""
	case 1:
		return domains[0]
	case 2:
		return domains[0] + " and " + domains[1]
	}
	return fmt.Sprintf("%s and %d more domains", domains[0], len(domains)-1)
}
