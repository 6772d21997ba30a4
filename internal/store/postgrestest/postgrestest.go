// Package postgrestest runs PostgreSQL, from Debian's package, for tests: a cluster of
// its own below the system's temporary folder, reached on loopback and by a Unix
// socket, with nothing of it left afterwards.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// role is whom tests connect as: a superuser, without a password.
const role = "vidimus"

// Server is a PostgreSQL of a test's own.
type Server struct {
	Socket string // the folder of its Unix socket
	Port   int    // on 127.0.0.1

	dir     string // what it keeps; Socket is in it
	bin     string // the folder of initdb and postgres
	options []string
	owner   *syscall.Credential // nil: whoever runs the test

	cmd   *exec.Cmd
	log   bytes.Buffer // read it only when cmd has ended
	ended chan struct{}
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs a package's tests, and stops what [URL] started.
func Main(m *testing.M) int {
	defer func() {
		if s := shared.server; s != nil {
			s.remove()
		}
	}()
	return m.Run()
}

// URL is that of a new, empty database of the one server that the tests of a package
// share; its commits are not durable. The package's TestMain calls [Main].
func URL(t testing.TB) string {
	t.Helper()
	bin := need(t)
	shared.once.Do(func() { shared.server, shared.err = start(bin, false, "") })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.URL(t)
}

// Start starts a server for one test, whose commits are durable, and removes it at the
// test's end.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, "")
}

// StartIn is Start with a server whose files are below a folder, which others than its
// owner may enter. It writes its log of changes in files of a megabyte each.
func StartIn(t testing.TB, dir string) *Server {
	t.Helper()
	s, err := start(need(t), true, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// need finds the folder of PostgreSQL's programs.
func need(t testing.TB) string {
	t.Helper()
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(all) > 0 {
		return filepath.Dir(slices.Max(all))
	}
	if os.Getenv("VIDIMUS_PEERS") == "required" {
		t.Fatal("PostgreSQL is not installed, and VIDIMUS_PEERS=required")
	}
	t.Skip("PostgreSQL is not installed; make test installs it")
	return ""
}

func start(bin string, durable bool, dir string) (_ *Server, err error) {
	s := &Server{bin: bin}
	if s.dir, err = os.MkdirTemp(dir, "vidimus-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	s.Socket = s.dir
	if os.Geteuid() == 0 { // it refuses to run as root
		if err := s.giveTo("postgres"); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(s.dir, "data")
	args := []string{"-N", "-A", "trust", "-U", role, "-E", "UTF8", "--locale=C.UTF-8", "-D", data}
	if dir != "" {
		args = append(args, "--wal-segsize=1")
	}
	if out, err := s.command("initdb", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.options = []string{"-D", data, "-k", s.Socket, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "shared_buffers=64MB"}
	if !durable {
		s.options = append(s.options, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	return s, s.Start()
}

func (s *Server) giveTo(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	// It ends with the tests, also when they run into their time limit.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Credential: s.owner}
	return cmd
}

// Start starts the server, also again after [Server.Stop] or [Server.Crash], at the
// same port, and returns when it takes connections.
func (s *Server) Start() (err error) {
	if s.Port != 0 {
		return s.tryStart()
	}
	for range 10 { // somebody else may have taken the port
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.tryStart(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) tryStart() error {
	s.log.Reset()
	s.cmd = s.command("postgres", append(slices.Clone(s.options), "-p", strconv.Itoa(s.Port))...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() { s.cmd.Wait(); close(ended) }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := s.exec("postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("postgres ended: %s", s.log.String())
		case <-time.After(10 * time.Millisecond): // between two tries
		}
		if time.Now().After(deadline) {
			s.Crash()
			return fmt.Errorf("postgres takes no connections within 30 s: %w\n%s", err, s.log.String())
		}
	}
}

// Running tells whether the server runs, and has not ended by itself.
func (s *Server) Running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// Stop cuts all connections off and stops the server in order.
func (s *Server) Stop() { s.end(syscall.SIGINT) }

// Crash ends the server without a checkpoint, as a crash would.
func (s *Server) Crash() { s.end(syscall.SIGQUIT) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.cmd.Process.Signal(sig)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
	}
}

func (s *Server) remove() {
	s.end(syscall.SIGQUIT)
	os.RemoveAll(s.dir)
}

// URL makes an empty database and is where to find it.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", rand.Uint64())
	if err := s.exec("postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, s.Port, database)
}

func (s *Server) exec(database, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url(database))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// freePort finds a port below those that the system gives out by itself, and below
// those that tests reserve for programs that don't listen yet.
func freePort() (int, error) {
	for range 1000 {
		port := 16000 + rand.IntN(4000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port on 127.0.0.1")
}
