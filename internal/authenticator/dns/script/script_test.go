package script

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vidimus/internal/authenticator/dns/provider"
)

func TestRunsTheProgramWithoutAShell(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hook")
	text := "#!/bin/sh\nfor a; do printf '[%s]' \"$a\"; done >>" + dir + "/calls\necho >>" + dir + "/calls\n" +
		"[ \"$3\" != bad ] || { echo first; echo 'no such zone' >&2; exit 4; }\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	p := &Program{Path: path, Turn: new(sync.Mutex)}
	raw := &Program{Path: path, Raw: true, Turn: p.Turn}
	ctx := context.Background()
	r := provider.Record{Name: "_acme-challenge.example.org", Value: "$(touch " + dir + "/hacked);'", Domain: "example.org", KeyAuthorization: "tok.thumb"}
	for _, err := range []error{p.Add(ctx, r), p.Remove(ctx, r), raw.Add(ctx, r)} {
		if err != nil {
			t.Error(err)
		}
	}
	calls, _ := os.ReadFile(dir + "/calls")
	want := "[present][_acme-challenge.example.org.][" + r.Value + "]\n[cleanup][_acme-challenge.example.org.][" + r.Value + "]\n" +
		"[present][--][example.org][tok][tok.thumb]\n"
	if string(calls) != want {
		t.Errorf("calls:\n%s\nwant:\n%s", calls, want)
	}
	if _, err := os.Stat(dir + "/hacked"); err == nil {
		t.Error("a shell has read the value")
	}
	err := p.Add(ctx, provider.Record{Name: "x", Value: "bad"})
	if err == nil || !strings.HasSuffix(err.Error(), "present failed (exit status 4): no such zone") {
		t.Errorf("error %v", err)
	}
}
