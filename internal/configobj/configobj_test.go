package configobj

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

const sample = `# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/a.example.org

# Options used in the renewal process
[renewalparams]   # do not edit
account = 2bd182a914df1552ba4ca9fd7aa406c4
pref_challs = http-01,
renew_hook = 'echo hi; echo "it, works"'   # ours
from_the_future = x, "y, z"
webroot_path = /srv/a, /srv/b
[[webroot_map]]
a.example.org = /srv/a

# the end
`

func TestUntouchedFileIsWrittenBackAsItWas(t *testing.T) {
	for _, text := range []string{sample, "", "\n\n", "a=1", "\xef\xbb\xbfa = b\r\nc = d\r\n", "a = '''x\ny''' # z\n",
		"  [s]\n\tb =   2#c\n   # last"} {
		f, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
		} else if got := string(f.Bytes()); got != text {
			t.Errorf("Parse(%q) is written back as %q", text, got)
		}
	}
}

func TestSetTouchesOnlyItsLine(t *testing.T) {
	f, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	params := f.Section.Section("renewalparams")
	if err := params.Set("renew_hook", "true"); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(sample, `renew_hook = 'echo hi; echo "it, works"'   # ours`, `renew_hook = true # ours`, 1)
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := params.SetList("pref_challs", []string{"http-01"}); err != nil || string(f.Bytes()) != want {
		t.Errorf("setting the value a keyword has changes the file (%v)", err)
	}
	if err := params.Set("server", "https://ca.example.org/"); err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "[[webroot", "server = https://ca.example.org/\n[[webroot", 1)
	if got := string(f.Bytes()); got != want {
		t.Errorf("a new keyword does not go behind the last one:\n%s", got)
	}
	params.Delete("from_the_future")
	params.Delete("webroot_map")
	if got := string(f.Bytes()); strings.Contains(got, "future") || strings.Contains(got, "[[") || !strings.HasSuffix(got, "# the end\n") {
		t.Errorf("after deleting:\n%s", got)
	}
}

