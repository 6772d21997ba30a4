package peer

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// StartStepped starts a server whose clock the test steps, as that of a machine may be:
// its time.Now is ahead of the real time by what step was told last, while timers and
// durations go on. For this the server is compiled with a package time that reads a file
// at each look at the clock; as all else depends on that, the first time takes minutes.
// "vidimusd admin" goes by that clock too.
func StartStepped(t testing.TB, args ...string) (v *Vidimusd, step func(time.Duration)) {
	t.Helper()
	dir := t.TempDir()
	file, bin := filepath.Join(dir, "seconds"), filepath.Join(dir, "vidimusd")
	step = func(d time.Duration) {
		t.Helper()
		if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%d", d/time.Second), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	buildStepped(t, bin)
	step(0)
	t.Setenv("VIDIMUS_TEST_CLOCK", file)
	return startVidimusd(t, bin, t.TempDir(), args...), step
}

// stepped is what is added to the package time.
const stepped = `
func stepped() (seconds int64) {
	name, _ := syscall.Getenv("VIDIMUS_TEST_CLOCK")
	f, err := open(name)
	if err != nil {
		return 0
	}
	defer closefd(f)
	var b [20]byte
	n, _ := read(f, b[:])
	for _, digit := range b[:n] {
		if digit != '-' {
			seconds = seconds*10 + int64(digit-'0')
		}
	}
	if b[0] == '-' {
		return -seconds
	}
	return seconds
}
`

func buildStepped(t testing.TB, bin string) {
	t.Helper()
	source := filepath.Join(strings.TrimSpace(Must(t, exec.Command("go", "env", "GOROOT"))), "src", "time")
	dir := t.TempDir()
	replace := make(map[string]string)
	change := func(name, old, by string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), old) != 1 {
			t.Fatalf("%s in %s is not as this test knows it: it has not %q once; see how time.Now looks at the clock now", name, source, old)
		}
		replace[filepath.Join(source, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Replace(string(text), old, by, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const now, look, open = "func Now() Time {\n", "\tsec, nsec, mono := runtimeNow()\n", "\nfunc open("
	change("time.go", now+look, now+"\treturn ahead(stepped())\n}\n\nfunc ahead(seconds int64) Time {\n"+look+"\tsec += seconds\n")
	// What comes out of a timer's channel is made where there is no stack for reading files.
	change("sleep.go", "<- Now().Add(", "<- ahead(0).Add(")
	change("sys_unix.go", open, stepped+open)
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", overlay, "-o", bin, "./cmd/vidimusd")
	cmd.Dir = Root(t)
	Must(t, cmd)
}
