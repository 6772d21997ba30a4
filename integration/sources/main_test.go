// Package sources has vidimusd read hosts from real directories and databases.
package sources

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/hostsource"
	"vidimus/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// site is a vidimusd with its configuration.
type site struct {
	testing.TB
	bin, dir, config string
	begin            string // of the configuration, before the sources
}

func newSite(t testing.TB, database string) *site {
	t.Helper()
	s := &site{TB: t, bin: peer.Build(t, "vidimusd"), dir: t.TempDir()}
	s.config = filepath.Join(s.dir, "vidimusd.yaml")
	args := []string{"init", "--dir", s.dir, "--url", fmt.Sprintf("https://localhost:%d", peer.FreePort(t)), "--listen-http", fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t))}
	if database != "" {
		args = append(args, "--database", database)
	}
	peer.Must(t, exec.Command(s.bin, args...))
	data, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	s.begin = string(data)
	return s
}

// sources configures these.
func (s *site) sources(text string) {
	s.Helper()
	s.write("vidimusd.yaml", s.begin+"\nsources:\n"+text)
	peer.Must(s, exec.Command(s.bin, "check", "--config", s.config))
}

func (s *site) write(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// run runs "vidimusd admin", which ends with a status, and decodes what it prints.
func (s *site) run(status int, out any, args ...string) (errors string, cmd *exec.Cmd) {
	s.Helper()
	cmd = exec.Command(s.bin, append([]string{"admin", "--json", "--config", s.config}, args...)...)
	var text, wrong strings.Builder
	cmd.Stdout, cmd.Stderr = &text, &wrong
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		s.Fatalf("vidimusd admin %v: %v, want exit status %d\n%s%s", args, err, status, text.String(), wrong.String())
	}
	if out != nil {
		if err := json.Unmarshal([]byte(text.String()), out); err != nil {
			s.Fatalf("vidimusd admin %v: %v\n%s", args, err, text.String())
		}
	}
	return wrong.String(), cmd
}

// sync reads a source, and returns what came of it.
func (s *site) sync(name string) hostsource.Report {
	s.Helper()
	var all []hostsource.Report
	s.run(0, &all, "source", "sync", name)
	return all[0]
}

// wantHost compares who is responsible for a host, people before groups.
func (s *site) wantHost(fqdn string, names ...string) map[string]string {
	s.Helper()
	var h struct {
		People, Groups []string
		Details        map[string]string
	}
	s.run(0, &h, "host", "show", fqdn)
	if got := append(h.People, h.Groups...); !slices.Equal(got, names) {
		s.Errorf("responsible for %s: %q, want %q", fqdn, got, names)
	}
	return h.Details
}

func (s *site) wantNoHost(fqdn string) {
	s.Helper()
	s.run(1, nil, "host", "show", fqdn)
}
