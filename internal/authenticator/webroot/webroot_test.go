package webroot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

func challenge(name, token string) authenticator.Challenge {
	return authenticator.Challenge{Identifier: identifier.Identifier{Type: identifier.DNS, Value: name}, Token: token, KeyAuthorization: token + ".thumb"}
}

func TestFilesAreReadableAndNothingIsLeftBehind(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	a, b := t.TempDir(), t.TempDir()
	os.Mkdir(filepath.Join(b, ".well-known"), 0o755)
	w := &Webroot{Root: func(name string) string { return map[string]string{"a.example.org": a, "b.example.org": b}[name] }}
	if err := w.Present(t.Context(), []authenticator.Challenge{challenge("a.example.org", "ta"), challenge("b.example.org", "tb")}); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{
		filepath.Join(a, ".well-known"):                      os.ModeDir | 0o755,
		filepath.Join(a, ".well-known", "acme-challenge"):    os.ModeDir | 0o755,
		filepath.Join(a, ".well-known/acme-challenge", "ta"): 0o644,
		filepath.Join(b, ".well-known", "acme-challenge/tb"): 0o644,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v, want %v", path, info, err, mode)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(b, ".well-known/acme-challenge/tb")); string(data) != "tb.thumb" {
		t.Errorf("the file holds %q", data)
	}
	if err := w.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(a); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if left, _ := os.ReadDir(filepath.Join(b, ".well-known")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(filepath.Join(b, ".well-known")); err != nil {
		t.Error("a directory that was there is gone")
	}
}

func TestFailureLeavesNothingBehind(t *testing.T) {
	a := t.TempDir()
	w := &Webroot{Root: func(name string) string {
		if name == "a.example.org" {
			return a
		}
		return ""
	}}
	err := w.Present(t.Context(), []authenticator.Challenge{challenge("a.example.org", "ta"), challenge("b.example.org", "tb")})
	if err == nil || !strings.Contains(err.Error(), "-w DIR in front of -d b.example.org") {
		t.Error(err)
	}
	if err := w.Present(t.Context(), []authenticator.Challenge{challenge("a.example.org", "../../x")}); err == nil {
		t.Error("a token that leaves the directory is taken")
	}
	if left, _ := os.ReadDir(a); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestOrdersShareDirectories is about orders at the same time: none takes away what
// another needs, and the last leaves nothing.
func TestOrdersShareDirectories(t *testing.T) {
	root, made := t.TempDir(), new(Made)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				w := &Webroot{Root: func(string) string { return root }, Made: made}
				c := challenge("a.example.org", fmt.Sprintf("t-%d-%d", i, n))
				if err := w.Present(t.Context(), []authenticator.Challenge{c}); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(filepath.Join(root, ".well-known/acme-challenge", c.Token)); err != nil {
					t.Error(err)
				}
				if err := w.Cleanup(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(root); len(left) != 0 || len(made.uses) != 0 {
		t.Errorf("left behind: %v %v", left, made.uses)
	}
}
func TestNextRunRemovesWhatAKillLeft(t *testing.T) {
	root, note := t.TempDir(), filepath.Join(t.TempDir(), "note")
	os.WriteFile(filepath.Join(root, "index.html"), nil, 0o644)
	challenge := []authenticator.Challenge{{Token: "tok", KeyAuthorization: "tok.thumb"}}
	killed := &Webroot{Root: func(string) string { return root }, Made: &Made{Note: note}}
	if err := killed.Present(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	if err := Recover(note); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(root)
	if len(entries) != 1 || entries[0].Name() != "index.html" {
		t.Errorf("left are %v", entries)
	}
	whole := &Webroot{Root: func(string) string { return root }, Made: &Made{Note: note}}
	if err := errors.Join(whole.Present(t.Context(), challenge), whole.Cleanup(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(note); err == nil {
		t.Error("a note stays when nothing is left")
	}
}

func FuzzRecoverRemovesOnlyChallenges(f *testing.F) {
	f.Add("/index.html", "\"x\"")
	f.Add("/.well-known/acme-challenge/../../index.html", "")
	f.Fuzz(func(t *testing.T, path, line string) {
		root := t.TempDir()
		page := filepath.Join(root, "index.html")
		os.WriteFile(page, nil, 0o644)
		note := filepath.Join(t.TempDir(), "note")
		os.WriteFile(note, []byte(strconv.Quote(root+path)+"\n"+line+"\n"), 0o600)
		_ = Recover(note)
		if _, err := os.Stat(page); err != nil {
			t.Errorf("%q %q: %v", path, line, err)
		}
	})
}
