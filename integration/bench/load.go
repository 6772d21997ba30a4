package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// concurrency is how many clients there are at once, row by row.
var concurrency = []int{1, 8, 32}

// challenges is a web server that answers http-01 for all accounts. Nil stands for
// names that need no challenge.
type challenges struct {
	answers sync.Map // token to key authorization
	asked   atomic.Int64
	http.Server
}

func listenForChallenges(port int) (*challenges, error) {
	w := new(challenges)
	w.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		if answer, ok := w.answers.Load(path.Base(r.URL.Path)); ok {
			io.WriteString(rw, answer.(string))
			return
		}
		http.NotFound(rw, r)
	})
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	go w.Serve(l)
	return w, nil
}

// wanted is the status that a new order must have, lest another thing is measured
// than the row says.
func (w *challenges) wanted() string {
	if w == nil {
		return "ready"
	}
	return "pending"
}

// contender is an ACME server that is put under load.
type contender struct {
	name    string
	peer    bool // whose failure doesn't end the bench
	granted bool // has orders that need no challenge
	deepest int  // how many pending orders of one account it is tried with
	start   func(ctx context.Context, dir string) (*server, error)
}

// contenders are vidimusd and its peers, each on each database that it has here.
func (o *options) contenders(httpPort int) []contender {
	// With a database of its own, which stops with it.
	onPostgres := func(start func(ctx context.Context, dir string, db *postgres) (*server, error)) func(ctx context.Context, dir string) (*server, error) {
		return func(ctx context.Context, dir string) (*server, error) {
			db, err := startPostgres(ctx, filepath.Join(dir, "postgres"))
			if err != nil {
				return nil, err
			}
			s, err := start(ctx, filepath.Join(dir, "server"), db)
			if err != nil {
				db.stop()
				return nil, err
			}
			s.database = db
			return s, nil
		}
	}
	all := []contender{
		{"vidimusd, SQLite", false, true, 10_000, func(ctx context.Context, dir string) (*server, error) {
			return startServer(ctx, o.vidimusd, dir, httpPort, nil)
		}},
		{"vidimusd, PostgreSQL", false, true, 10_000, onPostgres(func(ctx context.Context, dir string, db *postgres) (*server, error) {
			return startServer(ctx, o.vidimusd, dir, httpPort, db)
		})},
		{"step-ca, Badger", true, false, 1000, func(ctx context.Context, dir string) (*server, error) {
			return startStepCA(ctx, dir, httpPort, stepDB{Type: "badgerv2", DataSource: filepath.Join(dir, "db")})
		}},
		{"step-ca, PostgreSQL", true, false, 1000, onPostgres(func(ctx context.Context, dir string, db *postgres) (*server, error) {
			return startStepCA(ctx, dir, httpPort, stepDB{Type: "postgresql", DataSource: db.url, Database: "stepca"})
		})},
		{"Pebble, memory", true, false, 1000, func(ctx context.Context, dir string) (*server, error) {
			return startPebble(ctx, dir, httpPort)
		}},
	}
	return slices.DeleteFunc(all, func(c contender) bool { return !strings.Contains(c.name, o.server) })
}

