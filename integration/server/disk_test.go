package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/integration/peer"
	"vidimus/internal/store/postgrestest"
)

// smallDisk is a file system of so many megabytes, which anybody may write to. fill
// leaves no room on it, and empty takes that back.
func smallDisk(t *testing.T, megabytes int) (dir string, fill, empty func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small tmpfs")
	}
	dir = t.TempDir()
	if out, status := peer.Run(t, exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=1777", megabytes), "tmpfs", dir)); status != 0 {
		t.Skipf("no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	for above := filepath.Dir(dir); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil { // for PostgreSQL's user
			t.Fatal(err)
		}
	}
	filler := filepath.Join(dir, "filler")
	fill = func() {
		exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k", "oflag=append", "conv=notrunc").Run() // ends when there is no room left
	}
	empty = func() {
		t.Helper()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fill, empty
}

// A full disk refuses orders, with 503 and when to come back, and nothing is lost: what
// is on record is still told, and as soon as there is room the server goes on, without a
// restart.
func TestFullDiskRefusesOrdersUntilThereIsRoom(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("the disk is PostgreSQL's then: see below")
	}
	dir, fill, empty := smallDisk(t, 8)
	v := peer.StartVidimusdIn(t, filepath.Join(dir, "d"))
	cred, seen := v.NewACMEID(t, "disk.uni.test"), new(statuses)
	c := newCustomer(t, v, seen, &cred)
	bought := buy(t, c, "disk.uni.test")
	ocspStatus(t, bought.chain) // the first answer takes a certificate of the responder

	fill()
	if p, err := c.place(t.Context(), "disk.uni.test"); err == nil {
		t.Errorf("%s was placed, for which there was no room", p.order.Location)
	}
	if seen.busy.Load() == 0 || seen.other.Load() > 0 {
		t.Errorf("%d answers were 503 with Retry-After, and %d were other errors of the server", seen.busy.Load(), seen.other.Load())
	}
	if err := c.download(t.Context(), bought); err != nil {
		t.Errorf("with a full disk a certificate can't be downloaded: %v", err)
	}
	if status := ocspStatus(t, bought.chain); status != ocsp.Good {
		t.Errorf("with a full disk OCSP says %d", status)
	}
	empty()
	buy(t, c, "disk.uni.test")
	complete(t, v, openRecords(t, v), []*customer{c})
}

// buy gets a certificate of a name for which no challenge is expected.
func buy(t *testing.T, c *customer, name string) *purchase {
	t.Helper()
	p, err := c.place(t.Context(), name)
	for err == nil && !p.ended {
		err = c.advance(t.Context(), p, false)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// The same of PostgreSQL's disk. It may end itself for lack of room; then it is started
// again, and vidimusd is not.
func TestFullDiskOfPostgreSQL(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("runs on a PostgreSQL of its own, once")
	}
	dir, fill, empty := smallDisk(t, 100)
	db := postgrestest.StartIn(t, dir)
	v := peer.StartVidimusd(t, "--database", db.URL(t), "--log-level", "error")
	var customers []*customer
	seen := new(statuses)
	for i := range 3 {
		name := fmt.Sprintf("disk%d.uni.test", i)
		cred := v.NewACMEID(t, name)
		c := newCustomer(t, v, seen, &cred)
		c.name = func(int) string { return name }
		customers = append(customers, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	for _, c := range customers {
		load.Go(func() { c.shop(ctx) })
	}
	peer.Eventually(t, "certificates are issued", func() bool { return downloads(customers) > 10 })
	fill()
	peer.Eventually(t, "a client is told to come back", func() bool { fill(); return seen.busy.Load() > 0 })
	if _, long := soak(t, 0); long {
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && db.Running(); pause(ctx) {
			fill() // what it frees itself
		}
	}
	empty()
	ended := !db.Running()
	if ended {
		if err := db.Start(); err != nil {
			t.Fatal(err)
		}
	}
	before := downloads(customers)
	peer.Eventually(t, "certificates are issued again", func() bool { return downloads(customers) > before+10 })
	cancel()
	load.Wait()
	if n := seen.other.Load(); n > 0 {
		t.Errorf("%d answers were errors of the server other than 503 with Retry-After", n)
	}
	certificates, _ := complete(t, v, openRecords(t, v), customers)
	t.Logf("%d certificates; PostgreSQL ended itself: %v", certificates, ended)
}
