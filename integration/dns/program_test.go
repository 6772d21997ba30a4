package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vidimus/integration/peer"
	"vidimus/internal/authenticator/dns"
	"vidimus/internal/authenticator/dns/external"
	"vidimus/internal/authenticator/dns/provider"
)

// program writes a program for the provider "test" and returns the configuration that
// uses it, with lines for its credentials file.
func program(t *testing.T, z *peer.Zones, text, credentials string) dns.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "credentials")
	write := func(path, text string, mode os.FileMode) {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "vidimus-dns-test"), text, 0o755)
	write(file, credentials, 0o600)
	options := map[string]string{"dns_provider": "test", "dns_credentials": file}
	c := dns.Config{Plugin: dns.Generic, Option: func(n string) string { return options[n] },
		Getenv: func(n string) string {
			if n == "PATH" {
				return dir
			}
			return os.Getenv(n)
		}}
	if z != nil {
		c.Resolver, c.AuthorityPort = z.Primary, z.Port
	} else {
		c.Resolver = "127.0.0.1:9"
	}
	return c
}

// documented is the program in docs/dns.md.
func documented(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(peer.Root(t), "docs", "dns.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "```sh\n")
	text, _, ok := strings.Cut(text, "```")
	if !ok {
		t.Fatal("docs/dns.md has no program")
	}
	return text
}

func TestTheDocumentedProgramServesManyOrders(t *testing.T) {
	peer.Need(t, "jq")
	peer.Need(t, "nsupdate")
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	host, port, _ := net.SplitHostPort(z.Updates)
	counting := strings.Replace(documented(t), "read -r hello\n", "read -r hello\necho started >>\"$0.starts\"\n", 1)
	c := program(t, z, counting, fmt.Sprintf("SERVER=%s %s\nKEY='%s:%s %s'\n", host, port, z.Algorithm, z.KeyName, z.Secret))
	c.Session = dns.NewSession()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			a := newAuthenticator(t, c)
			key, name := fmt.Sprint("order ", i), "www.example.org"
			if i%2 == 0 {
				name = fmt.Sprintf("host%d.example.org", i)
			}
			if err := <-present(a, challenge(name, key)); err != nil {
				t.Error(err)
			} else if got := z.TXT(t, z.Primary, "_acme-challenge."+name); !slices.Equal(got, []string{value(key)}) {
				t.Errorf("%s: there is %q", name, got)
			}
			a.Cleanup(ctx)
		})
	}
	wg.Wait()
	c.Session.Close()
	if got := z.TXT(t, z.Primary, "_acme-challenge.www.example.org"); len(got) != 0 {
		t.Errorf("left over: %q", got)
	}
	starts, _ := os.ReadFile(filepath.Join(c.Getenv("PATH"), "vidimus-dns-test.starts"))
	if string(starts) != "started\n" {
		t.Errorf("the program was started %d times, want once", strings.Count(string(starts), "\n"))
	}
}

