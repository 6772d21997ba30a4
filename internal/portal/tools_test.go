package portal

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"vidimus/integration/peer"
)

// hostile is what quoting must hold together, though no URL or key has it.
var hostile = ACMEDirectory{Name: "main", URL: `https://acme.example.org/a b'c"d$(touch x)` + "`e`" + `\f`, Private: true, RootPEM: "pem"}

var friendly = ACMEDirectory{Name: "main", URL: "https://acme.example.org/acme/main/directory"}

var toolNames = []string{"*.example.org", "a.example.org", "www.example.org"}

// Each shell command is run, with programs that only tell how they were called.
func TestShellCommandsCallProgramsAsTheyShould(t *testing.T) {
	for _, d := range []ACMEDirectory{hostile, friendly} {
		for _, email := range []string{"", "o'hara@example.org"} {
			for i, x := range toolsFor(d, "kid", "hmac-key_", email, "www.example.org", toolNames) {
				for k, b := range x.Blocks {
					if tools[i].Name != x.Name {
						t.Fatal("a tool is left out")
					}
					if tools[i].blocks[k].lang != "sh" || b.File != "" {
						continue
					}
					for _, call := range calls(t, b.Text) {
						for _, word := range call[1:] {
							if strings.HasPrefix(word, "https:") && word != d.URL {
								t.Errorf("%s: the URL is %q", x.Name, word)
							}
						}
						if call[0] == "certbot" && (!slices.Contains(call, d.URL) || x.Name == "Certbot" && !slices.Contains(call, "*.example.org") || call[slices.Index(call, "-d")+1] != "www.example.org") {
							t.Errorf("%q", call)
						}
					}
				}
			}
		}
	}
}

// calls runs a script and returns each call of a program.
func calls(t *testing.T, script string) (all [][]string) {
	t.Helper()
	dir := t.TempDir()
	stub := "#!/bin/sh\n{ printf '%s\\0' \"${0##*/}\" \"$@\"; printf '\\0'; } >> " + dir + "/calls\n"
	for _, name := range []string{"certbot", "vidimus", "acme.sh", "lego", "dehydrated", "a2enmod", "a2enconf", "systemctl", "mkdir"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(stub), 0o755))
	}
	script = strings.ReplaceAll(script, "/etc/dehydrated/domains.txt", dir+"/domains.txt")
	cmd := exec.Command("sh", "-e", "-u", "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%s\n%v: %s", script, err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Fatalf("a value was run: %s", script)
	}
	data, err := os.ReadFile(filepath.Join(dir, "calls"))
	must(t, err)
	for call := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00\x00"), "\x00\x00") {
		all = append(all, strings.Split(call, "\x00"))
	}
	return all
}

func textOf(t *testing.T, d ACMEDirectory, name string, block int) string {
	t.Helper()
	for _, x := range toolsFor(d, "kid", "hmac-key_", "ada@example.org", "www.example.org", toolNames) {
		if x.Name == name {
			return x.Blocks[block].Text
		}
	}
	t.Fatalf("no tool %s", name)
	return ""
}

func TestFilesForShellsAreRead(t *testing.T) {
	text := textOf(t, hostile, "dehydrated", 0)
	out, err := exec.Command("sh", "-e", "-c", text+`printf '%s\n' "$CA" "$EAB_KID" "$EAB_HMAC_KEY" "$CURL_OPTS"`).Output()
	must(t, err)
	if want := hostile.URL + "\nkid\nhmac-key_\n--cacert " + rootFile + "\n"; string(out) != want {
		t.Errorf("%s", out)
	}
}

func TestYAMLIsRead(t *testing.T) {
	for _, x := range []struct {
		tool     string
		block    int
		document int
		path     string
		want     any
	}{
		{"Traefik", 0, 0, "certificatesResolvers/vidimus/acme/caServer", hostile.URL},
		{"Traefik", 0, 0, "certificatesResolvers/vidimus/acme/eab/hmacEncoded", "hmac-key_"},
		{"Traefik", 0, 0, "certificatesResolvers/vidimus/acme/caCertificates", []any{rootFile}},
		{"Traefik", 1, 0, "http/routers/my-site/rule", "Host(`www.example.org`) || Host(`a.example.org`)"},
		{"cert-manager", 0, 0, "stringData/hmac-key", "hmac-key_"},
		{"cert-manager", 0, 1, "spec/acme/server", hostile.URL},
		{"cert-manager", 0, 1, "spec/acme/caBundle", base64.StdEncoding.EncodeToString([]byte("pem"))},
		{"cert-manager", 0, 2, "spec/dnsNames", []any{"www.example.org", "a.example.org"}},
	} {
		d := yaml.NewDecoder(strings.NewReader(textOf(t, hostile, x.tool, x.block)))
		var v any
		for range x.document + 1 {
			v = nil
			must(t, d.Decode(&v))
		}
		for key := range strings.SplitSeq(x.path, "/") {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		if fmt.Sprint(v) != fmt.Sprint(x.want) {
			t.Errorf("%s: %s is %v, not %v", x.tool, x.path, v, x.want)
		}
	}
}

func TestCaddyReadsItsConfiguration(t *testing.T) {
	caddy := peer.Need(t, "caddy")
	for _, d := range []ACMEDirectory{hostile, friendly} {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		must(t, os.WriteFile(file, []byte(textOf(t, d, "Caddy", 0)), 0o600))
		cmd := exec.Command(caddy, "adapt", "--config", file, "--adapter", "caddyfile")
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), `"mac_key":"hmac-key_"`) || !strings.Contains(string(out), `"www.example.org"`) {
			t.Errorf("%v: %s", err, out)
		}
	}
}

func TestToolsLeaveOutWhatACertificateCannotHave(t *testing.T) {
	var many []string
	for i := range 150 {
		many = append(many, fmt.Sprintf("h%03d.example.org", i))
	}
	all := toolsFor(friendly, "kid", "key", "", "h140.example.org", many)
	if all[0].Left != 50 || !strings.Contains(all[0].Blocks[0].Text, "-d h140.example.org -d h001") || strings.Contains(all[0].Blocks[0].Text, "h120") {
		t.Errorf("%+v", all[0])
	}
	for _, x := range toolsFor(friendly, "kid", "key", "", "example.org", []string{"*.example.org"}) {
		if x.Name == "Caddy" {
			t.Error("Caddy is shown, which can't have it")
		}
	}
}
