package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// postgres is a PostgreSQL server of Debian's package that runs, with full durability
// (fsync and synchronous_commit are on by default).
type postgres struct {
	url  string // of the server, to put a database's name behind; bench is one that is empty
	dir  string
	bin  string
	port int
	uid  uint32
	process
}

// errNoPostgres says that the rows with PostgreSQL are left out.
var errNoPostgres = errors.New("PostgreSQL is not installed (apt-get install postgresql)")

// startPostgres makes a cluster in dir and starts it. As root it runs as the user
// postgres, which the package has made.
func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return nil, errNoPostgres
	}
	slices.Sort(bins)
	p := &postgres{dir: dir, bin: bins[len(bins)-1]}
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := p.giveAway(); err != nil {
		return nil, err
	}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	if out, err := p.command(ctx, "initdb", "-D", filepath.Join(dir, "data"), "-U", "vidimus", "--auth=trust", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	p.url = fmt.Sprintf("postgres://vidimus@127.0.0.1:%d/", p.port)
	if err := p.launch(ctx); err != nil {
		return nil, err
	}
	if out, err := p.command(ctx, "createdb", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "vidimus", "bench").CombinedOutput(); err != nil {
		p.stop()
		return nil, fmt.Errorf("createdb: %w\n%s", err, out)
	}
	return p, nil
}

// launch starts the server on what is there, with settings besides the usual ones, such
// as "fsync=off".
func (p *postgres) launch(ctx context.Context, settings ...string) error {
	args := []string{"-D", filepath.Join(p.dir, "data"), "-c", "listen_addresses=127.0.0.1", "-p", strconv.Itoa(p.port), "-k", p.dir,
		"-c", "max_connections=100"}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	p.cmd = p.command(ctx, "postgres", args...)
	if err := p.start(); err != nil {
		return err
	}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGINT) } // "fast" shutdown
	return p.ready(func() bool {
		return p.command(ctx, "pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port)).Run() == nil
	})
}

// giveAway makes the folder the user postgres's.
func (p *postgres) giveAway() error {
	if os.Geteuid() != 0 {
		return nil
	}
	out, err := exec.Command("id", "-u", "postgres").Output()
	if err != nil {
		return errNoPostgres
	}
	uid, err := strconv.Atoi(string(out[:len(out)-1]))
	if err != nil {
		return err
	}
	p.uid = uint32(uid)
	return os.Chown(p.dir, uid, -1)
}

func (p *postgres) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, program), args...)
	cmd.Dir = p.dir
	if p.uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.uid, Gid: p.uid}}
	}
	return cmd
}

// stop ends PostgreSQL, which takes back all connections.
func (p *postgres) stop() {
	p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(time.Minute): // it writes what it has in memory
		p.process.stop()
	}
}

// cpu is the time that all of PostgreSQL's processes have computed so far.
func (p *postgres) cpu() (time.Duration, error) {
	main, err := readStat(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	sum := main.own + main.children
	err = p.each(func(_ int, s stat) { sum += s.own })
	return sum, err
}

// each calls fn for each process that PostgreSQL's first process has started.
func (p *postgres) each(fn func(pid int, s stat)) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// One that ended meanwhile counts among the first process's children.
		if s, err := readStat(pid); err == nil && s.parent == p.cmd.Process.Pid {
			fn(pid, s)
		}
	}
	return nil
}
