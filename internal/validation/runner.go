package validation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

const (
	// AuthzLife is how long an authorization that was validated stays valid, unless the
	// ACME directory has it otherwise.
	AuthzLife = 30 * 24 * time.Hour
	// A database that fails is asked again after retryFirst, then after twice as long
	// each time up to retryMost, for retryFor: then the order has expired.
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
	retryFor   = 24 * time.Hour
	// resumePage is how many authorizations are read at once from the record.
	resumePage = 1000
)

// Policy is how challenges of one ACME directory are validated.
type Policy struct {
	Accounts string // URL of an account without the number at its end
	// AccountHashes is what the hash of an account follows in dns-persist-01 records.
	AccountHashes string
	Identities    []string // domain names of the CA in CAA and dns-persist-01 records, in lower case
	CAA           bool     // whether CAA records are looked at
	Networks      Networks // where connections may go besides those of the Validator

	Life time.Duration // of an authorization that was validated; 0 means AuthzLife
}

// Runner runs validations in the background and records their results. What was
// asked for and has no result is on record as "processing", and is taken up again by
// [Runner.Resume] after a restart. At most 256 run at once, 48 of them for one account;
// accounts take turns.
type Runner struct {
	Validator   *Validator
	Store       *store.Store
	Log         *slog.Logger
	Now         func() time.Time  // nil means time.Now
	Directories map[string]Policy // by ACME directory; nil means that all are of the zero Policy

	busy sync.WaitGroup
	once sync.Once
	ctx  context.Context // of all validations, made once
	stop context.CancelFunc

	mu       sync.Mutex
	queue    queue            // guarded by mu
	watched  map[int64]*watch // by authorization; guarded by mu
	overflow bool             // there is more on record than in the queue; guarded by mu
	stopping bool             // nothing more is begun; guarded by mu
}

// watch is what is to be known about an authorization with validations to come.
type watch struct {
	challenges []int64       // in the queue or running
	changed    chan struct{} // closed when one of them has a result; nil while nobody waits for it
}

func (r *Runner) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

func (r *Runner) context() context.Context {
	r.once.Do(func() { r.ctx, r.stop = context.WithCancel(context.Background()) })
	return r.ctx
}

// Start validates a challenge that has been moved to processing, when it is its turn.
// It returns at once. A challenge that has been started already is not started again.
func (r *Runner) Start(c store.Challenge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start(job{challenge: c.ID, authz: c.Authz, account: c.Account})
}

// Try is Start for a challenge that is still on record as pending: one of an authorization
// and its account as they were just read. It is false when that can't run at once; put the
// challenge on record as processing then, and Start it.
func (r *Runner) Try(a store.Authz, account store.Account, challenge int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := job{challenge: challenge, authz: a.ID, account: account.ID, known: &known{a, account}}
	if r.has(j) {
		return true
	}
	if !r.queue.free(j.account) {
		return false
	}
	r.start(j)
	return true
}

// has tells whether a job waits or runs; r.mu is held.
func (r *Runner) has(j job) bool {
	w := r.watched[j.authz]
	return w != nil && slices.Contains(w.challenges, j.challenge)
}

// start puts a job into the queue; r.mu is held.
func (r *Runner) start(j job) {
	if r.has(j) {
		return
	}
	left, ok := r.queue.add(j)
	if len(left) > 0 || !ok {
		if !r.overflow {
			r.Log.Warn("very many validations are waiting; more stay on record until some are done", "waiting", r.queue.waiting)
		}
		r.overflow = true
	}
	for _, j := range left {
		r.unwatch(j)
	}
	if !ok {
		return
	}
	w := r.watched[j.authz]
	if w == nil {
		if r.watched == nil {
			r.watched = make(map[int64]*watch)
		}
		w = new(watch)
		r.watched[j.authz] = w
	}
	w.challenges = append(w.challenges, j.challenge)
	r.dispatch()
}

// dispatch lets run what may; r.mu is held.
func (r *Runner) dispatch() {
	for !r.stopping {
		j, ok := r.queue.next()
		if !ok {
			return
		}
		r.busy.Go(func() {
			defer r.finished(j)
			ctx := r.context()
			if err := r.run(ctx, j); err != nil && ctx.Err() == nil {
				r.Log.Error("validation has no result", "challenge", j.challenge, "err", err)
			}
		})
	}
}

func (r *Runner) finished(j job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatch(j)
	r.queue.done(j)
	r.dispatch()
	if r.overflow && !r.stopping && r.queue.waiting <= r.queue.room()/2 {
		r.overflow = false
		r.busy.Go(func() {
			if err := r.Resume(r.context()); err != nil {
				r.Log.Error("looking for validations on record", "err", err)
			}
		})
	}
}

// unwatch tells those who wait for a job not to any more; r.mu is held.
func (r *Runner) unwatch(j job) {
	w := r.watched[j.authz]
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	w.challenges = slices.DeleteFunc(w.challenges, func(id int64) bool { return id == j.challenge })
	if len(w.challenges) == 0 {
		delete(r.watched, j.authz)
	}
}

