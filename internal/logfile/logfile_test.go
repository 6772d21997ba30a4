package logfile

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestLogsRotate(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		f, err := Open(dir, 2)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, i)
		f.Close()
	}
	for name, want := range map[string]string{"": "4", ".1": "3", ".2": "2", ".3": ""} {
		if got, _ := os.ReadFile(Path(dir) + name); string(got) != want {
			t.Errorf("log%s holds %q, want %q", name, got, want)
		}
	}
	if info, _ := os.Stat(Path(dir)); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestWithoutBackupsTheLogGrows(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		f, err := Open(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, "x")
		f.Close()
	}
	if got, _ := os.ReadFile(Path(dir)); string(got) != strings.Repeat("x", 3) {
		t.Errorf("the log holds %q", got)
	}
}
