package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vidimus/integration/peer"
)

// attempt is one cell of the table while it is tried: a testing.TB whose failure is
// the cell's outcome and not the test's. Everything that the client prints goes to its
// log file.
type attempt struct {
	testing.TB
	log *os.File

	mu       sync.Mutex
	failure  string // "" while all is well
	cleanups []func()
	output   strings.Builder // what has gone to the log file
	notes    []string
	lack     bool            // the client hasn't it, as a note says
	hopeless *regexp.Regexp  // what a client that stays prints when it is in vain to wait; nil for nothing
	watched  []func() string // what clients that stay have printed so far
}

// try runs f as an attempt, and returns it when it is over.
func try(t testing.TB, logFile string, f func(*attempt)) *attempt {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a := &attempt{TB: t, log: log}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.clean()
		f(a)
	}()
	<-done
	if a.failure != "" {
		a.Logf("FAILED: %s", a.failure)
	}
	return a
}

func (a *attempt) clean() {
	for len(a.cleanups) > 0 {
		last := len(a.cleanups) - 1
		f := a.cleanups[last]
		a.cleanups = a.cleanups[:last]
		f()
	}
}

func (a *attempt) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }

func (a *attempt) TempDir() string {
	dir, err := os.MkdirTemp("", "vidimus-interop-")
	if err != nil {
		a.Fatal(err)
	}
	// Some clients give up root's rights, and must reach what is theirs below.
	if err := os.Chmod(dir, 0o755); err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (a *attempt) Errorf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure == "" {
		a.failure = fmt.Sprintf(format, args...)
	}
}
func (a *attempt) Error(args ...any)                 { a.Errorf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }
func (a *attempt) Fatalf(format string, args ...any) { a.Errorf(format, args...); runtime.Goexit() }
func (a *attempt) Fatal(args ...any)                 { a.Error(args...); runtime.Goexit() }
func (a *attempt) Fail()                             { a.Error("failed") }
func (a *attempt) FailNow()                          { a.Fatal("failed") }
func (a *attempt) Skip(args ...any)                  { a.Fatal(args...) }
func (a *attempt) Skipf(format string, args ...any)  { a.Fatalf(format, args...) }
func (a *attempt) SkipNow()                          { a.Fatal("skipped") }

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure != ""
}

func (a *attempt) Log(args ...any) { a.Logf("%s", strings.TrimSpace(fmt.Sprintln(args...))) }

func (a *attempt) Logf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	a.output.WriteString(text + "\n")
	fmt.Fprintln(a.log, text)
}

// seen tells whether the log has the pattern.
func (a *attempt) seen(pattern string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return regexp.MustCompile(pattern).MatchString(a.output.String())
}

// note adds a footnote to the cell.
func (a *attempt) note(text string) { a.notes = append(a.notes, text) }

// lacking says that the client hasn't what the cell is about, as the run has shown.
func (a *attempt) lacking(why string) { a.lack, a.notes = true, append(a.notes, why) }

// run runs a client's command, which must succeed, and returns what it printed.
func (a *attempt) run(cmd *exec.Cmd) string {
	a.Helper()
	out, status := peer.Run(a, cmd)
	a.Logf("$ %s\n%sexit status %d", strings.Join(cmd.Args, " "), out, status)
	if status != 0 {
		a.Fatalf("%s: exit status %d", filepath.Base(cmd.Path), status)
	}
	return out
}

// start starts a client that stays, until the cell is done or stop is called.
func (a *attempt) start(cmd *exec.Cmd) (out *peer.Output, stop func()) {
	a.Helper()
	a.Logf("$ %s", strings.Join(cmd.Args, " "))
	out = new(peer.Output)
	a.watched = append(a.watched, out.String)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		a.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		a.Logf("%s", out)
	})
	a.Cleanup(stop)
	return out, stop
}

// failing runs what must fail, until it has, and tells whether the client printed why.
func (a *attempt) failing(why string, f func(*attempt)) (said bool) {
	a.Helper()
	inner := &attempt{TB: a.TB, log: a.log, hopeless: regexp.MustCompile(regexp.QuoteMeta(why))}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer inner.clean()
		f(inner)
	}()
	<-done
	a.output.WriteString(inner.output.String())
	if inner.failure == "" {
		a.Fatal("the client got what it may not have")
	}
	return inner.seen(inner.hopeless.String())
}

// file writes a file for a client and returns its path.
func (a *attempt) file(path string, mode os.FileMode, format string, args ...any) string {
	a.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, strings.TrimLeft(format, "\n"), args...), mode); err != nil {
		a.Fatal(err)
	}
	return path
}

// read reads a file; one that is not there is empty.
func (a *attempt) read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.Fatal(err)
	}
	return string(data)
}

// keep puts a file that a client writes into the cell's log, when the cell is done.
func (a *attempt) keep(path string) {
	a.watched = append(a.watched, func() string { return a.read(path) })
	a.Cleanup(func() { a.Logf("%s:\n%s", filepath.Base(path), a.read(path)) })
}

// eventually is peer.Eventually with a shorter patience: many clients wait long before
// they try again, so that what hasn't come by then won't.
func (a *attempt) eventually(what string, condition func() bool) {
	a.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) || a.inVain() {
			a.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at the condition
	}
}

// inVain tells whether a client that stays has printed what leaves no hope.
func (a *attempt) inVain() bool {
	for _, printed := range a.watched {
		if a.hopeless != nil && a.hopeless.MatchString(printed()) {
			return true
		}
	}
	return false
}

const patience = 30 * time.Second
