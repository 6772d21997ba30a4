package hostsource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/audit"
	"vidimus/internal/config"
	"vidimus/internal/store"
)

const (
	// batch is how many entries one transaction changes.
	batch = 500
	// leaseSpare is how long a source stays with who reads it beyond what it may take.
	leaseSpare = time.Minute
	// conflictsMost is how often a transaction is tried anew that another came between.
	conflictsMost = 5
)

// Syncer brings the store up to date with sources.
type Syncer struct {
	Store *store.Store
	Now   func() time.Time
	Open  func(*config.Source) (Reader, error) // [Open]
}

// Report is what a sync has done, or with DryRun would do.
type Report struct {
	Source    string             `json:"source"`
	DryRun    bool               `json:"dry_run"`
	Unchanged bool               `json:"unchanged"` // the source says that nothing has changed
	Full      bool               `json:"full"`      // it was read from the beginning
	Changes   store.SourceChange `json:"changes,omitempty"`
	Held      bool               `json:"held"`              // nothing was done, as too much would be lost
	ID        string             `json:"held_id,omitempty"` // to confirm it by
	Skipped   []string           `json:"skipped"`           // entries that make no sense, and why; the first of them
	Skips     int                `json:"skips"`             // how many there are
	Took      time.Duration      `json:"-"`
	Seconds   float64            `json:"seconds"`
}

// Sync reads a source and does what follows. With dry it only tells what that would be.
// [store.ErrBusy] means that another process does so now.
func (s *Syncer) Sync(ctx context.Context, c *config.Source, dry bool) (r Report, err error) {
	began := s.Now()
	r = Report{Source: c.Name, DryRun: dry, Skipped: []string{}}
	defer func() { r.Took = s.Now().Sub(began); r.Seconds = r.Took.Seconds() }()
	actor := audit.Of(ctx)
	actor.Source = c.Name
	ctx = audit.With(ctx, actor)
	reader, err := s.Open(c)
	if dry {
		if err != nil {
			return r, err
		}
		x, err := s.Store.Source(ctx, c.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return r, err
		}
		_, _, err = s.read(ctx, c, reader, x, true, &r)
		return r, err
	}
	w := &work{Syncer: s, c: c, holder: rand.Text()}
	x, lerr := s.Store.LeaseSource(ctx, c.Name, w.holder, -c.Priority, began, began.Add(time.Duration(c.Timeout)+leaseSpare))
	if lerr != nil {
		return r, lerr
	}
	end := store.SourceEnd{Began: began, Settings: c.Settings()}
	if err == nil {
		err = w.do(ctx, reader, x, &r, &end)
	}
	if err != nil {
		end.Problem = clip(err.Error())
	}
	end.Now = s.Now()
	return r, errors.Join(err, s.Store.EndSource(ctx, c.Name, w.holder, end))
}

func clip(s string) string {
	r := []rune(s)
	return string(r[:min(len(r), 1000)])
}

// read reads the source and compares. Everything is read where it has to be, or, as with
// dry, what is to be lost is to be known.
func (s *Syncer) read(ctx context.Context, c *config.Source, reader Reader, x store.Source, dry bool, r *Report) (o outcome, mark string, err error) {
	mark = x.Mark
	if x.Settings != c.Settings() || x.Settle || x.Held != nil || dry {
		mark = ""
	}
	if c.LDAP != nil && s.Now().Sub(x.Full) >= time.Duration(c.LDAP.FullEvery) {
		mark = ""
	}
	timeout := time.Duration(c.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %s; if that is what it takes, raise timeout", timeout))
	defer cancel()
	delta := mark != "" && reader.Deltas()
	d := newDiff(ctx, s.Store, c.Name, c.Unassigned == "team", delta)
	reading, err := reader.Read(ctx, mark, d)
	if err != nil {
		return o, "", timedOut(ctx, err)
	}
	r.Full, r.Unchanged = !delta && !reading.Unchanged, reading.Unchanged
	r.Skipped, r.Skips, r.Held, r.ID = d.skipped, d.skips, false, ""
	if reading.Unchanged {
		r.Changes = store.SourceChange{}
		return outcome{change: r.Changes}, reading.Mark, nil
	}
	o, err = d.outcome()
	r.Changes = o.change
	if o.tooMuch(*c.MaxLoss) {
		r.Held, r.ID = true, o.lostHash()
	}
	return o, reading.Mark, timedOut(ctx, err)
}

// timedOut is the cause for which a reading was cut off, where it was.
func timedOut(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("reading was cut off: %w", context.Cause(ctx))
	}
	return err
}

