// Package storetest makes empty SQLite databases for tests quickly: the tables are made
// once for each test program, and copied.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"vidimus/internal/store"
)

var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.db")
	s, err := store.Open(context.Background(), path)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // which takes what is in the WAL into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// Fill puts an empty database with all tables at path, unless there is a file.
func Fill(t testing.TB, path string) {
	t.Helper()
	data, err := template()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Path is that of a new, empty database with all tables.
func Path(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vidimusd.db")
	Fill(t, path)
	return path
}
