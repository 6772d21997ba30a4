package dns

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vidimus/internal/authenticator/dns/authority"
	"vidimus/internal/authenticator/dns/provider"
	"vidimus/internal/durable"
)

// note says which values are to be removed, and how to get at their zone. It is on disk
// before the first value is made. It holds paths of credentials files, never what is in
// them.
type note struct {
	Created  time.Time         `json:"created"`
	Plugin   string            `json:"plugin"`
	Options  map[string]string `json:"options"`
	Resolver string            `json:"resolver,omitempty"`
	Port     string            `json:"port,omitempty"`
	Records  []provider.Record `json:"records"`

	path string // "" for none
}

// suffix of the files with notes.
const suffix = ".txt-records.json"

// writeNote notes records that are about to be added. No records need no note.
func writeNote(c Config, options map[string]string, records []provider.Record) (*note, error) {
	if len(records) == 0 {
		return nil, nil
	}
	n := &note{Created: time.Now().UTC(), Plugin: c.Plugin, Options: options, Resolver: c.Resolver, Port: c.AuthorityPort, Records: records}
	if c.StateDir == "" {
		return n, nil
	}
	if _, err := os.Stat(c.StateDir); err != nil {
		if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
			return nil, fmt.Errorf("noting which TXT values are to be removed: %w", err)
		}
		if err := durable.SyncDir(filepath.Dir(c.StateDir)); err != nil {
			return nil, fmt.Errorf("noting which TXT values are to be removed: %w", err)
		}
	}
	data, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.StateDir, strings.ToLower(rand.Text())+suffix)
	err = durable.CreateFile(path, data, 0o600)
	if err == nil {
		err = durable.SyncDir(c.StateDir)
	}
	if err != nil {
		return nil, fmt.Errorf("noting which TXT values are to be removed: %w", err)
	}
	n.path = path
	return n, nil
}

func readNote(path string) (*note, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n := &note{path: path}
	if err := json.Unmarshal(data, n); err != nil {
		return nil, fmt.Errorf("the note %s cannot be read (%w): remove it, and see whether TXT records are left over", path, err)
	}
	return n, nil
}

// removalTimeout bounds the removal of the values of one order.
const removalTimeout = 2 * time.Minute

// settle removes the values and then the note; of values that could not be removed, the
// note stays.
func (n *note) settle(ctx context.Context, p provider.Provider, f *authority.Finder) error {
	ctx, cancel := context.WithTimeout(ctx, removalTimeout)
	defer cancel()
	var mu sync.Mutex
	var left []provider.Record
	err := each(n.Records, func(r provider.Record) error {
		err := p.Remove(ctx, r)
		if err == nil || gone(ctx, f, r) {
			return nil
		}
		mu.Lock()
		left = append(left, r)
		mu.Unlock()
		return err
	})
	if n.path == "" {
		return err
	}
	if len(left) == 0 {
		if e := os.Remove(n.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return err
	}
	if len(left) < len(n.Records) {
		n.Records = left
		if data, e := json.Marshal(n); e == nil {
			err = errors.Join(err, durable.WriteFile(n.path, data, 0o600))
		}
	}
	return err
}

// gone tells whether the name servers say that a value is not there. Some providers
// remove all values of a name with the first, and fail for the second.
func gone(ctx context.Context, f *authority.Finder, r provider.Record) bool {
	place, err := f.Find(ctx, r.Name)
	if err != nil || place.Name != r.Name || place.Hidden != nil {
		return false
	}
	values, err := f.Values(ctx, place)
	return err == nil && !slices.Contains(values, r.Value)
}

// giveUpAfter is how long leftovers are tried to be removed.
const giveUpAfter = 30 * 24 * time.Hour

// Recover removes the TXT values that a run left when it was killed or could not reach
// the provider. Without any it costs one look at a directory. No other run may be
// presenting answers with the same stateDir.
func Recover(ctx context.Context, stateDir string, log *slog.Logger) error {
	entries, err := os.ReadDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) || stateDir == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for TXT values that are left over: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(stateDir, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil
	}
	session := NewSession()
	defer session.Close()
	return each(paths, func(path string) error { return recoverOne(ctx, path, session, log) })
}

func recoverOne(ctx context.Context, path string, session *Session, log *slog.Logger) error {
	n, err := readNote(path)
	if err != nil {
		return err
	}
	c, err := Config{
		Plugin: n.Plugin, Option: func(name string) string { return n.Options[name] },
		Log: log, Getenv: os.Getenv, Resolver: n.Resolver, AuthorityPort: n.Port, Session: session,
	}.complete()
	if err != nil {
		return err
	}
	p, err := choose(c, session)
	if err == nil {
		err = n.settle(ctx, p, session.finder(c))
	}
	if err == nil {
		c.Log.Info("removed TXT values that an earlier run left", "plugin", n.Plugin, "records", len(n.Records))
		return nil
	}
	var lines []string
	for _, r := range n.Records {
		lines = append(lines, fmt.Sprintf("%s TXT %q", r.Name, r.Value))
	}
	err = fmt.Errorf("an earlier run left %s, and removing it failed: %w", strings.Join(lines, ", "), err)
	if time.Since(n.Created) > giveUpAfter {
		return errors.Join(fmt.Errorf("%w; remove it by hand, it is not tried again", err), os.Remove(path))
	}
	return err
}
