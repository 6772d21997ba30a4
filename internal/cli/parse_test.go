package cli

import (
	"errors"
	"strings"
	"testing"

	"vidimus/internal/identifier"
	"vidimus/internal/settings"
)

func nothing(string) string { return "" }

func parsed(t *testing.T, line string) *command {
	t.Helper()
	cmd, err := parse(strings.Fields(line), nothing)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return cmd
}

func TestGrammar(t *testing.T) {
	for _, line := range []string{
		"certonly --standalone -d a.example.org,b.example.org -d c.example.org --http-01-port 8080",
		"--standalone -da.example.org --domain=b.example.org certonly --dom c.example.org --http-01-p=8080",
		"-d a.example.org,b.example.org,a.example.org auth -d C.example.org. -a standalone --http-01-port 8080",
	} {
		cmd := parsed(t, line)
		if cmd.verb.name != "certonly" || cmd.opts.Authenticator != "standalone" || cmd.opts.HTTP01Port != 8080 {
			t.Errorf("%s: %+v", line, cmd.opts.Settings)
		}
		if got := strings.Join(identifier.Values(cmd.opts.Domains), " "); got != "a.example.org b.example.org c.example.org" {
			t.Errorf("%s: %s", line, got)
		}
	}
}

func TestValuesMayLookLikeVerbsAndOptions(t *testing.T) {
	cmd, err := parse([]string{"certonly", "--cert-name", "renew", "--deploy-hook=--help", "--eab-hmac-key", "-dX8", "--eab-kid", "--nonesuch", "-d", "a.example.org"}, nothing)
	if err != nil || cmd.verb == nil || cmd.verb.name != "certonly" || cmd.opts.CertName != "renew" || cmd.opts.DeployHook != "--help" ||
		cmd.opts.eabKey != "-dX8" || cmd.opts.eabKID != "--nonesuch" {
		t.Errorf("%+v, %v", cmd, err)
	}
}

func TestWebrootsBelongToTheNamesBehindThem(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	cmd := parsed(t, "certonly --webroot -w "+a+" -d a.example.org -d b.example.org -w "+b+" -d c.example.org")
	for name, want := range map[string]string{"a.example.org": a, "b.example.org": a, "c.example.org": b} {
		if got := cmd.opts.WebrootOf(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	_, err := parse([]string{"certonly", "-d", "a.example.org", "-w", a, "-w", b}, nothing)
	if err == nil || !strings.Contains(err.Error(), "before all -d") {
		t.Error(err)
	}
}

// TestShortFormsOfCertbotStayShort keeps options that Certbot doesn't have from making
// what people type ambiguous.
func TestShortFormsOfCertbotStayShort(t *testing.T) {
	for short, long := range map[string]string{"eab-hmac-k": "eab-hmac-key", "auto": "auto-hsts", "autor": "autorenew", "eab-hmac-key-f": "eab-hmac-key-file",
		"dns-rfc2136-c": "dns-rfc2136-credentials", "stag": "staging", "no-auto": "no-autorenew", "webroot-p": "webroot-path", "paral": "parallel"} {
		if full, _, err := complete(short, newOptions().table()); err != nil || full != long {
			t.Errorf("--%s is %s, %v", short, full, err)
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, line := range []string{"nonsense", "certonly renew", "certonly -d", "certonly --standalone=yes", "--key-type=x renew", "certonly -Z", "certonly --cert-name --dry-run -d a.example.org", "certonly --server --dry", "renew --cert-name -n", "certonly -m --help"} {
		_, err := parse(strings.Fields(line), nothing)
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestOptionsOfAuthenticatorsAreKeptInCertbotsOrder(t *testing.T) {
	cmd := parsed(t, "certonly --dns-rfc2136 --dns-rfc2136-credentials /c.ini --manual-cleanup-hook true --dns-rfc2136-propagation-seconds 7 --manual-auth-hook true")
	if err := cmd.opts.settle(cmd.verb); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range cmd.opts.Plugin {
		got = append(got, p.Name+"="+p.Value)
	}
	if want := "manual_auth_hook=true manual_cleanup_hook=true dns_rfc2136_propagation_seconds=7 dns_rfc2136_credentials=/c.ini"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}

// TestEveryOptionIsUsable guards against two options of one name and against
// settings that are saved under another name than the one they are marked with.
func TestEveryOptionIsUsable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range newOptions().table() {
		for _, n := range append(strings.Fields(o.names), o.short) {
			if n != "" && seen[n] {
				t.Errorf("two options are called %s", n)
			}
			seen[n] = true
		}
		if o.group != hidden && o.usage == "" {
			t.Errorf("--%s has no help", o.name())
		}
	}
	if settings.Default().IsSet("account") {
		t.Error("something is set by default")
	}
}

func FuzzIni(f *testing.F) {
	f.Add("server = https://ca/\n# x\nquiet\nkey: 'v' ; c\n[s]\n")
	f.Add("domains = [a.example.org, b]\nemail a@b\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		o := newOptions()
		if err := o.readIni("cli.ini", []byte(text), o.table(), nil); err != nil && !strings.HasPrefix(err.Error(), "cli.ini:") {
			t.Errorf("an error without file and line: %v", err)
		}
	})
}
