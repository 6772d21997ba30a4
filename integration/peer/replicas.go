package peer

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// Replicas are several "vidimusd serve" on one PostgreSQL database, behind a balancer
// that gives connections to them by turns. The embedded Vidimusd is what clients see, and
// what "vidimusd admin" works on.
type Replicas struct {
	Vidimusd
	Web string // a folder; below it are the answers of http-01 for every name

	all []*replica
}

type replica struct {
	address string
	args    []string
	cmd     *exec.Cmd
}

// StartReplicas starts n servers on an empty database. Names are taken to be at this
// machine, as a resolver of the test's says.
func StartReplicas(t testing.TB, database string, n int) *Replicas {
	t.Helper()
	bin := Build(t, "vidimusd")
	r := &Replicas{Web: t.TempDir()}
	balancer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "https://" + balancer.Addr().String()
	settings := fmt.Sprintf(`url: %s
url_http: http://127.0.0.1:%d
database: %s
issuers: [{name: main, certificate: ca/main.pem, key: ca/main.key, root: ca/root.pem, open: true}]
validation: {resolvers: [%q], networks: [127.0.0.0/8], http_01_port: %d}
`, base, FreePort(t), database, everyNameIsHere(t), serveFolder(t, r.Web))
	dir := t.TempDir()
	Must(t, exec.Command(bin, "init", "--dir", dir, "--url", base))
	for i := range n {
		own := filepath.Join(t.TempDir(), fmt.Sprint(i))
		Must(t, exec.Command("cp", "-r", dir, own))
		x := &replica{address: fmt.Sprintf("127.0.0.1:%d", FreePort(t))}
		config := filepath.Join(own, "vidimusd.yaml")
		text := fmt.Sprintf("listen: %s\nlisten_http: 127.0.0.1:%d\n%s", x.address, FreePort(t), settings)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x.args = []string{bin, "serve", "--config", config, "--log-level", "warn"}
		r.all = append(r.all, x)
		r.Start(t, i)
		r.Config = config
	}
	r.bin, r.CABundle = bin, filepath.Join(dir, "ca", "root.pem")
	r.Directory, r.DirectoryOpen = base+"/acme/main/directory", base+"/acme/main-open/directory"
	r.balance(t, balancer)
	return r
}

// Start starts a replica, also again after Kill.
func (r *Replicas) Start(t testing.TB, i int) {
	t.Helper()
	x := r.all[i]
	x.cmd = exec.Command(x.args[0], x.args[1:]...)
	Start(t, x.cmd)
	Eventually(t, "a replica listens", func() bool {
		c, err := net.Dial("tcp", x.address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// Kill kills a replica with SIGKILL.
func (r *Replicas) Kill(i int) {
	r.all[i].cmd.Process.Kill()
	r.all[i].cmd.Wait()
}

// balance gives each connection to the next replica that takes it.
func (r *Replicas) balance(t testing.TB, l net.Listener) {
	var turn atomic.Int64
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out := r.dial(&turn)
			if out == nil {
				in.Close()
				continue
			}
			busy.Go(func() { join(in, out) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		for i := range r.all {
			r.Kill(i) // which ends the connections too
		}
		busy.Wait()
	})
}

// dial reaches the next replica that takes connections; nil when there is none.
func (r *Replicas) dial(turn *atomic.Int64) net.Conn {
	for range r.all {
		if c, err := net.Dial("tcp", r.all[int(turn.Add(1))%len(r.all)].address); err == nil {
			return c
		}
	}
	return nil
}

// join passes on what either side sends, until either ends.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			io.Copy(c[0], c[1])
			a.Close()
			b.Close()
		})
	}
	both.Wait()
}

// serveFolder serves the files of a folder over HTTP, and returns the port.
func serveFolder(t testing.TB, dir string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.FileServer(http.Dir(dir))}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// everyNameIsHere starts a resolver for which every name is at 127.0.0.1, and nothing
// else is known.
func everyNameIsHere(t testing.TB) string {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		if x := q.Question[0]; x.Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: x.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		w.WriteMsg(m)
	})
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan bool)
		s := &dns.Server{Addr: address, Net: network, Handler: answer, NotifyStartedFunc: func() { close(ready) }}
		ended := make(chan error, 1)
		go func() { ended <- s.ListenAndServe() }()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Shutdown() })
	}
	return address
}
