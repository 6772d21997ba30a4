package settings

import (
	"strings"
	"testing"

	"vidimus/internal/configobj"
)

const conf = `version = 2.1.0
[renewalparams]
account = abc
pref_challs = http-01,
http01_port = 8080
reuse_key = True
renew_hook = systemctl reload nginx
server = https://ca.example.org/dir
authenticator = webroot
config_dir = /somewhere/else
from_the_future = yes
webroot_path = /srv/a, /srv/b
[[webroot_map]]
a.example.org = /srv/a
`

func parse(t *testing.T, text string) *configobj.File {
	t.Helper()
	f, err := configobj.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRestoreAndSaveChangeNothing(t *testing.T) {
	f := parse(t, conf)
	s := Default()
	if err := s.Restore(f.Section.Section(Section)); err != nil {
		t.Fatal(err)
	}
	if s.Account != "abc" || s.HTTP01Port != 8080 || !s.ReuseKey || s.Server != "https://ca.example.org/dir" ||
		s.WebrootOf("a.example.org") != "/srv/a" || s.WebrootOf("x.example.org") != "/srv/b" || s.KeyType != "rsa" {
		t.Errorf("restored %+v", s)
	}
	if s.ConfigDir != DefaultConfigDir {
		t.Error("a lineage moves the directory it was found in")
	}
	if err := s.Save(f, false); err != nil {
		t.Fatal(err)
	}
	// The one thing that an old file did not say:
	want := strings.Replace(conf, "[[webroot", "key_type = rsa\n[[webroot", 1)
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestThePersonWinsOverTheFile(t *testing.T) {
	f := parse(t, conf)
	s := Default()
	s.Server, s.HTTP01Port, s.Authenticator = "https://other.example.org/", 80, "standalone"
	for _, name := range []string{"server", "http01_port", "authenticator"} {
		s.MarkSet(name)
	}
	if err := s.Restore(f.Section.Section(Section)); err != nil {
		t.Fatal(err)
	}
	if s.Server != "https://other.example.org/" || s.HTTP01Port != 80 || s.Authenticator != "standalone" {
		t.Errorf("%+v", s)
	}
	if s.Account != "" {
		t.Error("the account of another server is used")
	}
}

func TestPruneDropsOldSettingsButNotStrangers(t *testing.T) {
	f := parse(t, conf)
	s := Default()
	s.Authenticator = "standalone"
	s.MarkSet("authenticator")
	if err := s.Save(f, true); err != nil {
		t.Fatal(err)
	}
	got := string(f.Bytes())
	for word, want := range map[string]bool{"webroot": false, "reuse_key": false, "renew_hook": false, "from_the_future = yes": true, "authenticator = standalone": true} {
		if strings.Contains(got, word) != want {
			t.Errorf("%q is there: %v\n%s", word, !want, got)
		}
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	for bad, want := range map[string]string{"http01_port = many": "http01_port", "reuse_key = maybe": "reuse_key", "server = a, b": "server"} {
		f := parse(t, "[renewalparams]\nauthenticator = standalone\n"+bad+"\n")
		if err := Default().Restore(f.Section.Section(Section)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := Default().Restore(nil); err == nil {
		t.Error("no error without a section")
	}
}

// TestOptionsOfAuthenticators go with the authenticator that they belong to.
func TestOptionsOfAuthenticators(t *testing.T) {
	const conf = `[renewalparams]
server = https://ca.example.org/dir
authenticator = dns-rfc2136
key_type = ecdsa
dns_rfc2136_credentials = /etc/rfc2136.ini
dns_rfc2136_propagation_seconds = None
dns_cloudflare_credentials = /etc/cloudflare.ini
`
	f := parse(t, conf)
	s := Default()
	s.SetPluginOption("dns_rfc2136_propagation_seconds", "7")
	s.MarkSet("dns_rfc2136_propagation_seconds")
	if err := s.Restore(f.Section.Section(Section)); err != nil {
		t.Fatal(err)
	}
	if s.PluginOption("dns_rfc2136_credentials") != "/etc/rfc2136.ini" || s.PluginOption("dns_rfc2136_propagation_seconds") != "7" || s.PluginOption("dns_cloudflare_credentials") != "" {
		t.Errorf("%+v", s.Plugin)
	}
	if err := s.Save(f, false); err != nil {
		t.Fatal(err)
	}
	if got, want := string(f.Bytes()), strings.Replace(conf, "seconds = None", "seconds = 7", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.Authenticator = "manual"
	s.MarkSet("authenticator")
	s.SetPluginOption("manual_auth_hook", "true")
	if err := s.Save(f, true); err != nil {
		t.Fatal(err)
	}
	if got := string(f.Bytes()); strings.Contains(got, "dns_") || !strings.Contains(got, "manual_auth_hook = true\n") {
		t.Error(got)
	}
}

func TestTestCertificateReplacesNoTrustedOne(t *testing.T) {
	for _, c := range []struct {
		server, old     string
		dry, breaks, ok bool
	}{
		{DefaultServer, DefaultServer, false, false, true},
		{StagingServer, DefaultServer, false, false, false},
		{StagingServer, DefaultServer, true, false, true},
		{StagingServer, DefaultServer, false, true, true},
		{StagingServer, StagingServer, false, false, true},
	} {
		s := Default()
		s.Server, s.DryRun, s.BreakMyCerts = c.server, c.dry, c.breaks
		if err := s.CheckReplace([]string{"a.example.org"}, c.old); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
