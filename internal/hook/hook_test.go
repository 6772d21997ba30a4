package hook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func hookDir(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range Dirs(dir) {
		os.MkdirAll(d, 0o755)
	}
	return dir
}

func script(t *testing.T, path, body string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), mode); err != nil {
		t.Fatal(err)
	}
}

func runner(t *testing.T) (*Runner, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &Runner{Out: &out, Err: &errs, Log: slog.New(slog.DiscardHandler)}, &out, &errs
}

func TestPreHookRunsOncePerCommand(t *testing.T) {
	r, out, _ := runner(t)
	dir := hookDir(t)
	script(t, filepath.Join(dir, "pre", "b"), "echo dir b", 0o755)
	script(t, filepath.Join(dir, "pre", "a"), "echo dir a", 0o755)
	script(t, filepath.Join(dir, "pre", "c~"), "echo backup", 0o755)
	script(t, filepath.Join(dir, "pre", "d"), "echo not executable", 0o644)
	r.Pre(t.Context(), Commands{Dir: dir, Pre: "echo one"})
	r.Pre(t.Context(), Commands{Dir: dir, Pre: "echo two"})
	r.Pre(t.Context(), Commands{Dir: dir, Pre: "echo one"})
	want := ""
	for _, s := range []string{"dir a", "dir b", "one", "two"} {
		want += "Hook 'pre-hook' ran with output:\n " + s + "\n"
	}
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDeployHookKnowsItsLineage(t *testing.T) {
	r, out, _ := runner(t)
	dir := hookDir(t)
	path := filepath.Join(dir, "deploy", "reload")
	script(t, path, `echo "$RENEWED_LINEAGE: $RENEWED_DOMAINS"`, 0o755)
	r.Deploy(t.Context(), Commands{Dir: dir, Deploy: path}, "/live/a", []string{"a.example.org", "b.example.org"})
	want := "Hook 'deploy-hook' ran with output:\n /live/a: a.example.org b.example.org\n"
	if got := out.String(); got != want {
		t.Errorf("a hook that is in the directory and in the options: got\n%s\nwant\n%s", got, want)
	}
}

func TestPostHooksRunAtTheEndAndKnowWhatFailed(t *testing.T) {
	r, out, _ := runner(t)
	for range 2 {
		r.SavePost(Commands{Post: `echo "$RENEWED_DOMAINS/$FAILED_DOMAINS"`})
	}
	if out.Len() != 0 {
		t.Error("a post hook ran early")
	}
	r.Post(t.Context(), []string{"a"}, []string{"b", "c"})
	if got, want := out.String(), "Hook 'post-hook' ran with output:\n a/b c\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFailingHookIsAWarning(t *testing.T) {
	r, out, errs := runner(t)
	r.Pre(t.Context(), Commands{Pre: "echo said; echo complained >&2; exit 3"})
	if got, want := out.String(), "Hook 'pre-hook' ran with output:\n said\n"; got != want {
		t.Errorf("output %q", got)
	}
	if got, want := errs.String(), "Hook 'pre-hook' reported error code 3\nHook 'pre-hook' ran with error output:\n complained\n"; got != want {
		t.Errorf("errors %q", got)
	}
}

func TestValidate(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(plain, nil, 0o644)
	for cmd, good := range map[string]bool{"": true, "true": true, "  echo hi; no-such": true, "/bin/sh -c x": true,
		"no-such-program-at-all x": false, plain + " x": false} {
		if err := Validate("deploy", cmd); (err == nil) != good || err != nil && !errors.Is(err, ErrCommand) {
			t.Error(fmt.Sprintf("Validate(%q):", cmd), err)
		}
	}
}

func TestHooksRunAfterVeryManyRenewals(t *testing.T) {
	r, out, errs := runner(t)
	var names []string
	for i := range 20000 {
		names = append(names, fmt.Sprintf("host%05d.example.org", i))
	}
	r.SavePost(Commands{Post: `echo "${#RENEWED_DOMAINS} ${RENEWED_DOMAINS%% *} ${RENEWED_DOMAINS##* }"`})
	r.Post(t.Context(), names, nil)
	if want := "31987 host00000.example.org host01453.example.org"; !strings.Contains(out.String(), want) {
		t.Errorf("%s%s, want %s", out, errs, want)
	}
	if !strings.Contains(errs.String(), "Limiting the RENEWED_DOMAINS") {
		t.Error("nobody is told that names are missing")
	}
}

// FuzzNames is about the environment of hooks: what is too much for a program is cut
// between names.
func FuzzNames(f *testing.F) {
	f.Add("a.example.org", 3)
	f.Add("a.example.org", 5000)
	f.Add(strings.Repeat("a", 40000), 1)
	f.Fuzz(func(t *testing.T, name string, n int) {
		if name = strings.ReplaceAll(name, " ", ""); name == "" {
			name = "x"
		}
		all := slices.Repeat([]string{name}, max(min(n, 10000), 0))
		r := &Runner{Err: io.Discard}
		list, ok := strings.CutPrefix(r.names("FAILED_DOMAINS", all), "FAILED_DOMAINS=")
		if !ok || len(list) > mostNames {
			t.Fatalf("%d bytes", len(list))
		}
		for _, got := range strings.Split(list, " ") {
			if got != name && list != "" {
				t.Errorf("%q of %q", got, name)
			}
		}
		if whole := strings.Join(all, " "); len(whole) <= mostNames && list != whole {
			t.Errorf("cut though it fits: %d of %d", len(list), len(whole))
		}
	})
}
