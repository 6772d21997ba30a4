package hostsource

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/config"
)

// taken is a sink that notes what it gets, a line each.
type taken struct{ lines, skipped []string }

func (s *taken) Host(h Host) error {
	var details []string
	for k, v := range h.Details {
		details = append(details, k+"="+v)
	}
	slices.Sort(details)
	s.lines = append(s.lines, fmt.Sprintf("%s %v %v %v", h.FQDN, h.People, h.Groups, details))
	return nil
}

func (s *taken) Person(p Person) error {
	s.lines = append(s.lines, fmt.Sprintf("%s (%s) <%s>", p.Login, p.Name, p.Email))
	return nil
}

func (s *taken) Group(g Group) error {
	s.lines = append(s.lines, fmt.Sprintf("%s (%s) %v", g.Name, g.Title, g.Members))
	return nil
}

func (s *taken) Skip(what string, why error) error {
	s.skipped = append(s.skipped, fmt.Sprintf("%s: %v", what, why))
	return nil
}

// want compares what came, and the beginnings of what was left out.
func (s *taken) want(t *testing.T, lines, skipped []string) {
	t.Helper()
	if !slices.Equal(s.lines, lines) {
		t.Errorf("it gave\n%s\nwant\n%s", strings.Join(s.lines, "\n"), strings.Join(lines, "\n"))
	}
	if !slices.EqualFunc(s.skipped, skipped, strings.HasPrefix) {
		t.Errorf("it left out\n%s\nwant\n%s", strings.Join(s.skipped, "\n"), strings.Join(skipped, "\n"))
	}
}