// work is the sync of one source, by who has its lease.
type work struct {
	*Syncer
	c      *config.Source
	holder string
}

func (w *work) do(ctx context.Context, reader Reader, x store.Source, r *Report, end *store.SourceEnd) error {
	o, mark, err := w.read(ctx, w.c, reader, x, false, r)
	if err == nil && r.Held && !r.Full { // what waits for an operator is to be the whole
		x.Mark = ""
		o, mark, err = w.read(ctx, w.c, reader, x, false, r)
	}
	if err != nil {
		return err
	}
	end.Skipped, end.Skips, end.Mark, end.Full, end.Change = r.Skipped, r.Skips, mark, r.Full, r.Changes
	if r.Unchanged {
		end.Skipped, end.Skips = x.Skipped, int(x.Skips)
	}
	if r.Held && x.Confirmed != r.ID {
		end.Held, end.HeldHash = &r.Changes, r.ID
		return nil
	}
	r.Held = false
	return w.apply(ctx, o, x.Settle, r.Full)
}

// apply does what is different. What names others is added behind them and removed before
// them.
func (w *work) apply(ctx context.Context, o outcome, settle, full bool) error {
	if settle {
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		if err := w.put(ctx, kind, o.entries[kind]); err != nil {
			return err
		}
	}
	for _, kind := range slices.Backward(kinds) {
		if err := w.put(ctx, kind, o.removed[kind]); err != nil {
			return err
		}
	}
	if o.change.Nothing() && !full {
		return nil
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if err = w.again(func() error { more, err = w.Store.RemoveUnnamed(ctx, w.lease(), batch); return err }); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) lease() store.SourceLease {
	now := w.Now()
	return store.SourceLease{Source: w.c.Name, Holder: w.holder, Until: now.Add(leaseSpare), Now: now}
}

func (w *work) put(ctx context.Context, kind string, entries []store.SourceEntry) error {
	for some := range slices.Chunk(entries, batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.again(func() error { return w.Store.ApplySource(ctx, w.lease(), kind, some) }); err != nil {
			return fmt.Errorf("writing what the source says: %w", err)
		}
	}
	return nil
}

// again tries anew what another change came between.
func (w *work) again(fn func() error) (err error) {
	for range conflictsMost {
		if err = fn(); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// settle decides anew on all that other sources have too, as the priority has changed.
func (w *work) settle(ctx context.Context) error {
	for _, kind := range kinds {
		for after := ""; ; {
			if err := ctx.Err(); err != nil {
				return err
			}
			keys, err := w.Store.ContestedEntries(ctx, w.c.Name, kind, after, batch)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
			if err := w.again(func() error { return w.Store.SettleSource(ctx, w.lease(), kind, keys) }); err != nil {
				return err
			}
			after = keys[len(keys)-1]
		}
	}
	return nil
}

// Due lists the sources that are to be read now, those that were tried longest ago first.
func (s *Syncer) Due(ctx context.Context, all []config.Source) ([]*config.Source, error) {
	on, err := s.Store.Sources(ctx)
	if err != nil {
		return nil, err
	}
	tried := make(map[string]time.Time)
	var due []*config.Source
	now := s.Now()
	for i := range all {
		c := &all[i]
		var x store.Source
		if k := slices.IndexFunc(on, func(x store.Source) bool { return x.Name == c.Name }); k >= 0 {
			x = on[k]
		}
		tried[c.Name] = x.Tried
		since := now.Sub(x.Tried)
		busy := x.BusyUntil.After(now)
		if !busy && (since >= time.Duration(c.Every) || since < -time.Minute || !x.Asked.IsZero() || x.Rank != int64(-c.Priority)) {
			due = append(due, c)
		}
	}
	slices.SortStableFunc(due, func(a, b *config.Source) int { return tried[a.Name].Compare(tried[b.Name]) })
	return due, nil
}
