package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a "vidimusd dev" that runs.
type server struct {
	Directory     string `json:"directory"`
	DirectoryOpen string `json:"directory_open"`
	CABundle      string `json:"ca_bundle"`
	Config        string `json:"config"`

	bin      string
	httpPort int // where it validates http-01
	cmd      *exec.Cmd
	ended    chan struct{} // closed after the process, and the log with it
	log      bytes.Buffer
}

// freePort finds a port below those that the system gives out by itself, so that it
// stays free while one program after another listens there.
func freePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// startServer starts vidimusd in a new folder and waits until it is ready.
func startServer(ctx context.Context, bin, dir string, httpPort int) (*server, error) {
	s := &server{bin: bin, httpPort: httpPort, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, bin, "dev", "--dir", dir, "--listen", "127.0.0.1:0", "--http-01-port", strconv.Itoa(httpPort), "--log-level", "error")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to pass on
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = 5 * time.Second
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	for range 2000 {
		data, err := os.ReadFile(filepath.Join(dir, "dev.json"))
		if err == nil {
			if err = json.Unmarshal(data, s); err == nil {
				return s, nil
			}
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("vidimusd ended: %s", s.log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.stop()
	return nil, fmt.Errorf("vidimusd was not ready within 10 s: %s", s.log.String())
}

// stop ends the server, by force if it takes more than five seconds.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
	}
}

// tick is the unit of CPU time in /proc, USER_HZ, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the time that the server has computed so far, in user and system mode.
func (s *server) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("vidimusd's CPU time: %w", err)
	}
	// The second field, a name in parentheses, may hold spaces; utime and stime are
	// the 14th and 15th (proc(5)).
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("vidimusd's CPU time: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// peakMemory is the most memory that a process has had resident, in bytes, or 0 when
// /proc does not tell.
func peakMemory(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(data), "VmHWM:")
	var kib int64
	fmt.Sscanf(after, "%d kB", &kib)
	return kib << 10
}

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// credentials are the EAB credentials of an ACME-ID.
type credentials struct {
	KID     string `json:"kid"`
	HMACKey string `json:"hmac_key"`
}

// acmeID enters the names as hosts and makes an ACME-ID that may manage them all.
func (s *server) acmeID(ctx context.Context, names ...string) (c credentials, err error) {
	add := []string{"acme-id", "add", names[0]}
	for _, name := range names {
		if _, err := s.admin(ctx, "host", "add", name); err != nil {
			return c, err
		}
		add = append(add, "--name", name)
	}
	out, err := s.admin(ctx, add...)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

func (s *server) admin(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.bin, append([]string{"admin", "--json", "--config", s.Config}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("vidimusd admin %s: %w\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return out, nil
}
