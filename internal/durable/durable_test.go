package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWriteFileReplacesWholeWithExactMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "f")
	for _, data := range []string{"one", "a second, longer text"} {
		if err := WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != data {
			t.Fatalf("read %q, %v; want %q", got, err, data)
		}
		if info, _ := os.Stat(path); info.Mode() != 0o644 {
			t.Errorf("mode %v, want 0644 whatever the umask", info.Mode())
		}
	}
	onlyEntry(t, filepath.Dir(path), "f")
}

func TestWriteFileFailingLeavesTheOldFileAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.Mkdir(path, 0o700); err != nil { // rename of a file over a directory fails
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("no error")
	}
	onlyEntry(t, dir, "f")
}

func TestCreateFileNeverReplaces(t *testing.T) {
	for name, create := range map[string]func(string, []byte, fs.FileMode) error{
		"O_TMPFILE": CreateFile, "named": func(path string, data []byte, perm fs.FileMode) error {
			return createNamed(path, data, perm, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := create(path, []byte("first"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := create(path, []byte("second"), 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("second CreateFile: %v, want ErrExist", err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, []byte("first")) {
				t.Errorf("file holds %q", got)
			}
			if info, _ := os.Stat(path); info.Mode() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			onlyEntry(t, filepath.Dir(path), "key")
		})
	}
}

func TestExchangeSwapsDirectories(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	os.MkdirAll(filepath.Join(a, "was-a"), 0o700)
	os.MkdirAll(filepath.Join(b, "was-b"), 0o700)
	if err := Exchange(a, b); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this file system has no RENAME_EXCHANGE")
	} else if err != nil {
		t.Fatal(err)
	}
	onlyEntry(t, a, "was-b")
	onlyEntry(t, b, "was-a")
}

func onlyEntry(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != want {
		t.Errorf("%s holds %v, %v; want only %s", dir, entries, err, want)
	}
}
