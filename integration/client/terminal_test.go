package client

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vidimus/integration/peer"
)

// terminal is a pseudo-terminal that a program runs on, and the person before it.
type terminal struct {
	t    *testing.T
	side *os.File // the person's
	out  *peer.Output
	cmd  *exec.Cmd
	seen int // how much of out was dealt with
	done chan struct{}
}

// onTerminal starts vidimus on a terminal.
func (h *home) onTerminal(t *testing.T, args ...string) (*peer.Output, *terminal) {
	t.Helper()
	cmd := h.vidimus(t, args...)
	cmd.Args = cmd.Args[:len(cmd.Args)-1] // without -n
	side, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { side.Close() })
	if err := unix.IoctlSetPointerInt(int(side.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(side.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	term := &terminal{t: t, side: side, out: new(peer.Output), cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(term.done)
		buf := make([]byte, 4096)
		for {
			n, err := side.Read(buf)
			term.out.Write([]byte(strings.ReplaceAll(string(buf[:n]), "\r\n", "\n")))
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return term.out, term
}

// expect waits until text is shown, behind what was answered before.
func (term *terminal) expect(text string) {
	term.t.Helper()
	peer.Eventually(term.t, fmt.Sprintf("%q is asked, in\n%s", text, term.out), func() bool {
		return strings.Contains(term.out.String()[term.seen:], text)
	})
}

// answer waits for a question and types a line.
func (term *terminal) answer(question, line string) {
	term.t.Helper()
	term.expect(question)
	term.seen += strings.Index(term.out.String()[term.seen:], question) + len(question)
	if _, err := term.side.WriteString(line + "\n"); err != nil {
		term.t.Fatal(err)
	}
}

// wait waits for the program's end.
func (term *terminal) wait() int {
	term.cmd.Wait()
	<-term.done
	return term.cmd.ProcessState.ExitCode()
}

// TestPersonAtATerminal goes through the questions of a first certificate and of the
// same command line again, of another set of names, of a revocation and a deletion.
func TestPersonAtATerminal(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, append(peer.Quick, "PEBBLE_AUTHZREUSE=0")...)
	h := newHome(t, p)
	root := t.TempDir()
	h.serve(t, root)
	run := func(status int, args ...string) func(dialogue ...string) string {
		return func(dialogue ...string) string {
			t.Helper()
			out, term := h.onTerminal(t, append(args, "--server", p.Directory)...)
			for i := 0; i < len(dialogue); i += 2 {
				term.answer(dialogue[i], dialogue[i+1])
			}
			if got := term.wait(); got != status {
				t.Fatalf("%v: exit status %d\n%s", args, got, out)
			}
			return out.String()
		}
	}
	run(0, "certonly")(
		"How would you like to authenticate", "2",
		"Please enter the domain name(s)", "a.example.org",
		"Input the webroot for a.example.org", filepath.Join(root, "nowhere"),
		"does not exist", root,
		"Enter email address", "not an address",
		"is not an e-mail address", "admin@example.org",
		"Do you agree?", "y")
	if v := h.version(t, "a.example.org"); v != 1 {
		t.Fatalf("version %d", v)
	}
	again := []string{"certonly", "--webroot", "-w", root, "-d", "a.example.org"}
	if out := run(0, again...)("What would you like to do?", "1"); !strings.Contains(out, "no action taken") {
		t.Error(out)
	}
	run(0, again...)("What would you like to do?", "2")
	run(1, append(again, "-d", "b.example.org")...)("Do you want to expand", "c")
	run(0, append(again, "-d", "b.example.org")...)("Do you want to expand", "e")
	if v := h.version(t, "a.example.org"); v != 3 {
		t.Fatalf("version %d", v)
	}
	if out := run(0, append(again, "-d", "b.example.org", "--force-renewal", "--debug-challenges", "-v", "--dry-run")...)("Press Enter to Continue", ""); !strings.Contains(out, "Expected value: ") {
		t.Error(out)
	}
	run(0, "certonly", "--webroot", "-w", root, "-d", "a.example.org,b.example.org", "--key-type", "rsa")("update its key type to RSA?", "u")
	run(1, append(again, "-d", "c.example.org", "--cert-name", "a.example.org")...)("- b.example.org", "c")
	run(0, "revoke", "--cert-name", "a.example.org")("Would you like to delete", "n")
	run(0, "delete")("Which certificate(s) would you like to delete?", "1", "Are you sure", "n")
	run(0, "delete")("Which certificate(s) would you like to delete?", "", "Are you sure", "y")
	isEmpty(t, h.config("archive"))
	run(1, "unregister")("irrevocably deactivate", "a")
	run(0, "unregister")("irrevocably deactivate", "d")
}

// TestInterruptAtAQuestion ends at once and leaves no lock.
func TestInterruptAtAQuestion(t *testing.T) {
	t.Parallel()
	h := newHome(t, &peer.Pebble{Directory: "http://127.0.0.1:1/dir"})
	for _, key := range []string{"\x03", "\x04"} { // Ctrl-C and the end of input
		out, term := h.onTerminal(t, "certonly", "--standalone")
		term.expect("Please enter the domain name(s)")
		term.side.WriteString(key)
		if status := term.wait(); status != 1 || strings.Contains(out.String(), "goroutine") {
			t.Errorf("exit status %d\n%s", status, out)
		}
	}
	peer.Must(t, h.vidimus(t, "certificates"))
}