func TestCSVOfManyShapes(t *testing.T) {
	for _, x := range []struct {
		name, kind, text string
		comma            rune
		renamed          map[string]string
		lines, skipped   []string
	}{
		{"a row for each person", "hosts", "fqdn,people,Unit\na.example.org,ada,Library\nb.example.org,bob,\na.example.org,bob,Other\n", ',', nil,
			[]string{"a.example.org [ada bob] [] [Unit=Library]", "b.example.org [bob] [] []"}, nil},
		{"lists in cells, other headings", "hosts", "\ufeffDNS name;Owner;groups\na.example.org;\"ada, bob\";web team|mail\n", ';', map[string]string{"fqdn": "DNS name", "people": "owner"},
			[]string{"a.example.org [ada bob] [web team mail] []"}, nil},
		{"broken rows", "hosts", "fqdn,people\na.example.org\nb.example.org,bob\n,eve\nc\"d,x\n\"e\"f,x\nd.example.org,dan\n", ',', nil,
			[]string{"b.example.org [bob] [] []", "d.example.org [dan] [] []"},
			[]string{"line 2 of the hosts: it has 1 columns", "line 4 of the hosts: it has no fqdn", "line 5 of the hosts: bare", "line 6 of the hosts: extraneous"}},
		{"people", "people", "login,email,name,phone\nada,ada@example.org,Ada Archer,1\n", ',', nil, []string{"ada (Ada Archer) <ada@example.org>"}, nil},
		{"groups", "groups", "name,members\nweb,ada\nweb,bob;eve\n", ',', nil, []string{"web () [ada bob eve]"}, nil},
	} {
		s := new(taken)
		if err := readCSV(strings.NewReader(x.text), x.kind, x.comma, x.renamed, s); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
		t.Log(x.name)
		s.want(t, x.lines, x.skipped)
	}
	for text, want := range map[string]string{"": "it is empty", "name,people\n": `no column "fqdn"`, "fqdn,FQDN\n": "two columns", "fqdn,people\n\"a,b\nc,d\n": "quote"} {
		if err := readCSV(strings.NewReader(text), "hosts", ',', nil, new(taken)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestJSONOfManyShapes(t *testing.T) {
	s := new(taken)
	err := readJSON(strings.NewReader(`{"version": 3, "people": [{"login": "ada", "name": "Ada", "email": "ada@example.org"}],
		"groups": [{"name": "web", "members": ["ada"]}, 7],
		"hosts": [{"fqdn": "a.example.org", "people": ["ada"], "groups": ["web"], "details": {"unit": "Library", "rack": 7, "on": true, "x": null}},
			{"fqdn": "b.example.org", "people": "ada"}, {"fqdn": "c.example.org", "details": {"x": [1]}}]}`), s)
	if err != nil {
		t.Error(err)
	}
	s.want(t, []string{"ada (Ada) <ada@example.org>", "web () [ada]", "a.example.org [ada] [web] [on=true rack=7 unit=Library]"},
		[]string{`"version": there are`, "groups, entry 2", "hosts, entry 2", "hosts, entry 3"})
	s = new(taken)
	if err := readJSON(strings.NewReader(`[{"fqdn": "a.example.org"}]`), s); err != nil {
		t.Error(err)
	}
	s.want(t, []string{"a.example.org [] [] []"}, nil)
	for _, text := range []string{"", "7", `{"hosts": {}}`, `{"hosts": [{"fqdn": "a.example.org"}`, `[{"fqdn": "a.example.org"}`, `[] []`, `[}`} {
		if err := readJSON(strings.NewReader(text), new(taken)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestFilesAreReadWhenTheyChange(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts.csv")
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r, err := openCSV(&config.CSV{Hosts: file, Separator: ",", Files: config.Files{MaxSize: 100}})
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	write("fqdn\na.example.org\n", day)
	first, err := r.Read(t.Context(), "", new(taken))
	if err != nil || first.Unchanged || first.Mark == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := r.Read(t.Context(), first.Mark, new(taken)); err != nil || !again.Unchanged {
		t.Errorf("%+v, %v", again, err)
	}
	write("fqdn\nb.example.org\n", day.Add(time.Second))
	s := new(taken)
	if other, err := r.Read(t.Context(), first.Mark, s); err != nil || other.Unchanged || len(s.lines) != 1 {
		t.Errorf("%+v, %v", other, err)
	}
	write("fqdn\n", time.Now()) // it may change again within the same moment
	if now, err := r.Read(t.Context(), "", new(taken)); err != nil || now.Mark != "" {
		t.Errorf("%+v, %v", now, err)
	}
	write("fqdn\n"+strings.Repeat("a.example.org\n", 10), day)
	if _, err := r.Read(t.Context(), "", new(taken)); err == nil || !strings.Contains(err.Error(), "larger than max_size") {
		t.Errorf("%v", err)
	}
	os.Remove(file)
	if _, err := r.Read(t.Context(), first.Mark, new(taken)); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestOverHTTPS(t *testing.T) {
	status, tag, text, asked := http.StatusOK, `"one"`, `[{"fqdn": "a.example.org"}]`, 0
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		case r.Header.Get("If-None-Match") == tag:
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", tag)
			w.WriteHeader(status)
			w.Write([]byte(text))
		}
	}))
	defer web.Close()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "token")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(token, []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &config.JSONFiles{From: []string{web.URL + "/hosts"}, Files: config.Files{MaxSize: 1000, CA: ca, TokenFile: token}}
	read := func(mark string) (Reading, *taken, error) {
		t.Helper()
		r, err := openJSON(c)
		if err != nil {
			t.Fatal(err)
		}
		s := new(taken)
		got, err := r.Read(t.Context(), mark, s)
		return got, s, err
	}
	first, s, err := read("")
	if err != nil || len(s.lines) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	asked = 0
	if again, _, err := read(first.Mark); err != nil || !again.Unchanged || asked != 1 {
		t.Errorf("%+v, %v, after %d requests", again, err, asked)
	}
	tag, text = `"two"`, `[]`
	if other, s, err := read(first.Mark); err != nil || other.Unchanged || len(s.lines) != 0 {
		t.Errorf("%+v, %v", other, err)
	}
	status = http.StatusBadGateway
	if _, _, err := read(""); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("%v", err)
	}
	status, text = http.StatusOK, strings.Repeat(" ", 2000)
	if _, _, err := read(""); err == nil || !strings.Contains(err.Error(), "max_size") {
		t.Errorf("%v", err)
	}
	c.From[0] = web.URL + "/away"
	if _, _, err := read(""); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("%v", err)
	}
	c.From[0], c.CA = web.URL+"/hosts", ""
	if _, _, err := read(""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
}

// fuzzed takes what a parser gives it and brings it into the form it is kept in.
type fuzzed struct{ testing.TB }

func (s fuzzed) check(key string, content []byte, err error) error {
	if err == nil && (key == "" || len(key) > 256 || len(content) > maxEntry) {
		s.Errorf("%q is kept as %q", key, content)
	}
	return nil
}

func (s fuzzed) Host(h Host) error        { return s.check(canonical{}.host(h)) }
func (s fuzzed) Person(p Person) error    { return s.check(canonical{}.person(p)) }
func (s fuzzed) Group(g Group) error      { return s.check(canonical{}.group(g)) }
func (s fuzzed) Skip(string, error) error { return nil }

func FuzzReadCSV(f *testing.F) {
	f.Add("fqdn,people,groups,unit\na.example.org,\"ada;bob\",web,x\n", byte(0), ",")
	f.Add("login;name\nada;Ada\n", byte(1), ";")
	f.Add("name\tmembers\nweb\tada\n", byte(2), "\t")
	f.Fuzz(func(t *testing.T, text string, kind byte, comma string) {
		c := config.CSV{Separator: comma}
		if len([]rune(comma)) != 1 || strings.ContainsAny(comma, "\"\r\n\uFFFD") {
			c.Separator = ","
		}
		_ = readCSV(strings.NewReader(text), []string{"hosts", "people", "groups"}[kind%3], []rune(c.Separator)[0], nil, fuzzed{t})
	})
}

func FuzzReadJSON(f *testing.F) {
	f.Add(`{"hosts": [{"fqdn": "a.example.org", "people": ["ada"], "details": {"x": 1}}], "people": [{"login": "ada"}], "groups": [{"name": "web"}]}`)
	f.Add(`[{"fqdn": "a.example.org"}]`)
	f.Fuzz(func(t *testing.T, text string) { _ = readJSON(strings.NewReader(text), fuzzed{t}) })
}
