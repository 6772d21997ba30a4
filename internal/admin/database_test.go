package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADatabaseIsNamedWithoutAPasswordInAnArgument(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const plain, secret = "postgres://me@db.example.org/x", "postgres://me:s3cret@db.example.org/x"
	for _, tt := range []struct {
		flags         databaseFlags
		variable      string
		want, refused string
	}{
		{databaseFlags{}, "", "", ""},
		{databaseFlags{}, secret, secret, ""},
		{databaseFlags{url: plain}, secret, plain, ""},
		{databaseFlags{url: secret}, "", "", "--database-file"},
		{databaseFlags{url: plain, file: "x"}, "", "", "not both"},
		{databaseFlags{file: file("good", secret+"\n", 0o600)}, plain, secret, ""},
		{databaseFlags{file: file("open", plain, 0o644)}, "", plain, ""},
		{databaseFlags{file: file("shared", secret, 0o640)}, "", "", "run: chmod 600"},
		{databaseFlags{file: file("empty", "", 0o600)}, "", "", "is not one postgres:// URL"},
		{databaseFlags{file: file("two", plain+"\n"+plain, 0o600)}, "", "", "is not one postgres:// URL"},
		{databaseFlags{file: filepath.Join(dir, "missing")}, "", "", "no such file"},
	} {
		t.Setenv(databaseVariable, tt.variable)
		got, err := tt.flags.read()
		if got != tt.want || (err == nil) != (tt.refused == "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%+v, %q: %q, %v; want %q %q", tt.flags, tt.variable, got, err, tt.want, tt.refused)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: it says %v", tt.flags, err)
		}
	}
}

func TestNoCommandTakesAPasswordAsAnArgument(t *testing.T) {
	for _, args := range [][]string{{"restore", t.TempDir()}, {"dev", "--dir", t.TempDir(), "--listen", "127.0.0.1:0"}, {"init", "--dir", t.TempDir(), "--url", "https://acme.example.org"}} {
		for _, url := range []string{"postgres://me:s3cret@db.example.org/x", "postgres://me@db.example.org/x?password=s3cret", "postgres://me@db.example.org/x?sslpassword=s3cret"} {
			var out, errs strings.Builder
			status := Main(append(args, "--database", url), "test", &out, &errs)
			if status != 2 || !strings.Contains(errs.String(), "PGPASSFILE") || strings.Contains(errs.String(), "s3cret") {
				t.Errorf("%s %s: exit status %d, %q", args[0], url, status, errs.String())
			}
		}
	}
}
