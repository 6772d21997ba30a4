package server

import (
	"context"
	"fmt"
	"io"
	"time"

	organisation "vidimus/internal/demo"
	"vidimus/internal/store"
)

// madeUp is what the names of hosts that are made up end with.
const madeUp = ".demo.uni.test"

// addDemoSize makes up hosts, with all that goes with them, when there are fewer than size.
func (s *Server) addDemoSize(ctx context.Context, size int, progress io.Writer) error {
	if size == 0 {
		return nil
	}
	if size < 0 || size > 1_000_000 {
		return fmt.Errorf("--demo-size %d is not between 1 and 1000000", size)
	}
	last, err := s.store.HostsFrom(ctx, "www.physics"+madeUp, 1)
	if err != nil || len(last) > 0 {
		return err // they are there from before
	}
	iss := s.issuers[0]
	if err := organisation.Fill(ctx, s.store, organisation.Organisation{Hosts: size, Issuer: iss, Directory: iss.Name, Member: demo[0].person.Login, Now: time.Now(),
		Progress: func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }}); err != nil {
		return err
	}
	return s.addDemoStops(ctx)
}

// addDemoStops suspends some of what is made up, and allows wildcards for some.
func (s *Server) addDemoStops(ctx context.Context) error {
	for _, x := range []struct {
		kind           store.SuspensionKind
		object, reason string
	}{
		{store.SuspendedName, "shop.physics.demo.uni.test", "The shop has moved to another provider."},
		{store.SuspendedACMEID, "www.law.demo.uni.test", "Its credentials were found in a public repository; ask the CA team for new ones."},
		{store.SuspendedSubtree, "theatre.demo.uni.test", "The theatre's network is being taken apart."},
	} {
		if _, err := s.dir.Suspend(ctx, x.kind, x.object, x.reason); err != nil {
			s.log.Warn("an entry of the demo was left out", "err", err) // a small one hasn't this host
		}
	}
	for _, subtree := range []string{"informatics.demo.uni.test", "library.demo.uni.test"} {
		if _, err := s.dir.AllowWildcards(ctx, subtree); err != nil {
			return err
		}
	}
	return nil
}
