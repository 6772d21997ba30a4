package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vidimus/internal/certificate"
)

// caFolder makes a folder with ca.pem and ca.key, a root that also issues, and
// other.pem and other.key, the same of another CA.
func caFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ca", "other"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := certificate.MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{name + ".pem": certificate.MarshalChain(cert), name + ".key": pem} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "open.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "open.key"), 0o644); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return dir
}

const good = `listen: 127.0.0.1:14000
listen_http: ":14080"
url: https://acme.example.org:14000/
url_http: http://acme.example.org:14080
database: vidimusd.db
issuers:
  - name: main
    certificate: ca.pem
    key: ca.key
    root: ca.pem
    validity: 47d
    open: true
    website: https://example.org/pki
validation:
  resolvers: ["127.0.0.1", "[::1]:5353"]
  networks: [10.0.0.0/8, "fd00::/8"]
  http_01_port: 5002
`

func TestReadCompletesAGoodFile(t *testing.T) {
	dir := caFolder(t)
	path := filepath.Join(dir, "vidimusd.yaml")
	if err := os.WriteFile(path, []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	i := c.Issuers[0]
	for _, f := range []struct{ what, got, want string }{
		{"url", c.URL, "https://acme.example.org:14000"},
		{"database", c.Database, filepath.Join(dir, "vidimusd.db")},
		{"key", i.Key, filepath.Join(dir, "ca.key")},
		{"validity", time.Duration(i.Validity).String(), (47 * 24 * time.Hour).String()},
		{"directories", strings.Join(i.Directories(), " "), "main main-open"},
		{"resolvers", strings.Join(c.Validation.Resolvers, " "), "127.0.0.1:53 [::1]:5353"},
		{"ports", fmt.Sprint(c.Validation.HTTP01Port, c.Validation.TLSALPN01Port), "5002 443"},
	} {
		if f.got != f.want {
			t.Errorf("%s is %q; want %q", f.what, f.got, f.want)
		}
	}
	if _, err := Read(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

// replaced is the good file with other text in one place.
func replaced(old, with string) string {
	if !strings.Contains(good, old) {
		panic("the good file has no " + old)
	}
	return strings.Replace(good, old, with, 1)
}

func TestParseNamesEachMistakeWithItsLine(t *testing.T) {
	dir := caFolder(t)
	second := strings.Replace(good, "validation:", "  - {name: NAME, certificate: ca.pem, key: ca.key, root: ca.pem}\nvalidation:", 1)
	tests := []struct {
		name, data, want string // want: the beginning of each mistake, by line
	}{
		{"unknown key", replaced("open:", "opne:"), `line 12: unknown key "opne"`},
		{"key twice", replaced("listen_http:", "listen:"), `line 2: mapping key "listen" already defined`},
		{"no YAML", "listen: [", "line 1: did not find"},
		{"tab", "listen: a\n\tb: c", "line 2: found a tab character"},
		{"wrong type", replaced("5002", "often"), `line 17: "often" is wrong: here must stand a whole number`},
		{"bad duration", replaced("47d", "47 days"), `line 11: "47 days" is not a duration`},
		{"short validity", replaced("47d", "5d"), "line 11: issuers[0].validity: 120h0m0s is out of range"},
		{"long validity", replaced("47d", "399d"), "line 11: issuers[0].validity: 9576h0m0s is out of range"},
		{"no URL", replaced("https://acme", "ftp://acme"), "line 3: url: "},
		{"URL with a path", replaced(":14000/", ":14000/acme"), "line 3: url: "},
		{"URL with a fragment", replaced(":14000/", ":14000/#top"), "line 3: url: "},
		{"URL with no port there is", replaced(":14000/", ":140000/"), "line 3: url: "},
		{"website", replaced("https://example.org/pki", "example.org"), "line 13: issuers[0].website: "},
		{"no host and port", replaced("127.0.0.1:14000", "127.0.0.1"), "line 1: listen: "},
		{"port too large", replaced("127.0.0.1:14000", "127.0.0.1:65536"), "line 1: listen: "},
		{"validation port", replaced("5002", "65536"), "line 17: validation.http_01_port: 65536 is not a port"},
		{"network", replaced("fd00::/8", "fd00::"), `line 16: validation.networks[1]: "fd00::" is not a network`},
		{"resolver", replaced("[::1]:5353", "resolver"), "line 15: validation.resolvers[1]: "},
		{"missing certificate", replaced("ca.pem", "none.pem"), "line 8: issuers[0].certificate: open " + dir + "/none.pem"},
		{"key open to others", replaced("ca.key", "open.key"), "line 9: issuers[0].key: " + dir + "/open.key is open to others (mode 0644)"},
		{"key of another CA", replaced("ca.key", "other.key"), "line 7: issuers[0]: the key in"},
		{"root of another CA", replaced("root: ca.pem", "root: other.pem"), "line 7: issuers[0]: " + dir + "/ca.pem: \"CN=ca\" is not signed by \"CN=other\""},
		{"certificate that is a key", replaced("ca.pem", "ca.key"), "line 8: issuers[0].certificate: " + dir + "/ca.key: "},
		{"no folder for the database", replaced("vidimusd.db", "none/vidimusd.db"), "line 5: database: there is no folder"},
		{"database URL", replaced("vidimusd.db", "postgres://me:secret@db.example.org:port/x"), "line 5: database: postgres://…: it is no URL"},
		{"database's TLS", replaced("vidimusd.db", "postgres://me:secret@db.example.org/x?sslmode=no"), "line 5: database: postgres://me@db.example.org/x: failed to configure TLS (sslmode"},
		{"database's pool", replaced("vidimusd.db", "postgres://me:secret@db.example.org/x?pool_max_conns=0"), "line 5: database: postgres://me@db.example.org/x: pool_max_conns"},
		{"issuer's name", replaced("main", "Main CA"), "line 7: issuers[0].name: "},
		{"issuer twice", strings.Replace(second, "NAME", "main", 1), `line 14: issuers[1].name: there are two ACME directories "main"`},
		{"directory twice", strings.Replace(second, "NAME", "main-open", 1), `line 14: issuers[1].name: there are two ACME directories "main-open"`},
		{"TLS by half", good + "tls: {certificate: ca.pem}", "line 18: tls: give both"},
		{"TLS by others", good + "tls: {certificate: ca.pem, key: other.key}", "line 18: tls.key: the key in"},
		{"TLS of nothing", good + "tls:\n  certificate: none.pem\n  key: none.key", "line 19: tls.certificate: \nline 20: tls.key: "},
		{"log", good + "log: {format: xml, level: loud}", "line 18: log.format: \"xml\" is neither\nline 18: log.level: \"loud\" is none"},
		{"no folder for the state", good + "state: none", "line 18: state: there is no folder"},
		{"operating", good + "listen_metrics: 9764\nmax_connections: 3\nproxy_protocol: [\"0.0.0.0/0\", ten]",
			"line 18: listen_metrics: \nline 19: max_connections: 3 is out of range\nline 20: proxy_protocol[0]: \"0.0.0.0/0\" is everybody\nline 20: proxy_protocol[1]: "},
		{"two documents", good + "---\nlisten: x\n", "the file holds more than one YAML document"},
		{"empty", "", "listen: \nurl: \ndatabase: \nissuers: "},
		{"comment", "# nothing yet\n", "listen: \nurl: \ndatabase: \nissuers: "},
		{"no file named", replaced("    certificate: ca.pem\n    key: ca.key\n    root: ca.pem\n", ""),
			"line 7: issuers[0].certificate: \nline 7: issuers[0].key: \nline 7: issuers[0].root: "},
		{"all at once", strings.NewReplacer("127.0.0.1:14000", "x", "https://acme", "http://acme", "47d", "long", "certificate: ca.pem",
			"certificate: none.pem", "ca.key", "open.key", "10.0.0.0/8", "ten").Replace(good) + "pages: true\n",
			"line 1: listen: \nline 3: url: \nline 8: issuers[0].certificate: \nline 9: issuers[0].key: \nline 11: \"long\" is not\n" +
				"line 16: validation.networks[0]: \nline 18: unknown key \"pages\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.data), dir)
			if err == nil {
				t.Fatalf("accepted as %+v", c)
			}
			var m Mistakes
			if !errors.As(err, &m) {
				t.Fatalf("the error is a %T", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("it says the password: %v", err)
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(tt.want, "\n")
			for i := range want {
				if len(got) != len(want) || !strings.HasPrefix(got[i], want[i]) {
					t.Fatalf("got:\n%v\nwant:\n%s", err, tt.want)
				}
			}
		})
	}
}

func TestPasswordInAFileThatIsOpenToOthers(t *testing.T) {
	path := filepath.Join(caFolder(t), "vidimusd.yaml")
	for _, tt := range []struct {
		url  string
		mode os.FileMode
		ok   bool
	}{
		{"postgres://me:secret@db.example.org/x", 0o600, true},
		{"postgres://me:secret@db.example.org/x", 0o640, false},
		{"postgres://db.example.org/x?user=me&password=secret", 0o644, false},
		{"postgres://me@db.example.org/x?sslpassword=secret", 0o644, false},
		{"postgres://me@db.example.org/x", 0o644, true},
		{"postgres:///x?host=/run/postgresql", 0o644, true},
	} {
		if err := os.WriteFile(path, []byte(replaced("vidimusd.db", tt.url)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		c, err := Read(path)
		switch {
		case (err == nil) != tt.ok || err != nil && (!strings.Contains(err.Error(), "line 5: database: ") || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s, mode %04o: %v", tt.url, tt.mode, err)
		case err == nil && (c.Database != tt.url || c.StateDir() != filepath.Dir(path)):
			t.Errorf("%s is taken for %q, with files in %s", tt.url, c.Database, c.StateDir())
		}
	}
}

func TestDurationsAreOfDaysOrGoDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1d": 24 * time.Hour, "90d": 90 * 24 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "d": 0, "0d": 0, "-1d": 0, "1.5d": 0, "100000d": 0, "1d12h": 0, "90": 0, "0s": 0, "-1h": 0, "90 d": 0,
	} {
		got, err := parseDuration(s)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q gives %s, %v; want %s", s, got, err, want)
		}
	}
}

// FuzzParse: a file gives a configuration or mistakes with words, never both.
func FuzzParse(f *testing.F) {
	dir := caFolder(f)
	for _, s := range []string{"", good, replaced("47d", "{}"), "issuers: [[]]", "a: &a [*a]", "<<: *x", "issuers:\n- <<: {name: x}", "---\n---", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data, dir)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("a mistake without words")
		}
	})
}
