package credentials

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var keys = []Key{
	{Name: "dns_rfc2136_server", Required: true, What: "address of the DNS server", Example: "192.0.2.1"},
	{Name: "dns_rfc2136_port", What: "its port", Example: "53"},
}

func TestINI(t *testing.T) {
	for text, want := range map[string]string{
		"dns_rfc2136_server = 192.0.2.1\n":                                 "",
		"# mine\ndns_rfc2136_server=\"192.0.2.1\"\nother_key = x\n":        "",
		"dns_rfc2136_port = 53\n":                                          "lacks dns_rfc2136_server (address of the DNS server)",
		"dns_rfc2136_server =\n":                                           "lacks dns_rfc2136_server",
		"dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_prot = very-secret\n": "has dns_rfc2136_prot, which is not known",
		"dns_rfc2136_server = 192.0.2.1, 192.0.2.2\n":                      "has a list for dns_rfc2136_server",
		"very-secret\n": "not of the form key = value",
		"dns_rfc2136_server = 192.0.2.1\ndns_rfc2136_server = very-secret\n":            "not of the form key = value",
		"[section]\ndns_rfc2136_server = 192.0.2.1\n":                                   "lacks dns_rfc2136_server",
		"dns_rfc2136_server = '''192.0.2.1\n":                                           "not of the form key = value",
		"dns_rfc2136_server = \"very-secret\ndns_rfc2136_secret_of_somebody = hidden\n": "not of the form key = value",
	} {
		values, err := INI("FILE", []byte(text), keys)
		switch {
		case want == "" && (err != nil || values["dns_rfc2136_server"] != "192.0.2.1"):
			t.Errorf("%q: %v, %v", text, values, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %q", text, err, want)
		case err != nil && (strings.Contains(err.Error(), "very-secret") || strings.Contains(err.Error(), "hidden")):
			t.Errorf("%q: the error has a value of the file: %v", text, err)
		}
	}
}

func TestVariables(t *testing.T) {
	got, err := Variables("FILE", []byte("# token\nDESEC_TOKEN=a=b\nexport X_1 = \"c d\"\n\nEMPTY=\r\nQ='\"'\n"))
	want := map[string]string{"DESEC_TOKEN": "a=b", "X_1": "c d", "EMPTY": "", "Q": `"`}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, text := range []string{"very-secret", "A B=very-secret", "1X=very-secret", "=very-secret", "A=very-\x00secret"} {
		if _, err := Variables("FILE", []byte("OK=1\n"+text)); err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "very") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestReadWarnsOfFilesThatAllMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ini")
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
		os.Remove(path)
		if err := os.WriteFile(path, []byte("x = y\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
		var log bytes.Buffer
		if _, err := Read(path, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Error(err)
		}
		if got := strings.Contains(log.String(), "Unsafe permissions on credentials configuration file: "+path); got != warned {
			t.Errorf("mode %o: warned %v", mode, got)
		}
	}
	if _, err := Read(path+".missing", nil); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Read(filepath.Dir(path), nil); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestPath(t *testing.T) {
	home := func() (string, error) { return "/home/ann", nil }
	if got, err := Path("~/c.ini", home); err != nil || got != "/home/ann/c.ini" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Path("~/c.ini", func() (string, error) { return "", errors.New("none") }); err == nil {
		t.Error("no error without a home")
	}
}

func FuzzINI(f *testing.F) {
	f.Add([]byte("dns_rfc2136_server = 192.0.2.1\n"))
	f.Add([]byte("[a]\nb = '''c\n'''"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := INI("FILE", data, keys)
		if err == nil && values["dns_rfc2136_server"] == "" {
			t.Error("accepted without the required key")
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add([]byte("A=b\nexport C='d'\n# e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := Variables("FILE", data)
		for name, value := range values {
			if err == nil && (!isVariable(name) || strings.ContainsAny(value, "\x00\n")) {
				t.Errorf("%q=%q cannot be a variable", name, value)
			}
		}
	})
}
