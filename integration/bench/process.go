package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server's process, from start to stop.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed after the process, and the log with it
	log   bytes.Buffer
}

// start starts cmd, whose output becomes the log.
func (p *process) start() error {
	p.ended = make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	p.cmd.SysProcAttr.Setpgid = true // Ctrl-C is for us to pass on
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// ready waits until the condition holds; when it doesn't within 20 seconds, or the
// process ends, that is an error and the process is stopped.
func (p *process) ready(condition func() bool) error {
	for range 4000 {
		if condition() {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), p.log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.stop()
	return fmt.Errorf("%s was not ready within 20 s: %s", filepath.Base(p.cmd.Path), p.log.String())
}

// stop ends the process, by force if it takes more than five seconds.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// tick is the unit of CPU time in /proc, USER_HZ, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpu is the time that the process has computed so far, in user and system mode.
func (p *process) cpu() (time.Duration, error) {
	stat, err := readStat(p.cmd.Process.Pid)
	return stat.own, err
}

// stat is a part of /proc/PID/stat.
type stat struct {
	parent        int
	own, children time.Duration // CPU time; children's counts once they have ended
}

func readStat(pid int) (s stat, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, fmt.Errorf("CPU time: %w", err)
	}
	// The second field, a name in parentheses, may hold spaces; ppid is the fourth,
	// utime, stime, cutime and cstime are the 14th to 17th (proc(5)).
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	var n [5]int64
	for i, f := range append([]string{fields[1]}, fields[11:15]...) {
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return s, fmt.Errorf("CPU time: %w", err)
		}
	}
	return stat{int(n[0]), time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick}, nil
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
