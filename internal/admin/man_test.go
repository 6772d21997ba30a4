package admin

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vidimus/internal/roff"
)

// TestManualPageIsCurrent compares the page in docs with what the commands are now.
func TestManualPageIsCurrent(t *testing.T) {
	var page bytes.Buffer
	if status := Main([]string{"man"}, "test", &page, os.Stderr); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	const file = "../../docs/vidimusd.8"
	if stored, err := os.ReadFile(file); err != nil || !bytes.Equal(stored, page.Bytes()) {
		t.Errorf("docs/vidimusd.8 is old (%v): run go run ./cmd/vidimusd man >docs/vidimusd.8", err)
	}
	for i, line := range strings.Split(page.String(), "\n") {
		if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !strings.Contains(".TH .SH .SS .TP .B .PP .nf .fi", strings.Fields(line)[0]) {
			t.Errorf("line %d is taken for a request: %s", i+1, line)
		}
	}
}

// TestEveryCommandIsInTheManualAndHelpful so that nothing is left out, and no option is
// shown with the type of its value in place of a word for it.
func TestEveryCommandIsInTheManualAndHelpful(t *testing.T) {
	root := command("test")
	var page strings.Builder
	if err := manPage(&page, root); err != nil {
		t.Fatal(err)
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "completion" {
			return
		}
		if c.Short == "" {
			t.Errorf("%s says nothing of what it is for", c.CommandPath())
		}
		if c.Runnable() && !c.HasSubCommands() && !strings.Contains(page.String(), ".SS "+roff.Escape(c.CommandPath())) {
			t.Errorf("%s is missing in the manual", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			switch arg, _ := pflag.UnquoteUsage(f); arg {
			case "string", "strings", "int", "duration", "stringArray":
				t.Errorf("%s --%s: write its value as `WORD` in the usage", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(root)
}

// TestMisuseSaysWhereHelpIs also for what cobra finds by itself.
func TestMisuseSaysWhereHelpIs(t *testing.T) {
	for _, x := range []struct{ args, text string }{
		{"frob", `unknown command "frob" for "vidimusd"; see: vidimusd --help`},
		{"admin frob", `unknown command "frob"; see: vidimusd admin --help`},
		{"init", `required flag(s) "url" not set; see: vidimusd init --help`},
		{"ca root --out x", `required flag(s) "name" not set; see: vidimusd ca root --help`},
		{"serve --frob", `unknown flag: --frob; see: vidimusd serve --help`},
		{"conformance https://127.0.0.1:1/ --only nothing-like-it", `no case matches --only "nothing-like-it"; they are listed by: vidimusd conformance --list`},
		{"serve now", `serve takes no arguments; see: vidimusd serve --help`},
	} {
		var out, errs strings.Builder
		if status := Main(strings.Fields(x.args), "test", &out, &errs); status != 2 || errs.String() != "vidimusd: "+x.text+"\n" {
			t.Errorf("%s: exit status %d, %q, want %q", x.args, status, errs.String(), x.text)
		}
	}
}
