package server

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// check names what stands in the way besides mistakes, and its exit status is 0 then.
func TestCheckTellsWarningsAndNotes(t *testing.T) {
	v := peer.StartVidimusd(t)
	bin := peer.Build(t, "vidimusd")
	var all []struct{ Severity, Text string }
	out := peer.Must(t, exec.Command(bin, "check", "--json", "--config", v.Config))
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []struct{ severity, text string }{
		{"warning", "the root's key "},
		{"note", "something listens on "},
		{"note", "HTTPS: with a certificate from issuer main"},
	} {
		found := false
		for _, m := range all {
			found = found || m.Severity == want.severity && strings.Contains(m.Text, want.text)
		}
		if !found {
			t.Errorf("there is no %s %q in:\n%s", want.severity, want.text, out)
		}
	}
}
