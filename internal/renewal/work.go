package renewal

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// patience is how long the deploy hook of a finished lineage waits for those of the
// lineages before it, which are still at work. So hooks come in the order of the
// lineages, unless one is slow.
const patience = 5 * time.Second

// event is the beginning or the end of one order.
type event struct {
	job   *job
	ended bool
}

// work orders for the jobs that are due, Parallel of them at the same time at each CA,
// and runs hooks and prints in the order of the jobs.
func (r *Renewer) work(ctx context.Context, jobs []*job) {
	queues := map[string][]*job{}
	due := 0
	for _, j := range jobs {
		if j.due {
			queues[j.queue] = append(queues[j.queue], j)
			due++
		}
	}
	events := make(chan event, 2*due) // orders go on while hooks run
	var wg sync.WaitGroup
	for name, jobs := range queues {
		q := &queue{places: make(chan struct{}, max(r.Parallel, 1)), begun: make(chan struct{}, max(r.Parallel, 1)+mostWaiting)}
		if name == "" {
			q = &queue{places: make(chan struct{}, 1), begun: make(chan struct{}, 1), strict: true}
		}
		wg.Go(func() {
			for _, j := range jobs {
				q.begun <- struct{}{}
				q.places <- struct{}{}
				wg.Go(func() {
					events <- event{j, false}
					r.one(ctx, j, q.waiting())
					events <- event{j, true}
					<-q.places
					<-q.begun
				})
			}
		})
	}
	(&conductor{Renewer: r, jobs: jobs, shown: Progress{Due: due}}).conduct(ctx, events, due)
	wg.Wait()
}

// queue holds back orders at one CA. One that only waits, for a slow name server or a
// CA that tries again and again, gives its place to another.
type queue struct {
	places chan struct{} // orders at work
	begun  chan struct{} // orders at work or waiting
	strict bool          // one after another
}

// mostWaiting bounds the orders that wait at one CA.
const mostWaiting = 256

// waiting is what an order is to call when it only waits.
func (q *queue) waiting() func() (resume func()) {
	if q.strict {
		return nil
	}
	return func() func() {
		<-q.places
		return func() { q.places <- struct{}{} }
	}
}

// one renews one lineage.
func (r *Renewer) one(ctx context.Context, j *job, waiting func() func()) {
	if ctx.Err() != nil {
		j.Outcome, j.Err = Failed, ctx.Err()
		return
	}
	done, err := r.renew(ctx, j, waiting)
	if done {
		j.Outcome, j.hookDue = Renewed, !r.Settings.DryRun || r.Settings.RunDeployHooks
	}
	if err != nil {
		r.fail(j, err)
	}
}

// renew orders and deploys. done says that a new version is in use, even if a
// later step failed, or that a dry run has come to its end.
func (r *Renewer) renew(ctx context.Context, j *job, waiting func() func()) (done bool, err error) {
	c, err := r.candidate(j)
	if err != nil {
		return false, err
	}
	j.read = nil
	if err := r.Ready(ctx, c.set); err != nil {
		return false, err
	}
	if err := c.set.CheckReplace(c.domains, c.Server()); err != nil {
		return false, err
	}
	if c.set.DryRun {
		j.say("Simulating renewal of an existing certificate for %s\n", Summary(c.domains))
	} else {
		j.say("Renewing an existing certificate for %s\n", Summary(c.domains))
	}
	m, err := r.order(ctx, c.set, c.ids, c.Lineage, waiting)
	if err != nil {
		return false, err
	}
	for _, line := range m.Warnings(c.set) {
		j.complain("%s\n", line)
	}
	for _, f := range m.LeftOut { // hooks are told what the certificate is for
		j.Domains = slices.DeleteFunc(slices.Clone(j.Domains), func(name string) bool { return name == f.Name })
	}
	if c.set.DryRun {
		return true, nil
	}
	before, _ := c.Version()
	err = r.Deploy(c.Lineage, m, c.set, false)
	after, ok := c.Version()
	return ok && after > before, err
}

// conductor does what all lineages share.
type conductor struct {
	*Renewer
	jobs    []*job
	ended   map[*job]bool
	running []*job
	shown   Progress
}

func (c *conductor) conduct(ctx context.Context, events <-chan event, due int) {
	c.ended = map[*job]bool{}
	at := c.inOrder(ctx, 0)
	var late <-chan time.Time
	for left := due; left > 0; {
		select {
		case e := <-events:
			if !e.ended {
				c.running = append(c.running, e.job)
				c.show()
				continue
			}
			left--
			c.end(e.job)
			at = c.inOrder(ctx, at)
			if late == nil && at < len(c.jobs) {
				late = time.After(patience)
			}
			c.show()
		case <-late:
			late = nil
			for _, j := range c.jobs[at:] {
				c.handle(ctx, j)
			}
			c.show()
		}
	}
	c.inOrder(ctx, at)
}

// end notes that an order has ended.
func (c *conductor) end(j *job) {
	c.ended[j] = true
	for i, other := range c.running {
		if other == j {
			c.running = append(c.running[:i], c.running[i+1:]...)
			break
		}
	}
	if j.Outcome == Renewed {
		c.shown.Renewed++
	} else {
		c.shown.Failed++
	}
}

// inOrder handles jobs from the one at i on, up to the first that is not decided, and
// returns its place.
func (c *conductor) inOrder(ctx context.Context, i int) int {
	for ; i < len(c.jobs); i++ {
		if !c.handle(ctx, c.jobs[i]) {
			return i
		}
	}
	return i
}

// handle prints what is to be said of a job and runs its deploy hooks, if it is
// decided.
func (c *conductor) handle(ctx context.Context, j *job) (decided bool) {
	if j.handled {
		return true
	}
	if j.due && !c.ended[j] {
		return false
	}
	j.handled = true
	if errors.Is(j.Err, context.Canceled) || j.Outcome == "" {
		return true // interrupted
	}
	c.clear()
	_, _ = io.WriteString(c.Out, "\n"+Frame+"\nProcessing "+c.Store.ConfPath(j.Name)+"\n"+Frame+"\n")
	for _, s := range j.said {
		to := c.Out
		if s.wrong {
			to = c.Err
		}
		_, _ = io.WriteString(to, s.text)
	}
	j.said = nil
	if j.hookDue && ctx.Err() == nil {
		c.Hooks.Deploy(ctx, j.cmds, j.live, j.Domains)
		if ctx.Err() == nil && !c.Settings.DryRun {
			c.Hooked(j.Name)
		}
	}
	return true
}

// show tells who watches how far it is.
func (c *conductor) show() {
	if c.Progress == nil {
		return
	}
	p := c.shown
	p.Running = len(c.running)
	for _, j := range c.running {
		p.Names = append(p.Names, j.Name)
	}
	c.Progress(p)
}

// clear takes the progress away, for something else is to be printed.
func (c *conductor) clear() {
	if c.Progress != nil {
		c.Progress(Progress{})
	}
}

// Line is the progress in one line of at most width columns.
func (p Progress) Line(width int) string {
	var b strings.Builder
	part := func(n int, what string) {
		if n > 0 {
			b.WriteString(", " + strconv.Itoa(n) + " " + what)
		}
	}
	b.WriteString(strconv.Itoa(p.Renewed+p.Failed) + " of " + strconv.Itoa(p.Due) + " done")
	part(p.Failed, "failed")
	part(p.Running, "running")
	if len(p.Names) > 0 {
		b.WriteString(": " + strings.Join(p.Names, " "))
	}
	line := b.String()
	if len(line) > width {
		line = line[:max(width-1, 0)] + "…"
	}
	return line
}
