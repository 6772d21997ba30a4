package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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

// measureLoad prints a row for each kind of order and each concurrency.
func measureLoad(ctx context.Context, s *server, web *challenges, n int) error {
	fmt.Printf("\nvidimusd: %d certificates for each row; a new P-256 key and an order each; server and load share the cores\n\n", n)
	fmt.Println("  orders           clients   certs/s   server CPU/cert   load CPU/cert        p50        p99")
	for _, kind := range []struct {
		name string
		web  *challenges
	}{{"pre-authorised", nil}, {"http-01", web}} {
		clients, err := newClients(ctx, s, kind.web)
		if err != nil {
			return err
		}
		for _, c := range concurrency {
			r, err := measureRow(ctx, s, clients[:c], n)
			if err != nil {
				return fmt.Errorf("%s, %d clients: %w", kind.name, c, err)
			}
			fmt.Printf("  %-16s %7d %9.0f %17s %15s %10s %10s\n", kind.name, c, float64(n)/r.wall.Seconds(),
				ms(r.serverCPU/time.Duration(n)), ms(r.loadCPU/time.Duration(n)), ms(quantile(r.took, 0.5)), ms(quantile(r.took, 0.99)))
		}
		for _, c := range clients {
			c.http.CloseIdleConnections()
		}
	}
	if least := int64(len(concurrency) * n); web.asked.Load() < least {
		return fmt.Errorf("vidimusd asked for %d challenges, but should have for %d", web.asked.Load(), least)
	}
	fmt.Printf("\n  vidimusd's peak memory: %s\n", mib(peakMemory(s.cmd.Process.Pid)))
	return nil
}

// client is an account and the name it gets certificates for.
type client struct {
	*account
	name string
}

// newClients registers as many accounts as the busiest row needs, each with a name
// of its own, and lets each obtain a certificate, which warms up both sides.
func newClients(ctx context.Context, s *server, web *challenges) ([]client, error) {
	all := make([]client, concurrency[len(concurrency)-1])
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
		csr, err := newCSR(all[i].name)
		if err != nil {
			return nil, err
		}
		if err := all[i].obtain(ctx, all[i].name, csr); err != nil {
			return nil, err
		}
	}
	return all, nil
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
	type wanted struct {
		name string
		csr  []byte
	}
	all := make([][]wanted, len(clients))
	for i := range n {
		c := i % len(clients)
		name := clients[c].name
		if clients[c].web != nil { // a name that was proved before would need no challenge
			name = fmt.Sprintf("h%d.%d.%s", i, time.Now().UnixNano(), name)
		}
		csr, err := newCSR(name)
		if err != nil {
			return r, err
		}
		all[c] = append(all[c], wanted{name, csr})
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
			for _, w := range all[i] {
				began := time.Now()
				if err := c.obtain(ctx, w.name, w.csr); err != nil {
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
