package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDevRunsNoRealCA so that nobody gets certificates of a CA that is trusted just
// because somebody tried "dev" in its folder.
func TestDevRunsNoRealCA(t *testing.T) {
	dir := t.TempDir()
	path, err := Init(InitOptions{Dir: dir, Organisation: "Test", URL: "https://127.0.0.1:14000"})
	if err != nil {
		t.Fatal(err)
	}
	err = Dev(t.Context(), DevOptions{Dir: dir, Listen: "127.0.0.1:0"}, "test", slog.New(slog.DiscardHandler), func(DevInfo) { t.Error("it runs") })
	if err == nil || !strings.Contains(err.Error(), path+" was not made by vidimusd dev") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "vidimusd.db")); err == nil {
		t.Error("there is a database now")
	}
}
