package hostsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/store"
)

// Forget takes away all that a source has said, which is not configured any more.
func (s *Syncer) Forget(ctx context.Context, name string) (Report, error) {
	x, err := s.Store.Source(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Report{}, fmt.Errorf("there is no source %s on record", name)
	} else if err != nil {
		return Report{}, err
	}
	all := 100
	c := &config.Source{Name: name, Priority: int(-x.Rank), MaxLoss: &all, Timeout: config.Duration(time.Minute)}
	last := &Syncer{Store: s.Store, Now: s.Now, Open: func(*config.Source) (Reader, error) { return silent{}, nil }}
	r, err := last.Sync(ctx, c, false)
	if err != nil {
		return r, err
	}
	if err := s.Store.ForgetSource(ctx, name); err != nil && !errors.Is(err, store.ErrConflict) { // people it has told of are still named by others
		return r, err
	}
	return r, nil
}

// silent is a source that says nothing.
type silent struct{}

// Deltas implements [Reader].
func (silent) Deltas() bool { return false }

// Read implements [Reader].
func (silent) Read(context.Context, string, Sink) (Reading, error) { return Reading{}, nil }

// Unconfigured lists the sources on record that are not among those configured.
func Unconfigured(on []store.Source, configured []config.Source) (names []string) {
	for _, x := range on {
		if !slices.ContainsFunc(configured, func(c config.Source) bool { return c.Name == x.Name }) {
			names = append(names, x.Name)
		}
	}
	return names
}
