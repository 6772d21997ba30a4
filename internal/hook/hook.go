// Package hook runs the commands that an admin wants run around a renewal: before
// it (pre), after it (post), and for each certificate that was deployed (deploy).
// They come from options and from the executables in renewal-hooks/{pre,deploy,post}.
//
// The order and the once-only rules are Certbot's. A hook that fails is a warning:
// it never undoes a renewal. Hooks run one after another, never at the same time.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Commands are the hooks of one lineage. The zero value has none.
type Commands struct {
	Pre, Post, Deploy string // shell commands
	// Dir is renewal-hooks, whose executables run too; "" for none.
	Dir string
}

// Dirs lists the directories below dir that Certbot makes there.
func Dirs(dir string) []string {
	return []string{filepath.Join(dir, "pre"), filepath.Join(dir, "deploy"), filepath.Join(dir, "post")}
}

// Runner runs hooks in one run of the program and remembers which have run.
type Runner struct {
	Out io.Writer // what hooks say
	Err io.Writer // what they say on standard error, and warnings
	Log *slog.Logger

	donePre map[string]bool
	post    []string
}

// Pre runs the pre hooks that have not run yet, those of the directory first.
func (r *Runner) Pre(ctx context.Context, c Commands) {
	for _, cmd := range with(list(c.Dir, "pre"), c.Pre) {
		if r.donePre[cmd] {
			r.Log.Info("pre-hook has run already", "command", cmd)
			continue
		}
		if r.donePre == nil {
			r.donePre = map[string]bool{}
		}
		r.donePre[cmd] = true
		r.run(ctx, "pre-hook", cmd, nil)
	}
}

// Deploy runs the deploy hooks for one certificate, which lives in the directory
// live, with RENEWED_LINEAGE and RENEWED_DOMAINS in their environment.
func (r *Runner) Deploy(ctx context.Context, c Commands, live string, names []string) {
	env := []string{r.names("RENEWED_DOMAINS", names), "RENEWED_LINEAGE=" + live}
	for _, cmd := range with(list(c.Dir, "deploy"), c.Deploy) {
		r.run(ctx, "deploy-hook", cmd, env)
	}
}

// SavePost notes the post hooks of a lineage that was tried, for [Runner.Post].
func (r *Runner) SavePost(c Commands) {
	for _, cmd := range with(list(c.Dir, "post"), c.Post) {
		if !slices.Contains(r.post, cmd) {
			r.post = append(r.post, cmd)
		}
	}
}

// Post runs each noted post hook once, also when renewals failed. RENEWED_DOMAINS
// and FAILED_DOMAINS tell the names of either.
func (r *Runner) Post(ctx context.Context, renewed, failed []string) {
	if len(r.post) == 0 {
		return
	}
	env := []string{r.names("RENEWED_DOMAINS", renewed), r.names("FAILED_DOMAINS", failed)}
	for _, cmd := range r.post {
		r.run(ctx, "post-hook", cmd, env)
	}
	r.post = nil
}

// mostNames bounds a list of names, in bytes, as in Certbot. Linux starts no program
// with a variable of 128 KiB (execve(2), E2BIG).
const mostNames = 32_000

// names makes a variable of as many names as fit.
func (r *Runner) names(variable string, names []string) string {
	list := strings.Join(names, " ")
	if len(list) > mostNames {
		list = list[:max(strings.LastIndexByte(list[:mostNames+1], ' '), 0)]
		fmt.Fprintf(r.Err, "Limiting the %s environment variable of hooks to %d characters\n", variable, mostNames)
	}
	return variable + "=" + list
}

// with adds cmd unless it is empty or one of cmds.
func with(cmds []string, cmd string) []string {
	if cmd == "" || slices.Contains(cmds, cmd) {
		return cmds
	}
	return append(cmds, cmd)
}

// list gives the executables of a hook directory in alphabetical order, without
// the back-up files of editors.
func list(dir, kind string) []string {
	if dir == "" {
		return nil
	}
	dir = filepath.Join(dir, kind)
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil
	}
	var cmds []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if executable(path) && !strings.HasSuffix(path, "~") {
			cmds = append(cmds, path)
		}
	}
	return cmds
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// lingering is how long the output of a hook is waited for after it has ended: it
// may have started a daemon that keeps the pipe open.
const lingering = 2 * time.Second

func (r *Runner) run(ctx context.Context, kind, command string, env []string) {
	r.Log.Info("running hook", "kind", kind, "command", command)
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = lingering
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	name := "Hook '" + kind + "'"
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Fprintf(r.Err, "%s reported error code %d\n", name, exit.ExitCode())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		fmt.Fprintf(r.Err, "%s could not be run: %v\n", name, err)
	}
	if text := strings.TrimSpace(out.String()); text != "" {
		fmt.Fprintf(r.Out, "%s ran with output:\n%s\n", name, indent(text))
	}
	if text := strings.TrimSpace(errs.String()); text != "" {
		fmt.Fprintf(r.Err, "%s ran with error output:\n%s\n", name, indent(text))
	}
	r.Log.Info("hook ended", "kind", kind, "error", err, "stdout", out.String(), "stderr", errs.String())
}

func indent(text string) string {
	return " " + strings.ReplaceAll(text, "\n", "\n ")
}

// ErrCommand says that a hook cannot be run.
var ErrCommand = errors.New("hook command cannot be run")

// Validate checks, before anything is done, that the program of a shell command
// exists; kind is "pre", "post" or "deploy". The error wraps [ErrCommand].
func Validate(kind, command string) error {
	fields := strings.Fields(command)
	if len(fields) == 0 {
		return nil
	}
	prog := fields[0]
	if _, err := exec.LookPath(prog); err == nil {
		return nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/bin", "/usr/local/sbin"} {
		if !strings.Contains(prog, "/") && executable(filepath.Join(dir, prog)) {
			return nil
		}
	}
	if _, err := os.Stat(prog); err == nil {
		return fmt.Errorf("%w: the %s-hook command %s exists, but is not executable; run chmod +x on it", ErrCommand, kind, prog)
	}
	return fmt.Errorf("%w: unable to find %s-hook command %s in the PATH (%s); give its full path, or --disable-hook-validation if the shell knows it", ErrCommand, kind, prog, os.Getenv("PATH"))
}
