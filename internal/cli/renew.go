package cli

import (
	"context"
	"io"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/renewal"
)

// longestDelay is Certbot's, for a renewal that no person watches.
const longestDelay = 8 * time.Minute

func renew(ctx context.Context, s *session) error {
	o := s.opts
	if len(o.Domains) > 0 {
		return misuse("'renew' takes --cert-name, not -d: to change names, use 'certonly'")
	}
	out := s.out
	if o.json {
		out = io.Discard
	}
	r := &renewal.Renewer{Obtainer: s.obtainer, Settings: o.Settings, Hooks: s.hooks, Out: out, Err: s.Stderr}
	r.Hooks.Out = out
	r.Connections.Register = nil
	if !s.Terminal && !o.noRandomSleep {
		r.RandomDelay = longestDelay
	}
	results, err := r.Renew(ctx, o.CertName)
	if o.json {
		if err := s.printResults(results); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return renewal.Report(results, hook.Commands{Pre: o.PreHook, Post: o.PostHook, Deploy: o.RenewHook}, out, s.Stderr)
}

func (s *session) printResults(results []renewal.Result) error {
	type item struct {
		Name    string     `json:"name"`
		Path    string     `json:"path"`
		Outcome string     `json:"outcome"`
		Error   string     `json:"error,omitempty"`
		Domains []string   `json:"domains,omitempty"`
		Expires *time.Time `json:"expires,omitempty"`
	}
	list := []item{}
	for _, r := range results {
		it := item{Name: r.Name, Path: r.Path, Outcome: string(r.Outcome), Domains: r.Domains}
		if r.Err != nil {
			it.Error = r.Err.Error()
		}
		if r.Outcome == renewal.Skipped {
			it.Expires = &r.Expiry
		}
		list = append(list, it)
	}
	return s.printJSON(list)
}
