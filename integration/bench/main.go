// Command bench measures the programs of this tree on this machine, in this run:
// certificates per second and server CPU for vidimusd under load, and one issuance
// by vidimus beside one by Debian's certbot. It runs real processes on loopback, with
// full durability, and asserts nothing: it prints tables.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

type options struct {
	vidimus, vidimusd string // paths of the programs
	dir               string // where the temporary folder goes
	n                 int    // certificates in each row of the load table
	runs              int    // of each client
	due, idle         int    // lineages that are renewed, and the most of those that are not due
	only, server      string // a part of the whole, and of the servers' names
	orders            string // pre-authorised, http-01, or "" for both
	clients           int    // how many at once, or 0 for each of 1, 8, 32

	bigSQLite, bigPostgres int64 // certificates in the big databases

	portalSize int    // hosts that the pages of the portal are measured with
	portalDev  string // folder of a vidimusd dev that runs, to measure its pages instead
}

func main() {
	var o options
	flag.StringVar(&o.vidimus, "vidimus", "bin/vidimus", "the client to measure")
	flag.StringVar(&o.vidimusd, "vidimusd", "bin/vidimusd", "the server to measure")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "`folder` for the temporary files, so also the disk to measure with")
	flag.IntVar(&o.n, "n", 500, "certificates for each row of the load table")
	flag.IntVar(&o.runs, "runs", 7, "runs of each client")
	flag.IntVar(&o.due, "due", 100, "lineages for renew --force-renewal; certbot takes two or three seconds for each")
	flag.IntVar(&o.idle, "idle", 100_000, "the most lineages for renew with nothing due: 1000, 10000 or 100000")
	flag.StringVar(&o.only, "only", "", "one `part`: clients, renewals, servers, portal, or big, which is not among the others")
	flag.StringVar(&o.server, "server", "", "only servers with this in their `name`, such as vidimusd, SQLite or step-ca")
	flag.StringVar(&o.orders, "orders", "", "only orders of one `kind`: pre-authorised or http-01")
	flag.IntVar(&o.clients, "clients", 0, "only rows with this `number` of clients: 1, 8 or 32")
	flag.Int64Var(&o.bigSQLite, "big-sqlite", 1_000_000, "certificates in the big SQLite database; 0 for none")
	flag.Int64Var(&o.bigPostgres, "big-postgres", 10_000_000, "certificates in the big PostgreSQL database; 0 for none")
	flag.IntVar(&o.portalSize, "demo-size", 100_000, "hosts for the pages of the portal, with ten certificates each")
	flag.StringVar(&o.portalDev, "portal-dev", "", "measure the pages of the vidimusd dev that runs in this `folder` instead")
	flag.Parse()
	// SIGPIPE is what "bench | head" ends with.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run does all of it in a temporary folder; whatever happens, folder and processes
// are gone when it returns.
func (o *options) run(ctx context.Context) (err error) {
	if flag.NArg() > 0 || o.n < 32 || o.runs < 1 {
		return fmt.Errorf("give no arguments, -n of at least 32, and -runs of at least 1")
	}
	for _, path := range []*string{&o.vidimus, &o.vidimusd} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(o.dir, "vidimus-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL's user must come through
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		if ctx.Err() != nil { // not the failure that it caused somewhere
			err = fmt.Errorf("interrupted")
		}
		cancel()
	}()
	if err := describeMachine(dir); err != nil {
		return err
	}
	// The clients come first, while this process is small: see compare.
	parts := []struct {
		name string
		run  func(ctx context.Context, o *options, dir string) error
	}{{"clients", compareClients}, {"renewals", compareRenewals}, {"servers", measureLoad}, {"portal", measurePortal}, {"big", measureBig}}
	known := false
	for _, p := range parts {
		if o.only != p.name && (o.only != "" || p.name == "big") {
			continue
		}
		known = true
		if err := p.run(ctx, o, filepath.Join(dir, p.name)); err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("-only %q is none of clients, renewals, servers, portal, big", o.only)
	}
	return nil
}

// describeMachine prints what the figures depend on.
func describeMachine(dir string) error {
	sync, err := syncTime(dir)
	if err != nil {
		return fmt.Errorf("measuring the disk: %w", err)
	}
	fmt.Printf("machine: %d cores, %s %s/%s; appending 4 KiB and fsync in %s: %s (median of 50)\n",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, filepath.Dir(dir), ms(sync))
	return nil
}

// syncTime is how long the disk takes to make a small write durable, which is what
// each step of an issuance waits for.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	took := make([]time.Duration, 50)
	for i := range took {
		start := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	return quantile(took, 0.5), nil
}

// quantile sorts the values and takes the one below which a share q of them lies.
func quantile[T int64 | time.Duration](values []T, q float64) T {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

func ms(d time.Duration) string {
	switch v := d.Seconds() * 1000; {
	case v >= 100:
		return fmt.Sprintf("%.0f ms", v)
	case v >= 10:
		return fmt.Sprintf("%.1f ms", v)
	default:
		return fmt.Sprintf("%.2f ms", v)
	}
}
