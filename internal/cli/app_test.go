package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run is the program in a directory of its own.
func run(t *testing.T, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &App{Name: "vidimus", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: nothing, Now: time.Now}
	args = append(args, "--config-dir", filepath.Join(dir, "c"), "--work-dir", filepath.Join(dir, "w"), "--logs-dir", filepath.Join(dir, "l"))
	return a.Run(t.Context(), args), out.String(), errs.String()
}

func TestExitStatus(t *testing.T) {
	broken := t.TempDir()
	os.MkdirAll(filepath.Join(broken, "c", "renewal"), 0o755)
	os.WriteFile(filepath.Join(broken, "c", "renewal", "a.conf"), []byte("garbage"), 0o644)
	for _, c := range []struct {
		dir  string
		args string
		want int
	}{
		{t.TempDir(), "--version", 0},
		{t.TempDir(), "certificates", 0},
		{t.TempDir(), "renew", 0},
		{broken, "renew", 1},
		{t.TempDir(), "delete --cert-name nothing", 1},
		{t.TempDir(), "show_account --server http://127.0.0.1:1/dir", 1},
		{t.TempDir(), "nonsense", 2},
		{t.TempDir(), "certonly --nonsense", 2},
		{t.TempDir(), "certonly --standalone -d not_a_name", 2},
		{t.TempDir(), "revoke", 2},
		{t.TempDir(), "delete", 2},
	} {
		if got, out, errs := run(t, c.dir, strings.Fields(c.args)...); got != c.want {
			t.Errorf("%s: exit status %d, want %d\n%s%s", c.args, got, c.want, out, errs)
		}
	}
}

func TestQuietIsQuiet(t *testing.T) {
	for _, args := range []string{"renew -q", "certificates --quiet"} {
		if _, out, errs := run(t, t.TempDir(), strings.Fields(args)...); out+errs != "" {
			t.Errorf("%s: %s%s", args, out, errs)
		}
	}
}

func TestPlaceThatCannotBeWrittenTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	status, _, errs := run(t, file, "certificates")
	if status != 1 || !strings.Contains(errs, "not a directory") {
		t.Errorf("exit status %d: %s", status, errs)
	}
}
