package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/store/postgrestest"
)

// Of two servers on one database one is killed again and again; every client that sends
// again what was lost ends with its certificate, by challenges too, and every one that
// was given out is on record.
func TestReplicasAreKilledAndEveryClientEndsWithItsCertificate(t *testing.T) {
	const clients, each, kills = 4, 3, 4
	vidimus := peer.Build(t, "vidimus")
	r := peer.StartReplicas(t, postgrestest.Start(t).URL(t), 2)
	var loaders []*loader
	for i := range 2 {
		loaders = append(loaders, newLoader(t, &r.Vidimusd, fmt.Sprintf("load%d.example.org", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load, runs sync.WaitGroup
	for _, l := range loaders {
		load.Go(func() {
			for ctx.Err() == nil {
				_ = l.obtain(ctx) // fails when its connection is cut
			}
		})
	}
	var done atomic.Int64
	for i := range clients {
		dir := t.TempDir()
		runs.Go(func() {
			for n := range each {
				name := fmt.Sprintf("c%d-%d.example.org", i, n)
				cmd := exec.Command(vidimus, "certonly", "-n", "--server", r.DirectoryOpen, "--agree-tos", "-m", "admin@example.org",
					"--config-dir", dir+"/config", "--work-dir", dir+"/work", "--logs-dir", dir+"/logs",
					"--webroot", "-w", r.Web, "-d", name+",www."+name)
				cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+r.CABundle)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", name, err, out)
					continue
				}
				verify(t, &r.Vidimusd, filepath.Join(dir, "config", "live", name, "fullchain.pem"), name, "www."+name)
				done.Add(1)
			}
		})
	}
	ended := make(chan bool)
	go func() { runs.Wait(); close(ended) }()
	beat := time.NewTicker(2 * time.Second)
	defer beat.Stop()
	for k, busy := 0, true; busy || k < kills; k++ {
		before := loaders[0].count()
		<-beat.C
		r.Kill(k % 2)
		r.Start(t, k%2)
		peer.Eventually(t, "certificates are issued", func() bool { return loaders[0].count() > before })
		select {
		case <-ended:
			busy = false
		default:
		}
	}
	cancel()
	load.Wait()
	if done.Load() != clients*each {
		t.Errorf("%d of %d runs of vidimus ended with a certificate", done.Load(), clients*each)
	}
	total := 0
	for _, l := range loaders {
		total += onRecord(t, &r.Vidimusd, l)
	}
	audited(t, &r.Vidimusd, loaders...)
	t.Logf("%d certificates without challenge and %d with", total, done.Load())
}

// statuses counts the answers with an error of the server.
type statuses struct {
	http.RoundTripper
	busy, other atomic.Int64
}

func (s *statuses) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	s.count(resp, err)
	return resp, err
}

func (s *statuses) count(resp *http.Response, err error) {
	switch {
	case err != nil:
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		s.busy.Add(1)
	case resp.StatusCode >= 500:
		s.other.Add(1)
	}
}

// While PostgreSQL is away clients are told when to come back; when it is back the
// server goes on by itself, and nothing is lost.
func TestPostgreSQLRestartsUnderLoad(t *testing.T) {
	db := postgrestest.Start(t)
	v := peer.StartVidimusd(t, "--database", db.URL(t), "--log-level", "error")
	var loaders []*loader
	var seen statuses
	for i := range 4 {
		l := newLoader(t, v, fmt.Sprintf("load%d.example.org", i))
		if i == 0 {
			seen.RoundTripper = l.client.HTTPClient.Transport
		}
		l.client.HTTPClient.Transport = &seen
		loaders = append(loaders, l)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, l := range loaders {
		load.Go(func() {
			for ctx.Err() == nil {
				_ = l.obtain(ctx)
			}
		})
	}
	for _, down := range []func(){db.Stop, db.Crash} {
		before := loaders[0].count()
		peer.Eventually(t, "certificates are issued", func() bool { return loaders[0].count() > before })
		busy := seen.busy.Load()
		down()
		peer.Eventually(t, "a client is told to come back", func() bool { return seen.busy.Load() > busy })
		if err := db.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range loaders {
		before := l.count()
		peer.Eventually(t, "certificates are issued again", func() bool { return l.count() > before })
	}
	cancel()
	load.Wait()
	if n := seen.other.Load(); n > 0 {
		t.Errorf("%d answers were errors of the server other than 503 with Retry-After", n)
	}
	for _, l := range loaders {
		l.client.HTTPClient.Timeout = 30 * time.Second
		onRecord(t, v, l)
	}
}