// measureLoad prints a row for each server, each kind of order and each concurrency.
// One server runs at a time.
func measureLoad(ctx context.Context, o *options, dir string) error {
	if err := os.Mkdir(dir, 0o711); err != nil { // PostgreSQL's user must come through
		return err
	}
	httpPort, err := freePort()
	if err != nil {
		return err
	}
	web, err := listenForChallenges(httpPort)
	if err != nil {
		return err
	}
	defer web.Close()
	fmt.Printf("\nservers: %d certificates for each row; a new P-256 key and an order each; server and load share the cores\n", o.n)
	fmt.Println("server CPU has the database's in it; in brackets it is counted in ES256 JWS read and verified, measured beside each row")
	for _, c := range o.contenders(httpPort) {
		fmt.Printf("\n  %s\n", c.name)
		err := measureServer(ctx, o, web, c, filepath.Join(dir, strings.NewReplacer(" ", "", ",", "-").Replace(c.name)))
		if errors.Is(err, errNoPostgres) {
			fmt.Println("    left out:", err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func measureServer(ctx context.Context, o *options, web *challenges, c contender, dir string) error {
	s, err := c.start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		if s.database != nil {
			s.database.stop()
		}
	}()
	fmt.Println("    orders           clients   certs/s     server CPU/cert   load CPU/cert       mean        p50        p99")
	kinds := []*challenges{web}
	if c.granted {
		kinds = []*challenges{nil, web}
	}
	err = func() error {
		for _, kind := range kinds {
			if o.orders != "" && (o.orders == "http-01") != (kind != nil) {
				continue
			}
			if err := measureKind(ctx, s, kind, o); err != nil {
				return err
			}
		}
		return measurePending(ctx, s, web, c.deepest)
	}()
	switch {
	case err == nil:
	case c.peer && ctx.Err() == nil:
		fmt.Println("    failed, so the rest is left out:", err)
	default:
		return err
	}
	fmt.Printf("    peak memory: %s", mib(peakMemory(s.cmd.Process.Pid)))
	if s.database != nil {
		fmt.Print(", without PostgreSQL's")
	}
	fmt.Println()
	return nil
}

// rowTimeout is when a row has failed: Pebble may deadlock.
const rowTimeout = time.Minute

// measureKind prints the rows of one kind of order.
func measureKind(ctx context.Context, s *server, web *challenges, o *options) error {
	n := o.n
	before := web.count()
	clients, err := newClients(ctx, s, web, slices.Max(concurrency))
	if err != nil {
		return err
	}
	defer closeIdle(clients)
	what := "pre-authorised"
	if web != nil {
		what = "http-01"
	}
	for _, c := range concurrency {
		if o.clients != 0 && c != o.clients {
			continue
		}
		unit, err := verification()
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeoutCause(ctx, rowTimeout, fmt.Errorf("%d certificates took more than %s", n, rowTimeout))
		r, err := measureRow(limited, s, clients[:c], n)
		cancel()
		if err != nil {
			return fmt.Errorf("%s, %d clients: %w", what, c, err)
		}
		cpu := r.serverCPU / time.Duration(n)
		fmt.Printf("    %-16s %7d %9.0f %19s %15s %10s %10s %10s\n", what, c, float64(n)/r.wall.Seconds(),
			fmt.Sprintf("%s [%.0f]", ms(cpu), float64(cpu)/float64(unit)), ms(r.loadCPU/time.Duration(n)), ms(mean(r.took)), ms(quantile(r.took, 0.5)), ms(quantile(r.took, 0.99)))
		if asked := web.count() - before; web != nil && asked < int64(n) {
			return fmt.Errorf("it asked for %d challenges, but should have for %d", asked, n)
		}
		before = web.count()
	}
	return nil
}

// verification is the CPU time of reading and verifying an ES256 JWS on this machine,
// now: speeds of a machine differ from minute to minute.
func verification() (time.Duration, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return 0, err
	}
	jws, err := signer.Sign([]byte(`{"identifiers":[{"type":"dns","value":"www.example.org"}]}`))
	if err != nil {
		return 0, err
	}
	text := jws.FullSerialize()
	const n = 1000
	before := ownCPU()
	for range n {
		parsed, err := jose.ParseSignedJSON(text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			return 0, err
		}
		if _, err := parsed.Verify(&key.PublicKey); err != nil {
			return 0, err
		}
	}
	return (ownCPU() - before) / n, nil
}

// measurePending prints what a new order takes of an account that has few pending
// orders, and when it has many.
func measurePending(ctx context.Context, s *server, web *challenges, deepest int) error {
	a, err := register(ctx, s, s.DirectoryOpen, nil, web)
	if err != nil {
		return err
	}
	defer a.http.CloseIdleConnections()
	const sample = 100
	placed := 0
	for _, depth := range []int{0, 1000, 10_000} {
		if depth > deepest {
			break
		}
		var took []time.Duration
		for ; placed < depth+sample; placed++ {
			start := time.Now()
			if _, err := a.post(ctx, a.newOrder, fmt.Sprintf(`{"identifiers":[{"type":"dns","value":"pending%d.bench.test"}]}`, placed), nil); err != nil {
				return err
			}
			took = append(took, time.Since(start))
		}
		fmt.Printf("    new-order with %d pending orders of the account: %s (median of %d)\n", depth, ms(quantile(took[len(took)-sample:], 0.5)), sample)
	}
	return nil
}

// mean is the mean of the values.
func mean(values []time.Duration) time.Duration {
	var sum time.Duration
	for _, v := range values {
		sum += v
	}
	return sum / time.Duration(len(values))
}

// count is how often the server asked for a challenge.
func (w *challenges) count() int64 {
	if w == nil {
		return 0
	}
	return w.asked.Load()
}

// client is an account and the name it gets certificates for.
type client struct {
	*account
	name  string
	asked int // requests made so far
}

// request is what the client asks for next, with a new key. A name that is proved by
// challenge is new each time, lest the server counts on an older proof.
func (c *client) request() (r request, err error) {
	r.name = c.name
	if c.web != nil {
		c.asked++
		r.name = fmt.Sprintf("n%d.%s", c.asked, c.name)
	}
	r.csr, err = newCSR(r.name)
	return r, err
}

type request struct {
	name string
	csr  []byte
}

// newClients registers n accounts, each with a name of its own, and lets each obtain a
// certificate, which warms up both sides.
func newClients(ctx context.Context, s *server, web *challenges, n int) ([]client, error) {
	all := make([]client, n)
	for i := range all {
		var eab *credentials
		directory := s.DirectoryOpen
		all[i].name = fmt.Sprintf("open%d.bench.test", i)
		if web == nil {
			directory, all[i].name = s.Directory, fmt.Sprintf("host%d.bench.test", i)
			c, err := s.acmeID(ctx, all[i].name)
			if err != nil {
				return nil, err
			}
			eab = &c
		}
		var err error
		if all[i].account, err = register(ctx, s, directory, eab, web); err != nil {
			return nil, fmt.Errorf("registering: %w", err)
		}
		r, err := all[i].request()
		if err != nil {
			return nil, err
		}
		if err := all[i].obtain(ctx, r.name, r.csr); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// closeIdle ends the connections of clients that have nothing to ask any more.
func closeIdle(all []client) {
	for _, c := range all {
		c.http.CloseIdleConnections()
	}
}

// newCSR makes a request for one name, with a new key.
func newCSR(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
}

// row is what was measured of n certificates.
type row struct {
	wall, serverCPU, loadCPU time.Duration
	took                     []time.Duration // for each certificate
}

// measureRow has the clients obtain n certificates, each as many as it can. The
// requests for them are made before the clock runs.
func measureRow(ctx context.Context, s *server, clients []client, n int) (r row, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := make([][]request, len(clients))
	for i := range n {
		c := i % len(clients)
		next, err := clients[c].request()
		if err != nil {
			return r, err
		}
		requests[c] = append(requests[c], next)
	}
	r.took = make([]time.Duration, n)
	if r.serverCPU, err = s.cpu(); err != nil {
		return r, err
	}
	var wg sync.WaitGroup
	var done atomic.Int64
	load, start := ownCPU(), time.Now()
	for i, c := range clients {
		wg.Go(func() {
			for _, q := range requests[i] {
				began := time.Now()
				if err := c.obtain(ctx, q.name, q.csr); err != nil {
					cancel(err) // the first one is the cause
					return
				}
				r.took[done.Add(1)-1] = time.Since(began)
			}
		})
	}
	wg.Wait()
	r.wall, r.loadCPU = time.Since(start), ownCPU()-load
	if err := context.Cause(ctx); err != nil {
		return r, err
	}
	after, err := s.cpu()
	r.serverCPU = after - r.serverCPU
	return r, err
}

// ownCPU is the time that this process has computed so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