func TestStartsAProgramAgainThatHasEnded(t *testing.T) {
	peer.Need(t, "jq")
	peer.Need(t, "nsupdate")
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	host, port, _ := net.SplitHostPort(z.Updates)
	// It serves one request only.
	once := strings.Replace(documented(t), "\ndone\n", "\nbreak\ndone\n", 1)
	c := program(t, z, once, fmt.Sprintf("SERVER=%s %s\nKEY='%s:%s %s'\n", host, port, z.Algorithm, z.KeyName, z.Secret))
	a := newAuthenticator(t, c)
	for range 2 { // as when names are left out and the rest is ordered again
		if err := <-present(a, challenge("example.org", "one")); err != nil {
			t.Fatal(err)
		}
		if err := a.Cleanup(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestSaysWhatIsWrongWithAProgram(t *testing.T) {
	const secret = "TOKEN=very-secret-token\n"
	for name, c := range map[string]struct{ program, want string }{
		"refuses":       {"read x; echo '{\"error\":\"set TOKEN to a token of the account\"}'", "vidimus-dns-test (DNS provider test): set TOKEN to a token of the account"},
		"ends":          {"echo 'no network' >&2; echo 'giving up on very-secret-token' >&2; exit 3", "ended without an answer (exit status 3); the last it said was: giving up on ***"},
		"babbles":       {"read x; echo hello; sleep 100", "not a message of the protocol"},
		"endless line":  {"read x; tr '\\0' x </dev/zero", "a line of more than"},
		"unclear":       {"read x; echo '{}'; sleep 100", "neither that it is done nor what is wrong"},
		"no executable": {"\x00", "cannot be run"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dns.New(program(t, nil, "#!/bin/sh\n"+c.program+"\n", secret))
			if name == "no executable" {
				_, err = dns.New(program(t, nil, c.program, secret))
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "very-secret") {
				t.Errorf("the error has the secret: %v", err)
			}
		})
	}
}

func TestKillsAProgramThatHangsWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vidimus-dns-test")
	script := "#!/bin/sh\nread x; echo '{\"ok\":true}'\nsleep 1000 & echo $! >" + filepath.Join(dir, "child") + "\nread x\nwait\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := external.Start(ctx, external.Spec{Path: path, Provider: "test", Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Add(ctx, provider.Record{Name: "example.org", Value: "x"})
	if err == nil || !strings.Contains(err.Error(), "did not answer within 1s") {
		t.Errorf("error %v, want one about the time", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(data))
	peer.Eventually(t, "the program's child is killed", func() bool { return !alive(pid) })
	peer.Eventually(t, "the program has ended", p.Ended)
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAProgramDiesWithVidimus(t *testing.T) {
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	// It ignores the end of its input.
	c := program(t, nil, "#!/bin/sh\nread x; echo '{\"ok\":true}'; echo $$ >"+pidFile+"\nwhile :; do sleep 0.05; done\n", "")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "VIDIMUS_TEST_PROGRAM="+c.Getenv("PATH"))
	peer.Start(t, cmd)
	var pid string
	peer.Eventually(t, "the program runs", func() bool {
		data, _ := os.ReadFile(pidFile)
		pid = strings.TrimSpace(string(data))
		return pid != ""
	})
	if _, err := strconv.Atoi(pid); err != nil || !alive(pid) {
		t.Fatalf("the program %q does not run", pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	peer.Eventually(t, "the program is dead", func() bool { return !alive(pid) })
}

// startAndHang is what the test above kills.
func startAndHang() {
	path := filepath.Join(os.Getenv("VIDIMUS_TEST_PROGRAM"), "vidimus-dns-test")
	_, err := external.Start(context.Background(), external.Spec{Path: path, Provider: "test"})
	fmt.Println("started", err)
	select {}
}

// lego builds vidimus-dns-lego and returns its path.
func lego(t *testing.T) string {
	t.Helper()
	return peer.Build(t, external.All)
}

func TestLegoWritesWhereItIsTold(t *testing.T) {
	z := peer.StartZones(t, peer.ZoneOptions{Names: []string{"example.org"}, Alone: true})
	settings := map[string]string{"RFC2136_NAMESERVER": z.Updates, "RFC2136_TSIG_KEY": z.KeyName + ".", "RFC2136_TSIG_SECRET": z.Secret,
		"RFC2136_TSIG_ALGORITHM": z.Algorithm + "."}
	log, _ := logged(t)
	p, err := external.Start(ctx, external.Spec{Path: lego(t), Provider: "rfc2136", Settings: settings, Resolver: z.Primary, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var wg sync.WaitGroup
	for _, name := range []string{"_acme-challenge.www.example.org", "_label._acme-challenge.www.example.org", "elsewhere.example.org"} {
		wg.Go(func() {
			r := provider.Record{Name: name, Value: value(name), Zone: "example.org", Domain: "www.example.org", KeyAuthorization: name + ".thumbprint"}
			if err := p.Add(ctx, r); err != nil {
				t.Error(err)
			}
			if got := z.TXT(t, z.Primary, name); !slices.Equal(got, []string{value(name)}) {
				t.Errorf("%s: there is %q", name, got)
			}
			if err := p.Remove(ctx, r); err != nil {
				t.Error(err)
			}
			if got := z.TXT(t, z.Primary, name); len(got) != 0 {
				t.Errorf("%s: left over: %q", name, got)
			}
		})
	}
	wg.Wait()
	if err := p.Add(ctx, provider.Record{Name: "_validation-persist.example.org", Value: "x", Domain: "example.org"}); err == nil || !strings.Contains(err.Error(), "--preferred-challenges dns-01") {
		t.Errorf("a value that lego cannot have: %v", err)
	}
}

// TestCertbotsFilesMakeLegosProviders gives a credentials file of each of Certbot's
// plugins to the real program, which makes the provider without asking anybody.
func TestCertbotsFilesMakeLegosProviders(t *testing.T) {
	dir := filepath.Dir(lego(t))
	files := map[string]string{
		"digitalocean": "dns_digitalocean_token = x\n",
		"dnsimple":     "dns_dnsimple_token = x\n",
		"dnsmadeeasy":  "dns_dnsmadeeasy_api_key = x\ndns_dnsmadeeasy_secret_key = y\n",
		"gehirn":       "dns_gehirn_api_token = x\ndns_gehirn_api_secret = y\n",
		"google":       `{"type":"service_account","project_id":"p","client_email":"a@example.org","token_uri":"http://127.0.0.1:9/","private_key":""}`,
		"linode":       "dns_linode_key = x\ndns_linode_version = 4\n",
		"luadns":       "dns_luadns_email = a@example.org\ndns_luadns_token = y\n",
		"nsone":        "dns_nsone_api_key = x\n",
		"ovh":          "dns_ovh_endpoint = ovh-eu\ndns_ovh_application_key = x\ndns_ovh_application_secret = y\ndns_ovh_consumer_key = z\n",
		"route53":      "",
		"sakuracloud":  "dns_sakuracloud_api_token = x\ndns_sakuracloud_api_secret = y\n",
	}
	for _, p := range dns.Plugins() {
		name := strings.TrimPrefix(p.Name, "dns-")
		text, ok := files[name]
		if !ok {
			continue
		}
		delete(files, name)
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := dns.Config{Plugin: p.Name, Resolver: "127.0.0.1:9", Session: dns.NewSession(), Option: func(n string) string {
				if strings.HasSuffix(n, "_credentials") {
					return file
				}
				return ""
			}, Getenv: func(n string) string {
				if n == "PATH" {
					return dir
				}
				return os.Getenv(n)
			}}
			defer c.Session.Close()
			if _, err := dns.New(c); err != nil {
				t.Error(err)
			}
		})
	}
	if len(files) > 0 {
		t.Errorf("no plugins for %v", files)
	}
}
