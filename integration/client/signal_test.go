package client

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"vidimus/integration/peer"
)

// TestHangUpStillRunsPostHooks loses the terminal in the middle of an order: what a pre
// hook has stopped must be started again.
func TestHangUpStillRunsPostHooks(t *testing.T) {
	t.Parallel()
	// A program starts with the default for what is caught here, but would go on ignoring
	// what nohup has had ignored.
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	p := peer.StartPebble(t, peer.Quick...)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		h := newHome(t, p)
		waits, started := filepath.Join(h.dir, "waits"), filepath.Join(h.dir, "started")
		cmd := h.vidimus(t, "certonly", "--manual", "--manual-auth-hook", "touch "+waits+"; exec sleep 60",
			"--post-hook", "touch "+started, "-d", "a.example.org", "--server", p.Directory, "--agree-tos")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		peer.Eventually(t, "the hook runs", func() bool { return exists(waits) })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if !exists(started) || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%v: the post hook has run: %v; %v", sig, exists(started), cmd.ProcessState)
		}
	}
}

// TestReaderThatGoesAway closes the other end of both outputs, as a pager does, or a
// connection that breaks.
func TestReaderThatGoesAway(t *testing.T) {
	t.Parallel()
	p := peer.StartPebble(t, peer.Quick...)
	h := newHome(t, p)
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	deployed := filepath.Join(h.dir, "deployed")
	cmd := h.vidimus(t, renewAll("-v", "--deploy-hook", "echo told; echo told >&2; touch "+deployed)...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if h.version(t, "a.example.org") != 2 || !exists(deployed) {
		t.Error("it has not come to its end")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
