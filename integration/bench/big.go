package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bigClients is how many clients there are at once, row by row, and bigRounds how often
// each database has its turn in a row: they alternate, as the machine's speed drifts.
var bigClients = []int{8, 32}

const bigRounds = 3

// measureBig sets each database beside itself with many certificates in it.
func measureBig(ctx context.Context, o *options, dir string) error {
	httpPort, err := freePort()
	if err != nil {
		return err
	}
	web, err := listenForChallenges(httpPort)
	if err != nil {
		return err
	}
	defer web.Close()
	fmt.Printf("\nvidimusd with a big database beside a small one: medians of %d turns of %d certificates each, alternating\n", bigRounds, o.n)
	for _, d := range []struct {
		name string
		n    int64
		db   bool
	}{{"SQLite", o.bigSQLite, false}, {"PostgreSQL", o.bigPostgres, true}} {
		if d.n == 0 {
			continue
		}
		b := &bigBench{options: o, web: web, httpPort: httpPort, onPostgres: d.db, n: d.n}
		fmt.Printf("\n  %s\n", d.name)
		err := b.measure(ctx, filepath.Join(dir, d.name))
		if errors.Is(err, errNoPostgres) {
			fmt.Println("    left out:", err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if err := os.RemoveAll(filepath.Join(dir, d.name)); err != nil {
			return err
		}
	}
	return nil
}

// bigBench is the measurement on one kind of database.
type bigBench struct {
	*options
	web        *challenges
	httpPort   int
	onPostgres bool
	n          int64 // certificates in the big one
}

func (b *bigBench) measure(ctx context.Context, dir string) error {
	var servers [2]*server // small, big
	for i, size := range []string{"small", "big"} {
		s, err := b.start(ctx, filepath.Join(dir, size), i == 1)
		if err != nil {
			return err
		}
		defer s.stopAll()
		servers[i] = s
	}
	fmt.Println("    orders           clients   certs/s: small     big   ratio   server CPU/cert: small     big   ratio   p99: small        big")
	for _, web := range []*challenges{nil, b.web} {
		if b.orders != "" && (b.orders == "http-01") != (web != nil) {
			continue
		}
		if err := b.measureKind(ctx, servers, web); err != nil {
			return err
		}
	}
	if !b.onPostgres {
		return nil
	}
	list, err := servers[1].database.readThrough(ctx)
	fmt.Println("    tables of the big database that were read from end to end:", list)
	return err
}

// start starts a server with a database of its own, which is filled if it shall be big.
func (b *bigBench) start(ctx context.Context, dir string, big bool) (s *server, err error) {
	if err := os.MkdirAll(dir, 0o711); err != nil { // PostgreSQL's user must come through
		return nil, err
	}
	var db *postgres
	if b.onPostgres {
		if db, err = startPostgres(ctx, filepath.Join(dir, "postgres")); err != nil {
			return nil, err
		}
	}
	serverDir := filepath.Join(dir, "server")
	if s, err = startServer(ctx, b.vidimusd, serverDir, b.httpPort, db); err == nil && big {
		err = b.fill(ctx, s, serverDir)
	}
	if err != nil && s != nil {
		s.stop()
	}
	if err != nil && db != nil {
		db.stop()
	}
	return s, err
}

// stopAll stops a server and its database.
func (s *server) stopAll() {
	s.stop()
	if s.database != nil {
		s.database.stop()
	}
}

// fill fills the database of a server that runs, which is started anew.
func (b *bigBench) fill(ctx context.Context, s *server, dir string) error {
	if _, err := s.acmeID(ctx, "first.bench.test"); err != nil {
		return err
	}
	if _, err := newClients(ctx, s, b.web, 1); err != nil {
		return err
	}
	s.stopAll()
	start := time.Now()
	var err error
	if s.database != nil {
		err = fillPostgres(ctx, s.database, b.n)
	} else {
		err = fillSQLite(ctx, dir, b.n)
	}
	if err != nil {
		return err
	}
	took := time.Since(start)
	unix.Sync() // what the disk still has to do shall not be measured
	data := dir
	if s.database != nil {
		data = filepath.Join(s.database.dir, "data", "base")
	}
	size, err := folderSize(data)
	if err != nil {
		return err
	}
	fmt.Printf("    filled with %d certificates in %s; on disk %.1f GiB, %.1f KiB for each\n", b.n, took.Round(time.Second), float64(size)/(1<<30), float64(size)/(1<<10)/float64(b.n))
	if s.database != nil {
		if err := s.database.launch(ctx); err != nil {
			return err
		}
	}
	again, err := startServer(ctx, b.vidimusd, dir, b.httpPort, s.database)
	if again != nil {
		*s = *again
	}
	return err
}

// folderSize is the size of all files below a folder, in bytes.
func folderSize(dir string) (sum int64, err error) {
	return sum, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return err
	})
}

// measureKind prints the rows of one kind of order.
func (b *bigBench) measureKind(ctx context.Context, servers [2]*server, web *challenges) error {
	what := "pre-authorised"
	if web != nil {
		what = "http-01"
	}
	var clients [2][]client
	for i, s := range servers {
		all, err := newClients(ctx, s, web, slices.Max(bigClients))
		if err != nil {
			return err
		}
		defer closeIdle(all)
		clients[i] = all
	}
	for _, c := range bigClients {
		if b.clients != 0 && c != b.clients {
			continue
		}
		var speed, cpu [2][]float64
		var took [2][]time.Duration
		for range bigRounds {
			for i, s := range servers {
				limited, cancel := context.WithTimeout(ctx, rowTimeout)
				r, err := measureRow(limited, s, clients[i][:c], b.options.n)
				cancel()
				if err != nil {
					return fmt.Errorf("%s, %d clients: %w", what, c, err)
				}
				speed[i] = append(speed[i], float64(b.options.n)/r.wall.Seconds())
				cpu[i] = append(cpu[i], float64(r.serverCPU)/float64(b.options.n))
				took[i] = append(took[i], r.took...)
			}
		}
		perSecond, each := [2]float64{median(speed[0]), median(speed[1])}, [2]float64{median(cpu[0]), median(cpu[1])}
		fmt.Printf("    %-16s %7d %16.0f %7.0f %7.2f %24s %9s %5.2f %13s %10s\n", what, c, perSecond[0], perSecond[1], perSecond[1]/perSecond[0],
			ms(time.Duration(each[0])), ms(time.Duration(each[1])), each[1]/each[0], ms(quantile(took[0], 0.99)), ms(quantile(took[1], 0.99)))
	}
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
