package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"vidimus/internal/roff"
)

// TestManualPageIsCurrent compares the page in docs with what the options are now.
func TestManualPageIsCurrent(t *testing.T) {
	var page bytes.Buffer
	if err := manPage(&page, "vidimus"); err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/vidimus.8"
	if stored, err := os.ReadFile(file); err != nil || !bytes.Equal(stored, page.Bytes()) {
		t.Errorf("docs/vidimus.8 is old (%v): run go run ./cmd/vidimus man >docs/vidimus.8", err)
	}
	for i, line := range strings.Split(page.String(), "\n") {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(".TH .SH .SS .TP .B .I .br", strings.Fields(line)[0]) {
			t.Errorf("line %d is taken for a request: %s", i+1, line)
		}
	}
}

// TestEveryOptionIsInTheManualAndInCompletion so that nothing is left out of either.
func TestEveryOptionIsInTheManualAndInCompletion(t *testing.T) {
	var page, bash, zsh, fish bytes.Buffer
	for w, write := range map[*bytes.Buffer]func() error{
		&page: func() error { return manPage(&page, "vidimus") }, &bash: func() error { return completeBash(&bash, "vidimus") },
		&zsh: func() error { return completeZsh(&zsh, "vidimus") }, &fish: func() error { return completeFish(&fish, "vidimus") },
	} {
		if err := write(); err != nil || w.Len() == 0 {
			t.Fatal(err)
		}
	}
	_, table := shown()
	for _, o := range table {
		for text, form := range map[*bytes.Buffer]string{&page: roff.Escape("--" + o.name()), &bash: " --" + o.name() + " ", &zsh: "'*--" + o.name(), &fish: " -l " + o.name()} {
			if !strings.Contains(text.String(), form) && !strings.Contains(text.String(), strings.TrimPrefix(form, " ")) {
				t.Errorf("%q is missing", form)
			}
		}
	}
}
