package differential

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// TestVidimusKeepsWhatCertbotDrops is about lines of a renewal file that Certbot
// drops or moves when it renews: options of programs that it doesn't know, and
// comments.
func TestVidimusKeepsWhatCertbotDrops(t *testing.T) {
	p := peer.StartPebble(t, peer.Quick...)
	home := t.TempDir()
	config := filepath.Join(home, "config")
	vidimus := func(args ...string) {
		t.Helper()
		cmd := exec.Command(peer.Build(t, "vidimus"), append(args, "--config-dir", config, "--work-dir", home, "--logs-dir", home, "-n")...)
		cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+p.CABundle, "HOME="+home, "XDG_CONFIG_HOME="+home)
		peer.Must(t, cmd)
	}
	vidimus("register", "--server", p.Directory, "--agree-tos", "-m", "admin@example.org", "--no-eff-email")
	peer.WriteLineages(t, config, p.Directory, p.HTTPPort, "a.example.org")
	conf := filepath.Join(config, "renewal", "a.example.org.conf")
	data, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	const own, param = "# of the admin\nours = 1  # beside\n", "# in the section\ndns_elsewhere_credentials = /etc/x.ini\nlist = one, \"two, three\",\n"
	text := own + strings.Replace(string(data), "[renewalparams]\n", "[renewalparams]\n"+param, 1)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	vidimus("renew", "--force-renewal", "--no-random-sleep-on-renew")
	data, err = os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{own, param} {
		if !strings.Contains(string(data), want) {
			t.Errorf("after a renewal\n%s\nis missing in\n%s", want, data)
		}
	}
	if v, err := peer.Whole(config, "a.example.org"); err != nil || v != 2 {
		t.Errorf("version %d (%v)", v, err)
	}
}
