package manual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

const (
	// maxOutput bounds, in bytes, what is kept of what a hook says: the environment of
	// the cleanup hook has to hold it.
	maxOutput = 64 << 10
	// lingering is how long the output of a hook is waited for after it has ended: it
	// may have started a daemon that keeps the pipe open.
	lingering = 2 * time.Second
)

// run runs a hook and returns what it printed. Its failure is a warning; an error is
// that it could not be run, or that ctx has ended.
func (m *Manual) run(ctx context.Context, kind, command, domain string, env []string) (string, error) {
	if m.Serial != nil {
		m.Serial.Lock()
		defer m.Serial.Unlock()
	}
	name := fmt.Sprintf("Hook '--manual-%s' for %s", kind, domain)
	m.Log.Info("running hook", "kind", "manual-"+kind, "command", command, "domain", domain)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(clean(m.Environ), env...)
	cmd.WaitDelay = lingering
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limited{&out, maxOutput}, &limited{&errs, maxOutput}
	err := cmd.Run()
	m.Log.Info("hook ended", "kind", "manual-"+kind, "error", err, "stdout", out.String(), "stderr", errs.String())
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.As(err, &exit):
		fmt.Fprintf(m.Err, "%s reported error code %d\n", name, exit.ExitCode())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("%s could not be run: %w", name, err)
	}
	printed := strings.TrimSpace(strings.ReplaceAll(out.String(), "\x00", ""))
	if printed != "" {
		fmt.Fprintf(m.Out, "%s ran with output:\n%s\n", name, indent(printed))
	}
	if text := strings.TrimSpace(errs.String()); text != "" {
		fmt.Fprintf(m.Err, "%s ran with error output:\n%s\n", name, indent(text))
	}
	return printed, nil
}

// clean drops what an outer run of a hook may have left in the environment.
func clean(environ []string) []string {
	var kept []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "CERTBOT_") && !strings.HasPrefix(e, "VIDIMUS_TXT_NAME=") && !strings.HasPrefix(e, "VIDIMUS_CHALLENGE=") {
			kept = append(kept, e)
		}
	}
	return kept
}

func indent(text string) string { return " " + strings.ReplaceAll(text, "\n", "\n ") }

// limited keeps the first left bytes and swallows the rest, so that a hook that talks
// without end is not killed by a full pipe.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
