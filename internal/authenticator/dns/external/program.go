// Package external has DNS providers in programs of their own, vidimus-dns-NAME, so that
// this program need not carry the libraries of all of them. The protocol is one JSON
// message a line on the program's standard input and output; docs/dns.md describes it
// for those who write such a program.
//
// What a program prints on standard error goes to the log. Credentials travel on its
// standard input or in its environment, never in an argument, and are blotted out of
// whatever it says.
package external

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"vidimus/internal/authenticator/dns/provider"
)

// Spec says which program to run, and with what.
type Spec struct {
	Path     string            // of the program
	Provider string            // what the program is asked to be
	Settings map[string]string // credentials and the like
	Resolver string            // HOST:PORT; "" leaves the choice to the program
	Log      *slog.Logger
	Timeout  time.Duration // for one answer; 0 means three minutes
}

const answerTimeout = 3 * time.Minute

// maxLine bounds one message of a program, in bytes.
const maxLine = 64 << 10

// hello is the first message to a program.
type hello struct {
	Protocol int               `json:"vidimus_dns"`
	Provider string            `json:"provider"`
	Settings map[string]string `json:"settings"`
	Resolver string            `json:"resolver,omitempty"`
}

// request is each further one.
type request struct {
	ID int64  `json:"id"`
	Do string `json:"do"` // "add" or "remove"
	provider.Record
}

// reply is what a program answers to either. Parallel, in the answer to hello, is how
// many requests it wants to have at the same time.
type reply struct {
	ID       int64  `json:"id"`
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	Parallel int    `json:"parallel"`
}

// maxParallel bounds what a program may ask for.
const maxParallel = 64

// parseReply reads one line of a program.
func parseReply(line []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(line, &r); err != nil {
		return r, errors.New("it printed something that is not a message of the protocol in docs/dns.md")
	}
	if !r.OK && r.Error == "" {
		r.Error = "it said neither that it is done nor what is wrong"
	}
	return r, nil
}

// Program is a running program, and a provider.
type Program struct {
	spec  Spec
	pid   int
	stdin io.WriteCloser
	slots chan struct{} // one for each request under way
	ended chan struct{} // closed when the program has ended

	mu      sync.Mutex // guards what follows, and writing to stdin
	nextID  int64
	pending map[int64]chan reply
	last    string // the last line of its standard error
	fault   error  // why it was given up
}

var _ provider.Provider = (*Program)(nil)

// Start runs the program and waits until it has accepted its settings.
func Start(ctx context.Context, spec Spec) (*Program, error) {
	if spec.Timeout == 0 {
		spec.Timeout = answerTimeout
	}
	p := &Program{spec: spec, ended: make(chan struct{}), pending: make(map[int64]chan reply)}
	if err := p.run(); err != nil {
		return nil, fmt.Errorf("%s cannot be run: %w", spec.Path, err)
	}
	r, err := p.call(ctx, func(int64) any { return hello{1, spec.Provider, spec.Settings, spec.Resolver} })
	if err != nil {
		p.Close()
		return nil, err
	}
	p.slots = make(chan struct{}, min(max(r.Parallel, 1), maxParallel))
	return p, nil
}

// run starts the program and the goroutines that read from it. The kernel kills the
// program when the thread that started it ends (PR_SET_PDEATHSIG), so one thread is
// kept for that as long as it runs.
func (p *Program) run() error {
	cmd := exec.Command(p.spec.Path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		var reading sync.WaitGroup
		reading.Go(func() { p.readReplies(stdout) })
		reading.Go(func() { p.readErrors(stderr) })
		reading.Wait()
		p.end(cmd.Wait())
	}()
	return <-started
}

func (p *Program) readReplies(out io.Reader) {
	lines := bufio.NewReaderSize(out, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				p.giveUp(fmt.Errorf("it printed a line of more than %d bytes", maxLine))
			}
			return
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r, err := parseReply(line)
		if err != nil {
			p.giveUp(err)
			return
		}
		p.mu.Lock()
		ch := p.pending[r.ID]
		delete(p.pending, r.ID)
		p.mu.Unlock()
		if ch != nil {
			ch <- r // has room for one
		}
	}
}

