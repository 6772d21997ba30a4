package dns

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// machine is a state directory for the program itself, a Pebble and zones on port 53.
type machine struct {
	t      *testing.T
	dir    string
	pebble *peer.Pebble
	zones  *peer.Zones
	env    []string
}

func newMachine(t *testing.T, o peer.ZoneOptions) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may have a server on port 53")
	}
	o.Names, o.Port = []string{"example.org"}, 53
	z := peer.StartZones(t, o)
	p := peer.StartPebbleWith(t, peer.PebbleOptions{Env: append(peer.Quick, "PEBBLE_AUTHZREUSE=0"), DNSServer: z.Primary})
	return &machine{t: t, dir: t.TempDir(), pebble: p, zones: z}
}

func (m *machine) vidimus(args ...string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command(peer.Build(m.t, "vidimus"), append(args, "-n", "--config-dir", m.dir+"/config", "--work-dir", m.dir+"/work", "--logs-dir", m.dir+"/logs")...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+m.pebble.CABundle, "VIDIMUS_DNS_RESOLVER="+m.zones.Primary, "HOME="+m.dir)
	cmd.Env = append(cmd.Env, m.env...)
	return cmd
}

func (m *machine) certonly(names string, more ...string) *exec.Cmd {
	return m.vidimus(append([]string{"certonly", "--server", m.pebble.Directory, "--agree-tos", "--register-unsafely-without-email", "-d", names}, more...)...)
}

func (m *machine) rfc2136() []string {
	return []string{"--dns-rfc2136", "--dns-rfc2136-credentials", m.zones.Credentials(m.t)}
}

const owner = "_acme-challenge.example.org"

func TestCertificateForAWildcardWhenTheSecondaryHasFollowed(t *testing.T) {
	m := newMachine(t, peer.ZoneOptions{})
	cmd := m.certonly("example.org,*.example.org", m.rfc2136()...)
	out := peer.Start(t, cmd)
	peer.Eventually(t, "the primary has both values", func() bool { return len(m.zones.TXT(t, m.zones.Primary, owner)) == 2 })
	if cmd.ProcessState != nil || strings.Contains(out.String(), "Successfully") {
		t.Fatal("it did not wait for the secondary")
	}
	m.zones.Follow(t, "example.org")
	peer.Eventually(t, "there is a certificate", func() bool {
		_, err := os.Stat(m.dir + "/config/live/example.org/fullchain.pem")
		return err == nil
	})
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := m.zones.TXT(t, m.zones.Primary, owner); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
	conf, err := os.ReadFile(m.dir + "/config/renewal/example.org.conf")
	if err != nil || !strings.Contains(string(conf), "authenticator = dns-rfc2136\n") || !strings.Contains(string(conf), "dns_rfc2136_credentials = ") {
		t.Errorf("the renewal file, %v:\n%s", err, conf)
	}
}

func TestTheErrorNamesTheSecondaryThatLags(t *testing.T) {
	m := newMachine(t, peer.ZoneOptions{})
	out, status := peer.Run(t, m.certonly("example.org", append(m.rfc2136(), "--dns-rfc2136-propagation-seconds", "1")...))
	host, _, _ := net.SplitHostPort(m.zones.Secondary)
	if want := "ns2.example.org (" + host + ") still has no TXT value after 1s"; status != 1 || !strings.Contains(out, want) {
		t.Errorf("exit status %d, want 1 and %q:\n%s", status, want, out)
	}
	if got := m.zones.TXT(t, m.zones.Primary, owner); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
}

func TestTheNextRunRemovesWhatAKilledOneLeft(t *testing.T) {
	m := newMachine(t, peer.ZoneOptions{})
	cmd := m.certonly("example.org", m.rfc2136()...)
	peer.Start(t, cmd)
	peer.Eventually(t, "the value is there", func() bool { return len(m.zones.TXT(t, m.zones.Primary, owner)) == 1 })
	cmd.Process.Kill()
	cmd.Wait()
	peer.Must(t, m.vidimus("renew", "--no-random-sleep-on-renew"))
	if got := m.zones.TXT(t, m.zones.Primary, owner); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
	if got, _ := filepath.Glob(filepath.Join(m.dir, "work", "vidimus-dns", "*")); len(got) != 0 {
		t.Errorf("notes are left: %v", got)
	}
}

// TestManyLineagesShareOneProgram renews by the program of docs/dns.md, many orders at
// once.
func TestManyLineagesShareOneProgram(t *testing.T) {
	peer.Need(t, "jq")
	peer.Need(t, "nsupdate")
	m := newMachine(t, peer.ZoneOptions{Alone: true})
	host, port, _ := net.SplitHostPort(m.zones.Updates)
	bin := t.TempDir()
	for name, text := range map[string]string{
		"vidimus-dns-test": strings.Replace(documented(t), "read -r hello\n", "read -r hello\necho started >>"+bin+"/starts\n", 1),
		"credentials":      fmt.Sprintf("SERVER=%s %s\nKEY='%s:%s %s'\n", host, port, m.zones.Algorithm, m.zones.KeyName, m.zones.Secret),
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("host%d.example.org", i)
		names = append(names, name)
		peer.Must(t, m.certonly(name, "--dns", "test", "--dns-credentials", bin+"/credentials"))
	}
	os.Remove(bin + "/starts")
	peer.Must(t, m.vidimus("renew", "--force-renewal", "--no-random-sleep-on-renew"))
	if starts, _ := os.ReadFile(bin + "/starts"); string(starts) != "started\n" {
		t.Errorf("the program was started %d times in one run, want once", strings.Count(string(starts), "\n"))
	}
	for _, n := range names {
		versions, _ := filepath.Glob(m.dir + "/config/archive/" + n + "/cert*.pem")
		if got := m.zones.TXT(t, m.zones.Primary, "_acme-challenge."+n); len(got) != 0 || len(versions) != 2 {
			t.Errorf("%s: left over %q, %d versions", n, got, len(versions))
		}
	}
}