// Hold returns when one of the validations of the authorization that run here has a
// result, or none runs; at the latest after the bound or when ctx is done.
func (r *Runner) Hold(ctx context.Context, authz int64, bound time.Duration) {
	r.mu.Lock()
	w := r.watched[authz]
	var changed chan struct{}
	if w != nil {
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed = w.changed
	}
	r.mu.Unlock()
	if changed == nil {
		return
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Resume starts what is on record as processing. Where that is more than may wait in
// memory it goes through all of it, so that each account has its share.
func (r *Runner) Resume(ctx context.Context) error {
	for after := int64(0); ; {
		page, err := r.Store.ProcessingAfter(ctx, after, resumePage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, c := range page {
			r.Start(c)
			after = c.Authz
		}
	}
}

// Stop lets what runs come to its end, until ctx is done. What waits its turn stays on
// record.
func (r *Runner) Stop(ctx context.Context) {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	r.Wait(ctx)
}

// Wait returns when nothing runs any more, or ctx is done. Then what still runs is
// given up; it stays on record as processing.
func (r *Runner) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { r.busy.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		r.context()
		r.stop()
	}
}

// run validates a challenge and records the result. A database that fails is tried
// again until it is back.
func (r *Runner) run(ctx context.Context, j job) error {
	a, account, err := r.read(ctx, j)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.Challenges, func(c store.Challenge) bool { return c.ID == j.challenge })
	if i < 0 || a.Challenges[i].Status != acme.Processing && j.known == nil {
		return nil // somebody else has recorded a result
	}
	c := a.Challenges[i]
	_, configured := r.Directories[account.Directory]
	req := r.request(account, a.Identifier, a.Wildcard)
	req.Subdomains = a.Subdomains
	req.Type, req.Token, req.KeyAuthorization = c.Type, c.Token, c.Token+"."+account.Thumbprint
	var res Result
	if c.Type == acme.DNSPersist01 {
		if req.Thumbprints, err = r.thumbprints(ctx, j, account); err != nil {
			return err
		}
	}
	switch {
	case account.Status != acme.Valid:
		res.Problem = acme.Problemf(acme.Unauthorized, "the account is %s", account.Status)
	case !configured && r.Directories != nil: // no server would ever come to a result
		res.Problem = acme.Problemf(acme.Unauthorized, "this server has no ACME directory %s any more", account.Directory)
	default:
		res = r.Validator.Validate(ctx, req)
	}
	if ctx.Err() != nil {
		return ctx.Err() // given up, not refuted
	}
	if res.Problem != nil {
		res.Problem.Status = 0 // inside an object there is no HTTP status
	}
	if c.Record, err = json.Marshal(res.Record); err != nil {
		return err
	}
	now := r.now()
	life := cmp.Or(r.Directories[account.Directory].Life, AuthzLife)
	r.Log.Info("validated", "challenge", c.ID, "type", c.Type, "identifier", a.Identifier.Value, "account", account.ID,
		"ok", res.Problem == nil, "problem", res.Problem, "address", res.Record.Address, "dnssec", string(res.Record.DNSSEC), "ms", res.Record.Millis)
	return r.persist(ctx, j, func() error {
		err := r.Store.FinishChallenge(ctx, c, res.Problem, now, earlier(res.Until, now.Add(life)))
		if errors.Is(err, store.ErrConflict) {
			return nil // somebody else has recorded a result
		}
		return err
	})
}

// read finds what a job is about.
func (r *Runner) read(ctx context.Context, j job) (a store.Authz, account store.Account, err error) {
	if j.known != nil {
		return j.known.authz, j.known.account, nil
	}
	err = r.persist(ctx, j, func() (err error) {
		if a, err = r.Store.Authz(ctx, j.authz); err != nil {
			return err
		}
		account, err = r.Store.Account(ctx, a.Account)
		return err
	})
	return a, account, err
}

// thumbprints are those of all keys that an account has had, the last first: a record that
// was made before the key was changed holds on (draft-ietf-acme-dns-persist-02 §4.2).
func (r *Runner) thumbprints(ctx context.Context, j job, account store.Account) (all []string, err error) {
	err = r.persist(ctx, j, func() error {
		before, err := r.Store.PastThumbprints(ctx, account.ID)
		all = append([]string{account.Thumbprint}, before...)
		return err
	})
	return all, err
}

// persist repeats what the database can't do until it can.
func (r *Runner) persist(ctx context.Context, j job, do func() error) error {
	begin, wait := time.Now(), retryFirst
	for {
		err := do()
		if err == nil || errors.Is(err, store.ErrNotFound) || time.Since(begin) > retryFor {
			return err
		}
		if wait == retryFirst {
			r.Log.Error("a validation waits for the database", "challenge", j.challenge, "err", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
		wait = min(2*wait, retryMost)
	}
}

// request is what is to be known to validate an identifier for an account.
func (r *Runner) request(account store.Account, base identifier.Identifier, wildcard bool) Request {
	p := r.Directories[account.Directory]
	return Request{Identifier: base, Wildcard: wildcard, Account: p.Accounts + strconv.FormatInt(account.ID, 10),
		Issuers: p.Identities, AccountHashes: p.AccountHashes, Networks: p.Networks, CAA: p.CAA}
}

// ChecksCAA tells whether an ACME directory asks for CAA records.
func (r *Runner) ChecksCAA(directory string) bool { return r.Directories[directory].CAA }

// CheckCAA tells what CAA records have against a certificate for an account, or nil.
// method is a challenge type, or [MethodHostDatabase].
func (r *Runner) CheckCAA(ctx context.Context, account store.Account, id identifier.Identifier, method string) *acme.Problem {
	req := r.request(account, id.Base(), id.Wildcard())
	req.Type = acme.ChallengeType(method)
	return r.Validator.CheckCAA(ctx, req)
}