func (p *Program) readErrors(stderr io.Reader) {
	lines := bufio.NewReaderSize(stderr, maxLine)
	for {
		line, _, err := lines.ReadLine() // the rest of a longer line counts as another
		if text := p.blot(strings.TrimSpace(string(line))); text != "" {
			if p.spec.Log != nil {
				p.spec.Log.Info("the DNS program says", "program", filepath.Base(p.spec.Path), "text", text)
			}
			p.mu.Lock()
			p.last = text
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// blot takes the settings out of a text that a program printed; some print their whole
// request when it fails.
func (p *Program) blot(text string) string {
	for _, secret := range p.spec.Settings {
		if len(secret) >= 6 {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	if len(text) > 1000 {
		text = text[:1000] + "…"
	}
	return text
}

// giveUp kills a program that does not keep to the protocol.
func (p *Program) giveUp(why error) {
	p.mu.Lock()
	if p.fault == nil {
		p.fault = why
	}
	p.mu.Unlock()
	p.kill()
}

// kill kills the program with all that it has started.
func (p *Program) kill() {
	select {
	case <-p.ended: // its number may be another's by now
	default:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

func (p *Program) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		p.fault = errEnded
		if err != nil {
			p.fault = fmt.Errorf("%w (%w)", errEnded, err)
		}
	}
	close(p.ended)
}

// Ended tells whether the program runs no more.
func (p *Program) Ended() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// Close lets the program end, and kills it when it doesn't soon.
func (p *Program) Close() {
	p.stdin.Close()
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.kill()
		<-p.ended
	}
}

// Add implements [provider.Provider].
func (p *Program) Add(ctx context.Context, r provider.Record) error { return p.do(ctx, "add", r) }

// Remove implements [provider.Provider].
func (p *Program) Remove(ctx context.Context, r provider.Record) error { return p.do(ctx, "remove", r) }

func (p *Program) do(ctx context.Context, what string, r provider.Record) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := p.call(ctx, func(id int64) any { return request{id, what, r} })
	return err
}

// call sends one message and waits for its answer.
func (p *Program) call(ctx context.Context, message func(id int64) any) (reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.spec.Timeout, errTimeout)
	defer cancel()
	ch := make(chan reply, 1)
	id, err := p.send(message, ch)
	if err != nil {
		return reply{}, p.explain(err)
	}
	select {
	case r := <-ch:
		if !r.OK {
			return r, p.explain(errors.New(p.blot(r.Error)))
		}
		return r, nil
	case <-p.ended:
		p.mu.Lock()
		err := p.fault
		if p.last != "" {
			err = fmt.Errorf("%w; the last it said was: %s", err, p.last)
		}
		p.mu.Unlock()
		return reply{}, p.explain(err)
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.pending, id)
		p.mu.Unlock()
		if errors.Is(context.Cause(ctx), errTimeout) {
			err := fmt.Errorf("it did not answer within %v", p.spec.Timeout)
			p.giveUp(err)
			return reply{}, p.explain(err)
		}
		return reply{}, ctx.Err()
	}
}

// errEnded says that a program ended by itself.
var errEnded = errors.New("it ended without an answer")

var errTimeout = errors.New("the program takes too long")

// send writes a message. The hello has the number 0. A program that does not read is
// noticed by the time-out of call, so writing happens beside it.
func (p *Program) send(message func(int64) any, ch chan reply) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.nextID
	line, err := json.Marshal(message(id))
	if err != nil {
		return 0, err
	}
	p.nextID++
	p.pending[id] = ch
	go func() { _, _ = p.stdin.Write(append(line, '\n')) }() // one write each: whole lines, in any order
	return id, nil
}

func (p *Program) explain(err error) error {
	return fmt.Errorf("%s (DNS provider %s): %w", filepath.Base(p.spec.Path), p.spec.Provider, err)
}
