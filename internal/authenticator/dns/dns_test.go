package dns

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

// try calls New with options and an empty environment.
func try(plugin string, options map[string]string) error {
	_, err := New(Config{Plugin: plugin, Option: func(n string) string { return options[n] }, Getenv: func(string) string { return "" }, Resolver: "127.0.0.1:9"})
	return err
}

func TestNewSaysWhatIsWrongBeforeAnyOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	const good = "dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_name = key\ndns_rfc2136_secret = c2VjcmV0\n"
	for _, c := range []struct{ plugin, text, want string }{
		{"dns-rfc2136", good, ""},
		{"dns-rfc2136", good + "dns_rfc2136_algorithm = hmac-sha512\ndns_rfc2136_sign_query = True\ndns_rfc2136_port = 5353\n", ""},
		{"dns-rfc2136", "", "lacks dns_rfc2136_server (address of the DNS server); such a file looks like this:\n    dns_rfc2136_server = 192.0.2.1\n"},
		{"dns-rfc2136", good + "dns_rfc2136_algorithm = rot13\n", `the TSIG algorithm "rot13" is not known`},
		{"dns-rfc2136", good + "dns_rfc2136_sign_query = perhaps\n", "say true or false"},
		{"dns-rfc2136", good + "dns_rfc2136_port = 70000\n", "is not a number from 1 to 65535"},
		{"dns-rfc2136", strings.Replace(good, "192.0.2.1", "ns.example.org", 1), "give its address, not its name"},
		{"dns-rfc2136", strings.Replace(good, "c2VjcmV0", "topsecret!", 1), "the TSIG secret is not base64"},
		{"dns-cloudflare", "dns_cloudflare_api_token = t\n", ""},
		{"dns-cloudflare", "dns_cloudflare_email = a@example.org\ndns_cloudflare_api_key = k\n", ""},
		{"dns-cloudflare", "dns_cloudflare_email = a@example.org\n", "must have dns_cloudflare_api_token (recommended)"},
		{"dns-cloudflare", "dns_cloudflare_api_token = topsecret!\ndns_cloudflare_api_key = k\n", "keep the token only"},
		{"dns-ovh", "dns_ovh_endpoint = ovh-eu\n", "lacks dns_ovh_application_key"},
		{"dns-linode", "dns_linode_key = topsecret!\n", "neither vidimus-dns-linode nor vidimus-dns-lego is on the PATH"},
		{"dns-google", "dns_google_key = topsecret!\n", "is not one of Google's"},
		{"dns-google", `{"type":"external_account"}`, "give --dns-google-project ID"},
		{"dns-google", `{"type":"service_account"}`, "neither vidimus-dns-gcloud nor"},
		{"dns-nothing", "", "no DNS plugin called dns-nothing"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := try(c.plugin, map[string]string{dest(c.plugin, "credentials"): file})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s with %q: %v", c.plugin, c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s with %q: error %v, want %q", c.plugin, c.text, err, c.want)
		case err != nil && strings.Contains(err.Error(), "topsecret"):
			t.Errorf("%s: the error has a secret: %v", c.plugin, err)
		}
	}
	for option, want := range map[string]string{
		"":                                "give --dns-rfc2136-credentials FILE",
		"dns_rfc2136_propagation_seconds": "is no number of seconds",
	} {
		if err := try("dns-rfc2136", map[string]string{option: "soon"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestGenericProvidersTakeLegosSettings(t *testing.T) {
	dir := t.TempDir()
	accounts := filepath.Join(dir, "accounts.json")
	if err := os.WriteFile(accounts, []byte(`{"example.org":{"fulldomain":"x.auth.example.net","subdomain":"x","username":"u","password":"p"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ provider, text, want string }{
		{"cloudflare", "CF_DNS_API_TOKEN=x", ""},
		{"cloudflare", "CF_API_EMAIL=x", "needs CF_DNS_API_TOKEN"},
		{"rfc2136", "RFC2136_NAMESERVER=[2001:db8::1]:53\nRFC2136_TSIG_KEY=k\nRFC2136_TSIG_SECRET=c2VjcmV0\nRFC2136_TSIG_ALGORITHM=hmac-sha256.", ""},
		{"rfc2136", "RFC2136_NAMESERVER=2001:db8::1", ""},
		{"rfc2136", "RFC2136_NAMESERVER=192.0.2.1:domain", "is not a number"},
		{"rfc2136", "", "needs RFC2136_NAMESERVER"},
		{"acme-dns", "ACME_DNS_API_BASE=https://auth.example.net\nACME_DNS_STORAGE_PATH=" + accounts, ""},
		{"acme-dns", "ACME_DNS_API_BASE=auth.example.net\nACME_DNS_STORAGE_PATH=" + accounts, "is not a URL"},
		{"acme-dns", "", "needs ACME_DNS_STORAGE_PATH"},
		{"exec", "EXEC_PATH=/bin/true", ""},
		{"exec", "EXEC_PATH=" + accounts, "run chmod +x on it"},
		{"exec", "", "needs EXEC_PATH"},
		{"desec", "DESEC_TOKEN=x", "neither vidimus-dns-desec nor"},
		{"../desec", "", "no name that a provider can have"},
		{"", "", "as in --dns desec"},
	} {
		file := filepath.Join(dir, "credentials")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := try(Generic, map[string]string{"dns_provider": c.provider, "dns_credentials": file})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %q: error %v, want %q", c.provider, c.text, err, c.want)
		}
	}
}

func TestPluginsAreCertbots(t *testing.T) {
	var names []string
	for _, p := range Plugins() {
		names = append(names, p.Name)
		for _, o := range p.Options {
			if o.Usage == "" || o.Name == "" {
				t.Errorf("%s: an option without name or usage", p.Name)
			}
		}
	}
	want := "dns-cloudflare dns-digitalocean dns-dnsimple dns-dnsmadeeasy dns-gehirn dns-google dns-linode dns-luadns dns-nsone dns-ovh dns-rfc2136 dns-route53 dns-sakuracloud dns"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOwners(t *testing.T) {
	c := authenticator.Challenge{Identifier: identifier.Identifier{Type: identifier.DNS, Value: "example.org"}, Account: "https://example.com/acme/acct/ExampleAccount"}
	for kind, want := range map[string]string{
		"dns-01": "_acme-challenge.example.org",
		// The example of the draft, §3.2.
		"dns-account-01": "_ujmmovf2vn55tgye._acme-challenge.example.org",
		"dns-persist-01": "_validation-persist.example.org",
	} {
		c.Type = kind
		if got, err := ownerOf(c); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", kind, got, err, want)
		}
	}
	c.Type = "http-01"
	if _, err := ownerOf(c); err == nil {
		t.Error("http-01 has an owner")
	}
}

var now = time.Unix(2_000_000_000, 0)

func persist(wildcard bool) authenticator.Challenge {
	return authenticator.Challenge{Type: dnsPe, AccountURIs: []string{"https://ca.example/acct/1", "https://ca.example/any"}, Issuers: []string{"ca.example", "other.example"}, Wildcard: wildcard}
}

func TestPermits(t *testing.T) {
	for value, want := range map[string][2]bool{ // for the name alone, for its wildcard
		"ca.example; accounturi=https://ca.example/acct/1":                                           {true, false},
		"ca.example; accounturi=https://ca.example/any":                                              {true, false},
		"other.example ;\tAccountURI=https://ca.example/acct/1 ; POLICY=Wildcard":                    {true, true},
		"ca.example; accounturi=https://ca.example/acct/1; policy=else":                              {true, false},
		"ca.example; accounturi=https://ca.example/acct/1; policy=wildcard; persistUntil=2000000001": {true, true},
		"ca.example; accounturi=https://ca.example/acct/1; persistUntil=1999999999":                  {},
		"ca.example; accounturi=https://ca.example/acct/1; persistUntil=soon":                        {},
		"ca.example; accounturi=https://ca.example/acct/2":                                           {},
		"third.example; accounturi=https://ca.example/acct/1":                                        {},
		"ca.example; accounturi=https://ca.example/acct/1; accounturi=https://ca.example/acct/1":     {},
		"ca.example; accounturi=https://ca.example/acct/1;":                                          {},
		"ca.example": {},
		"":           {},
	} {
		got := [2]bool{permits(value, persist(false), now), permits(value, persist(true), now)}
		if got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	for _, wildcard := range []bool{false, true} {
		if value, err := persistent(persist(wildcard)); err != nil || !permits(value, persist(wildcard), now) {
			t.Errorf("what is made, %q, does not permit: %v", value, err)
		}
	}
}

func FuzzPermits(f *testing.F) {
	f.Add("ca.example; accounturi=https://ca.example/acct/1; persistUntil=2000000001")
	f.Fuzz(func(t *testing.T, value string) {
		if permits(value, persist(true), now) && !permits(value, persist(false), now) {
			t.Errorf("%q is for the wildcard and not for the name", value)
		}
		if permits(value, persist(false), now) && !strings.Contains(value, "https://ca.example/acct/1") && !strings.Contains(value, "https://ca.example/any") {
			t.Errorf("%q does not name the account", value)
		}
	})
}

func TestLocksLetOneAtATimeIn(t *testing.T) {
	var l locks
	var wg sync.WaitGroup
	inside := map[string]int{} // the race detector sees who is not alone
	for i := range 50 {
		wg.Go(func() {
			names := []string{"a", "b", "a"}
			if i%2 == 0 {
				names = []string{"b", "a"}
			}
			unlock, err := l.lock(context.Background(), names)
			if err != nil {
				t.Error(err)
				return
			}
			inside["a"]++
			unlock()
		})
	}
	wg.Wait()
	if inside["a"] != 50 {
		t.Errorf("%d were inside", inside["a"])
	}
	unlock, _ := l.lock(context.Background(), []string{"b"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.lock(ctx, []string{"a", "b"}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a lock that is held: %v", err)
	}
	unlock()
	if unlock, err := l.lock(context.Background(), []string{"a", "b"}); err != nil {
		t.Error(err)
	} else {
		unlock()
	}
	if len(l.held) != 0 {
		t.Errorf("still held: %v", l.held)
	}
}

func TestRecoverKeepsANoteThatItCannotSettle(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	record := `"plugin":"dns-rfc2136","options":{"dns_rfc2136_credentials":"/nowhere/x.ini"},"resolver":"127.0.0.1:9","records":[{"name":"_acme-challenge.example.org","value":"V"}]}`
	young := write("a"+suffix, `{"created":"`+time.Now().UTC().Format(time.RFC3339)+`",`+record)
	old := write("b"+suffix, `{"created":"2001-01-01T00:00:00Z",`+record)
	broken := write("c"+suffix, `{`)
	write(".d.tmp", "half")
	var log bytes.Buffer
	err := Recover(context.Background(), dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`_acme-challenge.example.org TXT "V"`, "/nowhere/x.ini does not exist", "remove it by hand, it is not tried again", broken + " cannot be read"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	for path, stays := range map[string]bool{young: true, old: false, broken: true} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s is there: %v", path, err == nil)
		}
	}
}

func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"plugin":"dns-rfc2136","options":{"a":"b"},"records":[{"name":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x"+suffix)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := readNote(path); err == nil && n.path != path {
			t.Error("a note without its path")
		}
	})
}
