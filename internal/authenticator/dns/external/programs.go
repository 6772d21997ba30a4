package external

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"vidimus/internal/authenticator/dns/provider"
)

// Programs are the programs of one run: one for each provider with its settings, which
// serves all orders. The zero value has none.
type Programs struct {
	mu      sync.Mutex
	running map[[32]byte]*entry // guarded by mu
}

type entry struct {
	mu      sync.Mutex // held while the program is started
	program *Program
}

// Get returns the running program of a spec, and starts it when there is none, or when
// it has ended.
func (ps *Programs) Get(ctx context.Context, spec Spec) (*Program, error) {
	key, err := json.Marshal([]any{spec.Path, spec.Provider, spec.Settings, spec.Resolver}) // sorts the settings
	if err != nil {
		return nil, err
	}
	ps.mu.Lock()
	if ps.running == nil {
		ps.running = make(map[[32]byte]*entry)
	}
	e := ps.running[sha256.Sum256(key)]
	if e == nil {
		e = new(entry)
		ps.running[sha256.Sum256(key)] = e
	}
	ps.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.program != nil && !e.program.Ended() {
		return e.program, nil
	}
	e.program, err = Start(ctx, spec)
	return e.program, err
}

// Provider is a provider in a program, which is started when it does not run.
type Provider struct {
	Programs *Programs
	Spec     Spec
}

var _ provider.Provider = Provider{}

// Add implements [provider.Provider].
func (p Provider) Add(ctx context.Context, r provider.Record) error {
	return p.with(ctx, func(program *Program) error { return program.Add(ctx, r) })
}

// Remove implements [provider.Provider].
func (p Provider) Remove(ctx context.Context, r provider.Record) error {
	return p.with(ctx, func(program *Program) error { return program.Remove(ctx, r) })
}

// with does something with the program, and once more with a new one when the program
// ended meanwhile: requests may be repeated.
func (p Provider) with(ctx context.Context, do func(*Program) error) error {
	for again := false; ; again = true {
		program, err := p.Programs.Get(ctx, p.Spec)
		if err != nil {
			return err
		}
		if err = do(program); again || !errors.Is(err, errEnded) {
			return err
		}
	}
}

// Close ends all programs.
func (ps *Programs) Close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var wg sync.WaitGroup
	for _, e := range ps.running {
		wg.Go(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.program != nil {
				e.program.Close()
			}
		})
	}
	wg.Wait()
	ps.running = nil
}

// All is the program that brings all of lego's providers.
const All = "vidimus-dns-lego"

var nameRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Find finds the program for a provider: vidimus-dns-NAME, else vidimus-dns-lego, on
// path, a list like that of PATH, or in the directory beside, where this program is.
func Find(name, path, beside string) (string, error) {
	if !nameRE.MatchString(name) {
		return "", fmt.Errorf("the DNS provider %q has no name that a provider can have: use small letters, digits and hyphens", name)
	}
	dirs := filepath.SplitList(path)
	if beside != "" {
		dirs = append(dirs, beside)
	}
	for _, program := range []string{"vidimus-dns-" + name, All} {
		for _, dir := range dirs {
			at := filepath.Join(dir, program)
			info, err := os.Stat(at)
			if filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return at, nil
			}
		}
	}
	return "", fmt.Errorf("the DNS provider %s is not built in, and neither vidimus-dns-%s nor %s is on the PATH: install %s beside vidimus", name, name, All, All)
}
