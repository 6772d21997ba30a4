package external

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindTakesTheProgramOfTheProviderFirst(t *testing.T) {
	dir := t.TempDir()
	on, beside := filepath.Join(dir, "on"), filepath.Join(dir, "beside")
	for _, path := range []string{"on/vidimus-dns-lego", "beside/vidimus-dns-desec", "beside/vidimus-dns-dir/x"} {
		path = filepath.Join(dir, path)
		os.MkdirAll(filepath.Dir(path), 0o755)
		os.WriteFile(path, nil, 0o755)
	}
	os.WriteFile(filepath.Join(on, "vidimus-dns-plain"), nil, 0o644)
	for name, want := range map[string]string{
		"desec": "beside/vidimus-dns-desec", "ovh": "on/vidimus-dns-lego", "plain": "on/vidimus-dns-lego", "dir": "on/vidimus-dns-lego",
	} {
		if got, err := Find(name, ".:"+on, beside); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := Find("ovh", "", beside); err == nil || !strings.Contains(err.Error(), "install vidimus-dns-lego") {
		t.Errorf("nothing there: %v", err)
	}
	for _, name := range []string{"../x", "a/b", "A", "", "-x", "a b"} {
		if got, err := Find(name, on, beside); err == nil {
			t.Errorf("%q is taken for a provider: %s", name, got)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"id":1,"ok":true,"parallel":4}`))
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte(`{"id":9223372036854775808}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseReply(line)
		if err == nil && !r.OK && r.Error == "" {
			t.Error("a reply that says nothing")
		}
	})
}
