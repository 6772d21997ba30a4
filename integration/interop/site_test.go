package interop

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"vidimus/integration/peer"
)

// The zone of these tests, in which every name is at 127.0.0.1.
const zone = "uni.test"

// site is what one client is set before: a vidimusd of its own, and a BIND that has
// the zone and takes updates.
type site struct {
	*peer.Vidimusd
	named *peer.Named
	next  int // for names that nobody has used
}

// newSite starts both; with short, certificates live for six days.
func newSite(t testing.TB, short bool) *site {
	t.Helper()
	t = quiet{t}
	named := peer.StartNamed(t, zone)
	s := &site{Vidimusd: peer.StartVidimusd(t, "--resolver", named.Address), named: named}
	if short {
		s.Kill()
		config, err := os.ReadFile(s.Config)
		if err != nil {
			t.Fatal(err)
		}
		days := regexp.MustCompile(`(?m)^( +)(#? *)validity: .*$`)
		if !days.Match(config) {
			t.Fatalf("%s doesn't say how long certificates live", s.Config)
		}
		if err := os.WriteFile(s.Config, days.ReplaceAll(config, []byte("${1}validity: 6d")), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Start(t)
	}
	return s
}

// name makes a host name that nobody has used.
func (s *site) name() string {
	s.next++
	return fmt.Sprintf("host%d.%s", s.next, zone)
}

// webroot serves a folder where http-01 is validated, and returns the folder of the
// challenge files.
func (s *site) webroot(a *attempt) string {
	a.Helper()
	root := a.TempDir()
	challenges := filepath.Join(root, ".well-known/acme-challenge")
	if err := os.MkdirAll(challenges, 0o755); err != nil {
		a.Fatal(err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.HTTPPort))
	if err != nil {
		a.Fatal(err)
	}
	h := &http.Server{Handler: http.FileServer(http.Dir(root))}
	go h.Serve(l)
	a.Cleanup(func() { h.Close() })
	return challenges
}

// nsupdate writes a shell function "txt add|delete NAME VALUE" for hooks.
func (s *site) nsupdate(a *attempt, dir string) string {
	a.Helper()
	peer.Need(a, "nsupdate")
	host, port, err := net.SplitHostPort(s.named.Address)
	if err != nil {
		a.Fatal(err)
	}
	return a.file(filepath.Join(dir, "txt.sh"), 0o755, `
txt() {
	nsupdate <<END
server %s %s
key hmac-sha256:%s %s
update $1 _acme-challenge.$2 1 TXT "$3"
send
END
}
`, host, port, s.named.KeyName, s.named.KeyValue)
}

// trusting makes a command that takes the server's root for the only CA of the
// system, in a mount namespace: some clients read the system's file and no other.
func (s *site) trusting(a *attempt, program string, args ...string) *exec.Cmd {
	a.Helper()
	const system = "/etc/ssl/certs/ca-certificates.crt"
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", `mount --bind "$0" ` + system + ` && exec "$@"`,
		s.CABundle, peer.Need(a, program)}, args...)...)
}

// ca copies the server's root to where clients that give up root's rights can read it.
func (o *order) ca(a *attempt) string {
	a.Helper()
	root, err := os.ReadFile(o.site.CABundle)
	if err != nil {
		a.Fatal(err)
	}
	return a.file(filepath.Join(o.dir, "ca.pem"), 0o644, "%s", root)
}

// quiet keeps the servers' logs out of what the test prints; they are in the cells'
// log files.
type quiet struct{ testing.TB }

func (quiet) Failed() bool { return false }
