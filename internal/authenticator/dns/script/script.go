// Package script changes a zone by a program of the admin's, called as lego's "exec"
// provider calls it: PROGRAM present NAME VALUE and PROGRAM cleanup NAME VALUE. No shell
// is between, so nothing in a name or value means anything.
package script

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"vidimus/internal/authenticator/dns/provider"
)

// Program is the admin's program.
type Program struct {
	Path string
	Raw  bool // lego's EXEC_MODE=RAW: … -- DOMAIN TOKEN KEY-AUTHORIZATION
	Log  *slog.Logger
	// Turn is held while it runs: two runs at the same time are not what those who
	// write such a program have in mind.
	Turn sync.Locker
}

var _ provider.Provider = (*Program)(nil)

// timeout bounds one run.
const timeout = 5 * time.Minute

// Add implements [provider.Provider].
func (p *Program) Add(ctx context.Context, r provider.Record) error { return p.run(ctx, "present", r) }

// Remove implements [provider.Provider].
func (p *Program) Remove(ctx context.Context, r provider.Record) error {
	return p.run(ctx, "cleanup", r)
}

func (p *Program) run(ctx context.Context, what string, r provider.Record) error {
	args := []string{what, r.Name + ".", r.Value}
	if p.Raw {
		token, _, _ := strings.Cut(r.KeyAuthorization, ".")
		args = []string{what, "--", r.Domain, token, r.KeyAuthorization}
	}
	p.Turn.Lock()
	defer p.Turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = os.Environ()
	out := &bounded{most: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	text := strings.TrimSpace(out.String())
	if p.Log != nil && text != "" {
		p.Log.Info("the DNS script says", "script", p.Path, "text", text)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("the DNS script %s %s did not end within %v", p.Path, what, timeout)
	case text == "":
		return fmt.Errorf("the DNS script %s %s failed: %w", p.Path, what, err)
	}
	last := text[strings.LastIndexByte(text, '\n')+1:]
	return fmt.Errorf("the DNS script %s %s failed (%w): %s", p.Path, what, err, last)
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(b.most-b.Len(), 0))])
	return len(p), nil
}
