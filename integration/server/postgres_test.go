package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	if peer.OnPostgres() {
		t.Skip("runs on a PostgreSQL of its own, once")
	}
	if peer.OnPostgres() {
		t.Skip("runs on a PostgreSQL of its own, once")
	}
	const clients, each = 4, 3
	kills, _ := soak(t, 4)
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
	var done, failed, killed atomic.Int64
	for i := range clients {
		dir := t.TempDir()
		runs.Go(func() {
			for n := 0; n < each || killed.Load() < int64(kills); n++ {
				name := fmt.Sprintf("c%d-%d.example.org", i, n)
				cmd := exec.Command(vidimus, "certonly", "-n", "--server", r.DirectoryOpen, "--agree-tos", "-m", "admin@example.org",
					"--config-dir", dir+"/config", "--work-dir", dir+"/work", "--logs-dir", dir+"/logs",
					"--webroot", "-w", r.Web, "-d", name+",www."+name)
				cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+r.CABundle)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", name, err, out)
					failed.Add(1)
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
		killed.Add(1)
		peer.Eventually(t, "certificates are issued", func() bool { return loaders[0].count() > before })
		select {
		case <-ended:
			busy = false
		default:
		}
	}
	cancel()
	load.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d runs of vidimus ended without a certificate, %d with one", n, done.Load())
	}
	total := 0
	for _, l := range loaders {
		total += onRecord(t, &r.Vidimusd, l)
	}
	audited(t, &r.Vidimusd, loaders...)
	t.Logf("%d kills: %d certificates without challenge and %d with", killed.Load(), total, done.Load())
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
// server goes on by itself, and nothing is lost. It is away in order, by a crash, for a
// minute, and by hanging.
func TestPostgreSQLGoesAndComesUnderLoad(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("runs on a PostgreSQL of its own, once")
	}
	_, long := soak(t, 0)
	db := postgrestest.Start(t)
	way := startStall(t, db.Port)
	v := peer.StartVidimusd(t, "--database", strings.Replace(db.URL(t), fmt.Sprint(db.Port), fmt.Sprint(way.Port), 1), "--log-level", "error")
	site, seen := startWeb(t, v.HTTPPort), new(statuses)
	var customers []*customer
	for i := range 2 {
		name := fmt.Sprintf("load%d.example.org", i)
		cred := v.NewACMEID(t, name)
		granted := newCustomer(t, v, seen, &cred)
		granted.name = func(int) string { return name }
		customers = append(customers, granted)
		if long { // what it has begun is taken over after 25 seconds
			open := newCustomer(t, v, seen, nil)
			open.name = func(n int) string { return fmt.Sprintf("n%d.open%d.example.org", n, i) }
			open.prove = site.prove
			customers = append(customers, open)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	for _, c := range customers {
		load.Go(func() { c.shop(ctx) })
	}
	start := func() {
		t.Helper()
		if err := db.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		how      string
		down, up func()
		stays    time.Duration
	}{
		{"stopped", db.Stop, start, 0},
		{"crashed", db.Crash, start, 0},
		{"stopped for a minute", db.Stop, start, time.Minute},
		{"hanging for a minute", way.frozen.Lock, way.frozen.Unlock, time.Minute},
	} {
		if tt.stays > 0 && !long {
			continue
		}
		before := downloads(customers)
		peer.Eventually(t, "certificates are issued", func() bool { return downloads(customers) > before })
		busy, down := seen.busy.Load(), time.Now()
		tt.down()
		peer.Eventually(t, "a client is told to come back", func() bool { return seen.busy.Load() > busy })
		told := time.Since(down)
		time.Sleep(max(0, tt.stays-told)) // what is tested is that it lasts
		again := downloads(customers)
		tt.up()
		up := time.Now()
		peer.Eventually(t, "certificates are issued again", func() bool { return downloads(customers) > again+len(customers) })
		t.Logf("%s: a client was told after %s, and certificates were issued %s after its return", tt.how, told.Round(time.Millisecond), time.Since(up).Round(time.Millisecond))
	}
	cancel()
	load.Wait()
	if n := seen.other.Load(); n > 0 {
		t.Errorf("%d answers were errors of the server other than 503 with Retry-After", n)
	}
	complete(t, v, openRecords(t, v), customers)
}
