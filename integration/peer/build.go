// Package peer runs the real programs that the integration tests set against each
// other: ours, built from this tree; Pebble, built from tools.mod; and what Debian
// packages have installed.
package peer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Need finds a program of a Debian package. When it is missing the test is skipped,
// or fails when VIDIMUS_PEERS=required, as in "make test".
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // not on the PATH of every user
		if path := filepath.Join(dir, program); executable(path) {
			return path
		}
	}
	if os.Getenv("VIDIMUS_PEERS") == "required" {
		t.Fatalf("%s is not installed, and VIDIMUS_PEERS=required", program)
	}
	t.Skipf("%s is not installed; make test installs it", program)
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// Root is the top of this module's tree.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(dir, "tools.mod")) {
		if dir == "/" {
			t.Fatal("tools.mod is in no folder above the test")
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var builds struct {
	sync.Mutex
	done map[string]error
}

// Build builds one of our commands, "vidimus", "vidimusd" or "vidimus-dns-lego", or a
// tool of tools.mod, "pebble" or "pebble-challtestsrv", into bin/test, and returns its
// path. All test processes share what is there, and what is up to date is not built
// again.
func Build(t testing.TB, command string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	path := filepath.Join(Root(t), "bin/test", command)
	err, ok := builds.done[command]
	if !ok {
		if builds.done == nil {
			builds.done = make(map[string]error)
		}
		err = build(Root(t), command, path)
		builds.done[command] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds the command unless another process has, or waits while one does. The
// flags are those of the Makefile, so that nothing is compiled twice.
func build(root, command, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-o", path}
	dir := root
	switch command {
	case "pebble", "pebble-challtestsrv":
		args = append(args, "-modfile=tools.mod", "github.com/letsencrypt/pebble/v2/cmd/"+command)
	case "vidimus-dns-lego":
		dir = filepath.Join(root, "dns-lego")
		args = append(args, "-ldflags=-s -w", ".")
	default:
		args = append(args, "./cmd/"+command)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", command, err, out)
	}
	return nil
}

// Eventually waits until a condition holds, and fails the test when it doesn't
// within a minute.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // between two looks at the condition
	}
}

// Output is what a program has printed, safe to read while it runs.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start starts a program that runs until the test ends, and shows what it printed
// when the test has failed.
func Start(t testing.TB, cmd *exec.Cmd) *Output {
	t.Helper()
	out := new(Output)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed:\n%s", filepath.Base(cmd.Path), tail(out.String(), 8000))
		}
	})
	return out
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// Run runs a program to its end and returns what it printed, and its exit status.
func Run(t testing.TB, cmd *exec.Cmd) (output string, status int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Must is Run for a program that must succeed.
func Must(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, status := Run(t, cmd)
	if status != 0 {
		t.Fatalf("%v: exit status %d\n%s", cmd.Args, status, tail(out, 8000))
	}
	return out
}