func TestNewFile(t *testing.T) {
	f := New()
	f.Comment("renew_before_expiry = 30 days")
	must(t, f.Set("version", "5.6.0"))
	s, err := f.AddSection("renewalparams", "", "Options used in the renewal process")
	must(t, err)
	must(t, s.Set("account", "x"))
	must(t, s.SetList("webroot_path", []string{"/srv/a", "/srv/b"}))
	m, err := s.AddSection("webroot_map")
	must(t, err)
	must(t, m.Set("a.example.org", "/srv/a"))
	const want = `# renew_before_expiry = 30 days
version = 5.6.0

# Options used in the renewal process
[renewalparams]
account = x
webroot_path = /srv/a, /srv/b
[[webroot_map]]
a.example.org = /srv/a
`
	if got := string(f.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestBrokenFilesNameTheLine(t *testing.T) {
	for text, line := range map[string]int{
		"a = 1\ngarbage\n":  2,
		"a = 1\na = 2\n":    2,
		"a = \"b\n":         1,
		"[[deep]]\n":        1,
		"[a]\n[a]\n":        2,
		"a = 1\nb = '''x\n": 2,
		"a = b, , c\n":      1,
		"[a\n":              1,
		"a = \xff\n":        1,
		"[a]]\n":            1,
	} {
		_, err := Parse([]byte(text))
		if se, ok := err.(*SyntaxError); !ok || se.Line != line {
			t.Errorf("Parse(%q): %v, want an error in line %d", text, err, line)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plain is what a section holds, in the shape the real ConfigObj has it.
func plain(s *Section) map[string]any {
	m := map[string]any{}
	for _, k := range s.Keys() {
		if s.IsList(k) {
			m[k] = s.List(k)
		} else {
			m[k] = s.String(k)
		}
	}
	for _, n := range s.Sections() {
		m[n] = plain(s.Section(n))
	}
	return m
}

// real runs Python's ConfigObj over many texts, one JSON answer a line; it skips
// the test where there is none.
func real(t *testing.T, script string, input any) []json.RawMessage {
	in, err := json.Marshal(input)
	must(t, err)
	if err := exec.Command("/usr/bin/python3", "-c", "import configobj").Run(); err != nil {
		t.Skip("/usr/bin/python3 has no configobj to compare with")
	}
	cmd := exec.Command("/usr/bin/python3", "-c", script)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	must(t, err)
	var answers []json.RawMessage
	must(t, json.Unmarshal(out, &answers))
	return answers
}

func TestReadsWhatConfigObjReads(t *testing.T) {
	values := []string{"b", `"b"`, `'b'`, `"b" c`, `b"c`, `"b`, "x,", "x, y", "x, , y", ", ", ",", "", "#c", "x#y", "x # y", `"a, b", c # d`,
		`'x', "y'z"`, `"a" , `, "x,y,", "'''a'b'''", `"""a"b"""`, `'''a`, `'''a''' # c`, `'''a'''x`, "%(x)s", "$x", "a = b", "[x]", `'`, `""`, `"","b"`,
		"  a  b  ", `"a#b"`, `a,"b#c",d`, `a"b,c"d`, "é, ü", "\u00a0x\u00a0", "a\tb", `''''a'''`, `'''a''''`}
	texts := []string{sample, "[s]\na=1\n[[t]]\nb=2\n[u]\nc=3\n", "'k = 1' = 2\n", "[ s ]\n", "['s']\n", "[s] x\n", "= 1\n", "[]\n = 2\n", "a = '''x\ny\n  z''' # c\nb = 1\n"}
	for _, v := range values {
		texts = append(texts, "a = "+v+"\n", "a="+v)
	}
	answers := real(t, `
import sys, json, configobj
out = []
for text in json.load(sys.stdin):
    try: out.append(configobj.ConfigObj(text.encode().splitlines(True), encoding="utf-8", interpolation=False).dict())
    except configobj.ConfigObjError: out.append(None)
print(json.dumps(out))`, texts)
	for i, text := range texts {
		got := []byte("null")
		if f, err := Parse([]byte(text)); err == nil {
			got, _ = json.Marshal(plain(&f.Section))
		}
		var a, b any
		must(t, json.Unmarshal(got, &a))
		must(t, json.Unmarshal(answers[i], &b))
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%q is %v, ConfigObj reads %v", text, a, b)
		}
	}
}

func TestWritesWhatConfigObjWrites(t *testing.T) {
	values := []any{"b", "", " b", "b ", "a, b", "a#b", `a"b`, `"ab`, `a, "b"`, `it's`, `it's, "b"`, `it's "b"`, "a\nb", "[x]", "a=b", "$x", "%(y)s",
		`x'`, `a"b'`, `a'b"`, "\ta", "é", []string{}, []string{"a"}, []string{"a", "b"}, []string{"a,b", "c"}, []string{"", "it's"}, "'''", `a "" 'b'`}
	answers := real(t, `
import sys, json, configobj
out = []
for v in json.load(sys.stdin):
    c = configobj.ConfigObj(encoding="utf-8", interpolation=False)
    c["a"] = v
    out.append("".join(l.decode() + "\n" for l in c.write()))
print(json.dumps(out))`, values)
	for i, v := range values {
		f := New()
		var err error
		switch v := v.(type) {
		case string:
			err = f.Set("a", v)
		case []string:
			err = f.SetList("a", v)
		}
		must(t, err)
		var want string
		must(t, json.Unmarshal(answers[i], &want))
		if got := string(f.Bytes()); got != want {
			t.Errorf("%q is written as %q, ConfigObj writes %q", v, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample), "x, y")
	f.Add([]byte("a = '''x\ny''' # z\n"), `it's "x"`)
	f.Fuzz(func(t *testing.T, data []byte, val string) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		if got := file.Bytes(); !bytes.Equal(got, data) {
			t.Fatalf("%q is written back as %q", data, got)
		}
		before := plain(&file.Section)
		if file.Section.Section("k") != nil || !bytes.ContainsAny([]byte(val), "x") || file.Set("k", val) != nil {
			return
		}
		again, err := Parse(file.Bytes())
		if err != nil {
			t.Fatalf("%q with %q set cannot be read again: %v", data, val, err)
		}
		before["k"] = val
		if fmt.Sprint(plain(&again.Section)) != fmt.Sprint(before) {
			t.Fatalf("%q with %q set reads %v, want %v", data, val, plain(&again.Section), before)
		}
	})
}
