package sources

import (
	"os/exec"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

func TestTheServerReadsSources(t *testing.T) {
	s := newSite(t, "")
	s.write("hosts.csv", "fqdn,people\nwww.example.org,ada\n")
	s.sources("  - name: list\n    csv: {hosts: hosts.csv}\n")
	log := peer.Start(t, exec.Command(s.bin, "serve", "--config", s.config))
	peer.Eventually(t, "the server has read the source", func() bool { return strings.Contains(log.String(), "read a source of hosts") })
	s.wantHost("www.example.org", "ada")
}
