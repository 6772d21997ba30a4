// Package renewal decides which lineages are due, renews them, and runs the hooks
// around that. A lineage that is broken, slow, or fails, never keeps the others from
// their renewal.
//
// What concerns one lineage alone (reading it, asking its CA whether it is due, its
// order, putting it into use) is done for many lineages at the same time. What all
// share (hooks, what is printed, the report) is done by one goroutine, in the order of
// the lineages.
package renewal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// Renewer renews what is due.
type Renewer struct {
	*Obtainer
	Settings    *settings.Settings // of this run; each lineage's own fill the gaps
	Hooks       *hook.Runner
	Revocations *Revocations
	Out         io.Writer // what happens
	Err         io.Writer // what went wrong
	// Progress shows how far it is; nil for nobody who watches.
	Progress func(Progress)
	// RandomDelay is the longest wait before the first order, so that the machines
	// of the world do not all come at the same minute; 0 is none.
	RandomDelay time.Duration
	// Parallel is how many orders run at the same time at one CA; from 1.
	Parallel int

	kept atomic.Int64 // lineages, see mostKept
}

// Progress is how far a renewal is.
type Progress struct {
	Due, Running, Renewed, Failed int
	Names                         []string // of the lineages whose orders run
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

// job is one lineage on its way.
type job struct {
	Result
	*plan        // nil when there is nothing to do
	due     bool // to be ordered
	hookDue bool // deploy hooks are to be run
	handled bool // its hooks have run, and what is to be said of it is printed
	said    []said
}

// plan is what there is to do about a lineage.
type plan struct {
	queue string // orders of one queue run some at a time
	live  string
	cmds  hook.Commands
	read  *candidate // kept to save reading it again; nil in a run over very many
}

// said is a line for one of the two outputs.
type said struct {
	text  string
	wrong bool
}

func (j *job) say(format string, args ...any) {
	j.said = append(j.said, said{fmt.Sprintf(format, args...), false})
}

func (j *job) complain(format string, args ...any) {
	j.said = append(j.said, said{fmt.Sprintf(format, args...), true})
}

// Renew works through the lineages, or the one called name, and returns one result
// for each. The error is about none of them in particular.
func (r *Renewer) Renew(ctx context.Context, name string) ([]Result, error) {
	names, err := r.names(name)
	if err != nil {
		return nil, err
	}
	jobs := r.scan(ctx, names)
	if err := r.Answers.Save(name == "" && ctx.Err() == nil); err != nil {
		r.Log.Warn("what CAs said cannot be remembered", "error", err)
	}
	defer func() { // also when this is interrupted
		var renewed, failed []string
		for _, j := range jobs {
			switch j.Outcome {
			case Renewed:
				renewed = append(renewed, j.Domains...)
			case Failed:
				failed = append(failed, j.Domains...)
			}
		}
		r.Hooks.Post(context.WithoutCancel(ctx), renewed, failed)
	}()
	r.prepare(ctx, jobs)
	r.work(ctx, jobs)
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		results[i] = j.Result
	}
	return results, ctx.Err()
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

// prepare waits a random time and runs the pre hooks, if there is anything to order.
// A lineage that could not be ordered for anyway stops nothing.
func (r *Renewer) prepare(ctx context.Context, jobs []*job) {
	first := true
	for _, j := range jobs {
		if !j.due {
			continue
		}
		if first {
			r.delay(ctx)
			first = false
		}
		if ctx.Err() != nil {
			return
		}
		c, err := r.candidate(j)
		if err == nil {
			err = r.Ready(ctx, c.set)
		}
		if err != nil {
			j.due = false
			r.fail(j, err)
			continue
		}
		j.queue = c.set.Server
		if alone(c.set) {
			j.queue = ""
		}
		r.Hooks.Pre(ctx, j.cmds)
		r.Hooks.SavePost(j.cmds)
	}
}

func (r *Renewer) delay(ctx context.Context) {
	if r.RandomDelay <= 0 {
		return
	}
	wait := time.Second + rand.N(r.RandomDelay)
	r.Log.Info("non-interactive renewal: random delay", "wait", wait)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// fail notes why a lineage is not renewed. What the CA found goes where errors go when
// nothing else is printed.
func (r *Renewer) fail(j *job, err error) {
	j.Outcome, j.Err = Failed, err
	var report strings.Builder
	sentence := Sentence(err, &report)
	j.said = append(j.said, said{report.String(), r.Settings.Quiet})
	j.complain("Failed to renew certificate %s with error: %s\n", j.Name, sentence)
}

func (r *Renewer) commands(set *settings.Settings) hook.Commands {
	cmds := hook.Commands{Pre: set.PreHook, Post: set.PostHook, Deploy: set.RenewHook}
	if r.Settings.DirectoryHooks {
		cmds.Dir = HookDir(r.Store.Dir)
	}
	return cmds
}

// Frame is the line that Certbot draws around messages.
var Frame = strings.Repeat("- ", 39) + "-"

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
