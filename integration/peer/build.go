// Package peer runs the real programs that the integration tests set against each
// other: ours, built from this tree; Pebble, built from tools.mod; and what Debian
// packages have installed.
package peer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
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
	dir  string
	done map[string]error
}

// Build builds one of our commands, "vidimus" or "vidimusd", or a tool of tools.mod,
// "pebble" or "pebble-challtestsrv", once for each test process. It returns the path.
func Build(t testing.TB, command string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "vidimus-test-bin-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir, builds.done = dir, make(map[string]error)
	}
	path := filepath.Join(builds.dir, command)
	err, ok := builds.done[command]
	if !ok {
		args := []string{"build", "-o", path, "./cmd/" + command}
		if command == "pebble" || command == "pebble-challtestsrv" {
			args = []string{"build", "-modfile=tools.mod", "-o", path, "github.com/letsencrypt/pebble/v2/cmd/" + command}
		}
		cmd := exec.Command("go", args...)
		cmd.Dir = Root(t)
		if out, e := cmd.CombinedOutput(); e != nil {
			err = fmt.Errorf("building %s: %w\n%s", command, e, out)
		}
		builds.done[command] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// RemoveBuilds removes what Build built; a TestMain calls it at its end.
func RemoveBuilds() {
	builds.Lock()
	defer builds.Unlock()
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
}

// given are the ports that FreePort has returned; who got one may not listen yet.
var given sync.Map

// FreePort finds a TCP and UDP port of 127.0.0.1 that nobody uses. It is below the
// range from which the system takes ports by itself, so nothing takes it by chance,
// and is returned to one caller only.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", address)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
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
