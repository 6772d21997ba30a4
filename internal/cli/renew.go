package cli

import (
	"bufio"
	"context"
	"io"
	"time"

	"vidimus/internal/hook"
	"vidimus/internal/issuance"
	"vidimus/internal/renewal"
)

// longestDelay is Certbot's, for a renewal that no person watches.
const longestDelay = 8 * time.Minute

func renew(ctx context.Context, s *session) error {
	o := s.opts
	if len(o.Domains) > 0 {
		return misuse("'renew' takes --cert-name, not -d: to change names, use 'certonly'")
	}
	out := bufio.NewWriterSize(s.out, 64<<10)
	errs := flushed{s.Stderr, out}
	s.hooks.Out, s.hooks.Err = out, errs
	if o.json {
		out = bufio.NewWriter(io.Discard)
		if !o.Quiet { // what hooks say, beside the JSON
			s.out, s.hooks.Out, s.obtainer.Provers.Out = s.Stderr, s.Stderr, s.Stderr
		}
	}
	defer out.Flush()
	if !o.DryRun {
		s.obtainer.Connections.Register = nil
	}
	r := &renewal.Renewer{Obtainer: s.obtainer, Settings: o.Settings, Hooks: s.hooks, Out: out, Err: errs,
		Revocations: s.revocations(), Parallel: o.parallel, Progress: s.progress(out)}
	if !s.Terminal && !o.noRandomSleep {
		r.RandomDelay = longestDelay
	}
	results, err := r.Renew(ctx, o.CertName)
	if r.Progress != nil { // an interruption leaves a line
		r.Progress(renewal.Progress{})
	}
	if o.json {
		if err := s.printResults(results); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return renewal.Report(results, renewal.Reporting{Hooks: hook.Commands{Pre: o.PreHook, Post: o.PostHook, Deploy: o.RenewHook}, DryRun: o.DryRun}, out, r.Err)
}

// flushed is standard error beside an output that is buffered: what was printed
// before comes before.
type flushed struct {
	io.Writer
	out *bufio.Writer
}

func (f flushed) Write(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Writer.Write(p)
}

// revocations asks by OCSP, through the proxy that the environment names.
func (s *session) revocations() *renewal.Revocations {
	return &renewal.Revocations{Client: issuance.PlainClient(s.Getenv), Answers: s.obtainer.Answers, Now: s.Now}
}

// progress shows a line that changes, to a person who watches.
func (s *session) progress(out *bufio.Writer) func(renewal.Progress) {
	if !s.Watched || s.opts.Quiet || s.opts.json {
		return nil
	}
	const clear = "\r\x1b[K"
	return func(p renewal.Progress) {
		out.Flush()
		if p.Due == 0 {
			io.WriteString(s.Stderr, clear)
			return
		}
		io.WriteString(s.Stderr, clear+p.Line(78))
	}
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
