package lineage

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReadFileReadsAllOrSaysWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, size := range []int{0, 1, 4095, 4096, 4097, 8192, 100_000, most - 1} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
	if err := os.WriteFile(path, make([]byte, 2*most), 0o600); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]error{path: nil, path + ".none": fs.ErrNotExist, filepath.Dir(path): nil} {
		if _, err := readFile(bad); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
