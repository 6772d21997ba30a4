package server

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vidimus/integration/peer"
)

// A full disk refuses orders with a clear problem, and nothing is lost: as soon as
// there is room the server goes on, without a restart.
func TestFullDiskRefusesOrdersUntilThereIsRoom(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("the disk is PostgreSQL's then, which has its own tests")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small tmpfs")
	}
	dir := t.TempDir()
	if out, status := peer.Run(t, exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir)); status != 0 {
		t.Skipf("no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	v := peer.StartVidimusdIn(t, filepath.Join(dir, "d"))
	l := newLoader(t, v, "disk.uni.test")

	full := filepath.Join(dir, "full")
	exec.Command("dd", "if=/dev/zero", "of="+full, "bs=1k").Run() // ends when there is no room left
	if err := l.obtain(t.Context()); err == nil {
		t.Error("a certificate was issued that there was no room to record")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	if err := l.obtain(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	all := v.Certificates(t, "disk.uni.test")
	if len(all) != 1 || all[0].State != "valid" {
		t.Errorf("on record: %+v", all)
	}
}
