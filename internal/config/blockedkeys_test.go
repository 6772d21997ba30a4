package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListsOfBlockedKeysAreRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": strings.Repeat("ab", 32) + "\n", "bad": "x\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Parse([]byte("blocked_keys:\n  - good\n  - bad\n  - missing\n  - \"\"\n"), dir)
	for _, want := range []string{"line 3: blocked_keys[1]: " + filepath.Join(dir, "bad") + ": line 1 is neither", "line 4: blocked_keys[2]: open ", "line 5: blocked_keys[3]: name a file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "blocked_keys[0]") {
		t.Errorf("a good list is not accepted:\n%v", err)
	}
}
