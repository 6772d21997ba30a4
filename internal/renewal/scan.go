package renewal

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// askers is how many questions to CAs are open at the same time.
const askers = 32

// scan looks at all lineages and tells which are due. What it keeps of one that is not
// is small, for there may be a hundred thousand.
func (r *Renewer) scan(ctx context.Context, names []string) []*job {
	jobs := make([]*job, len(names))
	noted := r.Notes.Names()
	var next atomic.Int64
	var wg sync.WaitGroup
	asking := make(chan struct{}, askers)
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				j := &job{Result: Result{Name: names[i]}}
				jobs[i] = j
				if ctx.Err() != nil {
					continue
				}
				c := r.look(j, noted[names[i]])
				switch {
				case c == nil:
				case r.Settings.ForceRenewal || r.Answers.fresh(certificate.RenewalID(c.cert), c.Server(), r.Now()) && len(c.cert.OCSPServer) == 0:
					r.decide(ctx, j, c)
				default: // it may take as long as a CA takes
					asking <- struct{}{}
					wg.Go(func() {
						r.decide(ctx, j, c)
						<-asking
					})
				}
			}
		})
	}
	wg.Wait()
	return jobs
}

// look reads one lineage and, unless this is a dry run, finishes what an interrupted run
// left; nil is one about which there is nothing more to decide.
func (r *Renewer) look(j *job, noted bool) *candidate {
	c, err := r.load(j.Name)
	if err != nil {
		j.Path, j.Outcome, j.Err = r.Store.ConfPath(j.Name), Broken, err
		j.complain("Renewal configuration file %s is broken.\nThe error was: %v\nSkipping.\n", j.Path, err)
		return nil
	}
	j.Path, j.Domains = strings.Clone(c.Fullchain()), c.domains
	if !r.Settings.DryRun {
		if j.hookDue, err = r.heal(j, c, noted); err != nil {
			r.fail(j, err)
			return nil
		}
	}
	for _, key := range c.set.Unsupported() {
		j.complain("%s has %s, which has no effect here.\n", r.Store.ConfPath(j.Name), key)
	}
	j.Expiry, j.Domains = c.cert.NotAfter, c.domains
	if j.hookDue && !r.Settings.ForceRenewal {
		j.plan = r.plan(c)
		j.Outcome = Renewed
		return nil
	}
	return c
}

// heal mends what an interrupted run left, and tells whether deploy hooks are to be run
// for that.
func (r *Renewer) heal(j *job, c *candidate, noted bool) (hookDue bool, err error) {
	healed, err := c.Heal()
	if err != nil {
		return false, err
	}
	if healed {
		j.complain("The links in %s led to different versions, as after a crash; they lead to the newest whole version now.\n", c.Live())
		if err := c.readCertificate(); err != nil {
			return false, err
		}
	}
	hookDue, err = r.finish(j, c, noted)
	return hookDue && err == nil, err // after an error the note stays
}

// decide tells whether a lineage is due.
func (r *Renewer) decide(ctx context.Context, j *job, c *candidate) {
	switch {
	case r.due(ctx, c):
		j.due, j.plan = true, r.plan(c)
	case r.Settings.DryRun:
		r.Log.Info("not due, but simulating renewal for dry run", "lineage", j.Name)
		j.due, j.plan = true, r.plan(c)
	default:
		j.Outcome = Skipped
		j.said = notDue
	}
	if own := c.Server(); j.due && c.set.DryRun && c.set.Server == settings.StagingServer && own != settings.DefaultServer && own != c.set.Server {
		j.complain("%s is from %s, but a dry run asks Let's Encrypt's test server; to try its own CA, add --server %[2]s\n", j.Name, own)
	}
}

func (r *Renewer) plan(c *candidate) *plan {
	p := &plan{live: strings.Clone(c.Live()), cmds: r.commands(c.set)}
	if r.kept.Add(1) <= mostKept {
		p.read = c
	}
	return p
}

// mostKept bounds the lineages that are kept from the look at them to their order.
const mostKept = 2000

// candidate returns a lineage that was looked at.
func (r *Renewer) candidate(j *job) (*candidate, error) {
	if j.read != nil {
		return j.read, nil
	}
	return r.load(j.Name)
}

// notDue is what is said of most lineages.
var notDue = []said{{"Certificate not yet due for renewal\n", false}}

// candidate is a lineage with the settings to renew it with.
type candidate struct {
	*lineage.Lineage
	set     *settings.Settings
	cert    *x509.Certificate
	ids     []identifier.Identifier
	domains []string
}

// load reads a lineage and what it is renewed with.
func (r *Renewer) load(name string) (*candidate, error) {
	l, err := r.Store.Load(name)
	if err != nil {
		return nil, err
	}
	c := &candidate{Lineage: l, set: r.Settings.Clone()}
	if err := c.set.Restore(l.Params()); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(r.Store.ConfPath(name)), err)
	}
	return c, c.readCertificate()
}

func (c *candidate) readCertificate() (err error) {
	if c.cert, err = c.Certificate(); err != nil {
		return err
	}
	c.domains, c.ids = lineage.Names(c.cert), nil
	for _, n := range c.domains {
		id, err := identifier.ParseLocal(n)
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
func (r *Renewer) finish(j *job, c *candidate, noted bool) (hookDue bool, err error) {
	if v, ok := c.Pending(); ok {
		j.complain("Found a new certificate in %s that was not in use, as after a crash; putting it into use.\n", c.Archive())
		if err := r.use(c.Lineage, v); err != nil {
			return false, err
		}
		return true, c.readCertificate()
	}
	if !noted {
		return false, nil
	}
	if v, ok := c.Version(); ok && v == r.Notes.Version(c.Name) {
		j.complain("The deploy hooks for %s have not run, as after a crash; running them.\n", c.Name)
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
	return r.dueBy(ctx, c.Lineage, c.cert) || r.revoked(ctx, c)
}

// revoked tells whether the CA has revoked the certificate, which is a reason to get
// another one.
func (r *Renewer) revoked(ctx context.Context, c *candidate) bool {
	if r.Revocations == nil || len(c.cert.OCSPServer) == 0 {
		return false
	}
	issuer, err := c.Issuer()
	if err != nil {
		r.Log.Warn("asking whether the certificate is revoked", "lineage", c.Name, "error", err)
		return false
	}
	revoked, err := r.Revocations.Revoked(ctx, c.cert, issuer)
	r.Log.Info("revocation", "lineage", c.Name, "revoked", revoked, "error", err)
	return revoked
}

// Due tells whether the certificate in use is to be renewed. A CA that cannot be
// asked does not keep it from its renewal.
func (o *Obtainer) Due(ctx context.Context, l *lineage.Lineage) bool {
	cert, err := l.Certificate()
	return err != nil || o.dueBy(ctx, l, cert)
}

func (o *Obtainer) dueBy(ctx context.Context, l *lineage.Lineage, cert *x509.Certificate) bool {
	var ask Asker
	if server := l.Server(); server != "" {
		ask = &asker{answers: o.Answers, server: server, now: o.Now, dial: func(ctx context.Context) (Asker, error) { return o.Connections.CA(ctx, server) }}
	}
	at, why, err := DueAt(ctx, cert, l.Conf.String("renew_before_expiry"), ask)
	if err != nil {
		o.Log.Warn("deciding when to renew", "lineage", l.Name, "error", err)
	}
	due := !o.Now().Before(at)
	o.Log.Info("renewal", "lineage", l.Name, "due", due, "at", at.Format(time.RFC3339), "decided", why)
	return due
}
