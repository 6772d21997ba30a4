package validation

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

const (
	// maxRunning bounds the validations that run at once; the others wait their turn.
	maxRunning = 256
	// AuthzLife is how long an authorization that was validated stays valid.
	AuthzLife = 7 * 24 * time.Hour
)

// Runner runs validations in the background and records their results. What was
// asked for and has no result is on record as "processing", and is taken up again by
// [Runner.Resume] after a restart.
type Runner struct {
	Validator *Validator
	Store     *store.Store
	Log       *slog.Logger
	Now       func() time.Time // nil means time.Now
	CAA       map[string]CAA   // by ACME directory; one that is missing does not ask for CAA records

	once sync.Once
	slot chan struct{}
	busy sync.WaitGroup

	mu      sync.Mutex
	running map[int64]chan struct{} // by authorization; closed when its validation has a result. Guarded by mu
}

func (r *Runner) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// Start validates a challenge that has been moved to processing. It returns at once.
func (r *Runner) Start(c store.Challenge) {
	r.once.Do(func() { r.slot = make(chan struct{}, maxRunning) })
	done := make(chan struct{})
	r.mu.Lock()
	if r.running == nil {
		r.running = make(map[int64]chan struct{})
	}
	r.running[c.Authz] = done
	r.mu.Unlock()
	r.busy.Go(func() {
		defer r.finished(c.Authz, done)
		r.slot <- struct{}{}
		defer func() { <-r.slot }()
		if err := r.run(context.Background(), c); err != nil {
			r.Log.Error("validation has no result", "challenge", c.ID, "err", err)
		}
	})
}

func (r *Runner) finished(authz int64, done chan struct{}) {
	close(done)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running[authz] == done {
		delete(r.running, authz)
	}
}

// Hold returns when no validation of the authorization runs here any more, and at
// the latest after the bound or when ctx is done.
func (r *Runner) Hold(ctx context.Context, authz int64, bound time.Duration) {
	r.mu.Lock()
	done := r.running[authz]
	r.mu.Unlock()
	if done == nil {
		return
	}
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Resume starts what is on record as processing.
func (r *Runner) Resume(ctx context.Context) error {
	all, err := r.Store.ProcessingChallenges(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		r.Start(c)
	}
	return nil
}

// Wait returns when nothing runs any more, or ctx is done.
func (r *Runner) Wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { r.busy.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (r *Runner) run(ctx context.Context, c store.Challenge) error {
	a, err := r.Store.Authz(ctx, c.Authz)
	if err != nil {
		return err
	}
	account, err := r.Store.Account(ctx, a.Account)
	if err != nil {
		return err
	}
	problem := r.Validator.Validate(ctx, c.Type, a.Identifier, c.Token, c.Token+"."+account.Thumbprint)
	if problem == nil {
		problem = r.CheckCAA(ctx, account, certified(a), string(c.Type))
	}
	if problem != nil {
		problem.Status = 0 // inside an object there is no HTTP status
	}
	now := r.now()
	r.Log.Info("validated", "challenge", c.ID, "type", c.Type, "identifier", a.Identifier.Value, "account", account.ID,
		"ok", problem == nil, "problem", problem)
	err = r.Store.FinishChallenge(ctx, c, problem, now, now.Add(AuthzLife))
	if errors.Is(err, store.ErrConflict) {
		return nil // somebody else has recorded a result
	}
	return err
}

// ChecksCAA tells whether an ACME directory asks for CAA records.
func (r *Runner) ChecksCAA(directory string) bool {
	_, ok := r.CAA[directory]
	return ok
}

// CheckCAA tells what CAA records have against a certificate for an account, or nil.
// method is a challenge type, or [MethodHostDatabase].
func (r *Runner) CheckCAA(ctx context.Context, account store.Account, id identifier.Identifier, method string) *acme.Problem {
	policy, ok := r.CAA[account.Directory]
	if !ok {
		return nil
	}
	return r.Validator.caa(ctx, policy, caaRequest{id: id, account: policy.Accounts + strconv.FormatInt(account.ID, 10), method: method})
}

// certified is what an authorization is for, with the "*." of a wildcard.
func certified(a store.Authz) identifier.Identifier {
	if a.Wildcard {
		return identifier.Identifier{Type: a.Identifier.Type, Value: "*." + a.Identifier.Value}
	}
	return a.Identifier
}
