package client

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vidimus/integration/peer"
)

// TestFullDiskLeavesTheOldLineage fills the disk under --config-dir.
func TestFullDiskLeavesTheOldLineage(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	if err := os.MkdirAll(h.config(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", h.config(), "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(h.config(), 0) })
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	serial := h.serial(t, "a.example.org")
	full := h.fill(t)
	for name, args := range map[string][]string{"renew": renewAll(), "certonly": h.standalone("b.example.org")} {
		out, status := peer.Run(t, h.vidimus(t, args...))
		if status != 1 || !strings.Contains(out, "no space left on device; nothing that was in use has changed") {
			t.Errorf("%s on a full disk: exit status %d\n%s", name, status, out)
		}
		if h.version(t, "a.example.org") != 1 || h.serial(t, "a.example.org") != serial {
			t.Errorf("%s: the old lineage is not in use any more", name)
		}
		h.noOrphanKeys(t)
	}
	if _, err := os.Stat(h.config("renewal/b.example.org.conf")); err == nil {
		t.Error("a lineage without a certificate")
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	peer.Must(t, h.vidimus(t, renewAll()...))
	peer.Must(t, h.vidimus(t, h.standalone("b.example.org")...))
	if v := h.version(t, "a.example.org"); v <= 1 {
		t.Errorf("version %d with room again", v)
	}
	h.version(t, "b.example.org")
}

// fill leaves no block free, and returns the file that takes them.
func (h *home) fill(t *testing.T) string {
	t.Helper()
	path := filepath.Join(h.config(), "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := bytes.Repeat([]byte("x"), 4096)
	for {
		if _, err := f.Write(block); err != nil {
			return path
		}
	}
}

// TestBrokenConfDoesNotKeepTheOthers has two broken lineages beside a good one.
func TestBrokenConfDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	peer.Must(t, h.vidimus(t, h.standalone("m.example.org")...))
	os.WriteFile(h.config("renewal/a.conf"), []byte("\x00garbage"), 0o644)
	os.Symlink("/nonexistent", h.config("renewal/z.conf"))
	out, status := peer.Run(t, h.vidimus(t, renewAll()...))
	if status != 1 || h.version(t, "m.example.org") != 2 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	for _, want := range []string{"a.conf is broken", "m.example.org/fullchain.pem (success)", "a.conf (parsefail)"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestForeignAuthenticatorFailsBeforeAnyHook has a lineage of a Certbot plugin that
// is not known here.
func TestForeignAuthenticatorFailsBeforeAnyHook(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	peer.Must(t, h.vidimus(t, h.standalone("a.example.org")...))
	conf := h.config("renewal/a.example.org.conf")
	data, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(conf, bytes.Replace(data, []byte("authenticator = standalone"), []byte("authenticator = nginx"), 1), 0o644)
	touched := filepath.Join(h.dir, "touched")
	out, status := peer.Run(t, h.vidimus(t, renewAll("--pre-hook", "touch "+touched)...))
	if status != 1 || !strings.Contains(out, `the authenticator "nginx" is not known here`) {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if _, err := os.Stat(touched); err == nil {
		t.Error("a pre-hook stopped a service for nothing")
	}
	h.version(t, "a.example.org")
}

// TestPortInUse is a standalone authenticator beside a web server.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	h.serve(t, t.TempDir())
	out, status := peer.Run(t, h.vidimus(t, h.standalone("a.example.org")...))
	if status != 1 || !strings.Contains(out, "already in use by another process") || !strings.Contains(out, "--webroot") {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if names, _ := os.ReadDir(h.config("renewal")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// TestDiskFullDuringParallelRenewal has room for some of the new certificates only.
func TestDiskFullDuringParallelRenewal(t *testing.T) {
	t.Parallel()
	h := newHome(t, peer.StartPebble(t, peer.Quick...))
	if err := os.MkdirAll(h.config(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", h.config(), "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(h.config(), 0) })
	names := many(t, h, 30)
	for _, room := range []int64{0, 50 << 10, 100 << 10, 200 << 10} {
		before := h.versions(t, names)
		full := h.fill(t)
		info, err := os.Stat(full)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(full, info.Size()-room); err != nil {
			t.Fatal(err)
		}
		out, status := peer.Run(t, h.vidimus(t, renewAll()...))
		if status != 1 || !strings.Contains(out, "no space left on device") {
			t.Errorf("room for %d bytes: exit status %d\n%s", room, status, out)
		}
		renewed := 0
		for name, v := range h.versions(t, names) {
			if failed := strings.Contains(out, "live/"+name+"/fullchain.pem (failure)"); v == before[name] && !failed {
				t.Errorf("room for %d bytes: %s was not renewed, and not reported\n%s", room, name, out)
			}
			renewed += v - before[name]
		}
		if (renewed > 0) != (room > 0) {
			t.Errorf("room for %d bytes: %d were renewed\n%s", room, renewed, out)
		}
		h.noOrphanKeys(t)
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
	}
	h.agree(t)
	before := h.versions(t, names)
	peer.Must(t, h.vidimus(t, renewAll()...))
	for name, v := range h.versions(t, names) {
		if v <= before[name] {
			t.Errorf("%s: version %d with room again, %d before", name, v, before[name])
		}
	}
}
