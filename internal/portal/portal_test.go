package portal

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each language has the same texts, with as many arguments; no page asks for another, and
// none is left that no page asks for.
func TestLanguagesHaveTheSameTexts(t *testing.T) {
	s := newSite(t)
	first := s.languages[0]
	if first.Code != "en" {
		t.Fatalf("the first language is %s", first.Code)
	}
	for _, l := range s.languages[1:] {
		for key, text := range first.texts {
			if other, ok := l.texts[key]; !ok {
				t.Errorf("%s has no text %s", l.Code, key)
			} else if strings.Count(other, "%s") != strings.Count(text, "%s") {
				t.Errorf("%s: %s has other arguments: %q, %q", l.Code, key, text, other)
			}
		}
		for key := range l.texts {
			if _, ok := first.texts[key]; !ok {
				t.Errorf("only %s has the text %s", l.Code, key)
			}
		}
	}
	asked := source(t)
	for key := range first.texts {
		if !isAsked(asked, key) {
			t.Errorf("no page asks for the text %s", key)
		}
	}
	for _, key := range keysAsked(t) {
		if _, ok := first.texts[key]; !ok {
			t.Errorf("a page asks for the text %s, which there is not", key)
		}
	}
}

// source is all that could ask for a text.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		names, err := filepath.Glob(pattern)
		must(t, err)
		for _, name := range names {
			data, err := os.ReadFile(name)
			must(t, err)
			all.Write(data)
		}
	}
	return all.String()
}

// isAsked tells whether a text is asked for: by its key, or by one that is put together
// from a beginning and something else.
func isAsked(source, key string) bool {
	for _, ending := range []string{".one", ".other", ".text"} { // see n, and the pages for errors
		if strings.Contains(source, `"`+key+`"`) {
			return true
		}
		key = strings.TrimSuffix(key, ending)
	}
	if strings.Contains(source, `"`+key+`"`) {
		return true
	}
	for i, c := range key {
		if (c == '.' || c == '-') && (strings.Contains(source, `"`+key[:i+1]+`"`) || strings.Contains(source, `"`+key[:i+1]+`%s`)) {
			return true
		}
	}
	return false
}

// keysAsked are the texts that templates and handlers name in full.
func keysAsked(t *testing.T) (keys []string) {
	t.Helper()
	asked := regexp.MustCompile(`\bt "([a-z0-9.-]+)"`)
	counted := regexp.MustCompile(`\bn "([a-z0-9.-]+)"`)
	entries, err := files.ReadDir("templates")
	must(t, err)
	for _, e := range entries {
		data, err := files.ReadFile("templates/" + e.Name())
		must(t, err)
		for _, m := range asked.FindAllStringSubmatch(string(data), -1) {
			keys = append(keys, m[1])
		}
		for _, m := range counted.FindAllStringSubmatch(string(data), -1) {
			keys = append(keys, m[1]+".one", m[1]+".other")
		}
	}
	data, err := os.ReadFile("../audit/audit.go")
	must(t, err)
	for _, m := range regexp.MustCompile(`= "([a-z.-]+)"`).FindAllStringSubmatch(string(data), -1) {
		keys = append(keys, "event."+m[1])
	}
	for n := range nobodys + 1 {
		keys = append(keys, "need."+n.String(), "need."+n.String()+".text")
	}
	if len(keys) < 20 {
		t.Fatalf("only %d texts are asked for", len(keys))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestWhoIsNotLoggedInIsSentToDoSo(t *testing.T) {
	s := newSite(t)
	b := s.nobody()
	b.get("/portal/hosts?q=a%26b").to("/portal/login?next=%2Fportal%2Fhosts%3Fq%3Da%2526b")
	b.post("/portal/hosts").is(404)
	if p := func() page { b.header.Set("HX-Request", "true"); return b.get("/portal/hosts") }(); p.status != 401 || p.header.Get("HX-Refresh") != "true" {
		t.Errorf("%d %v", p.status, p.header)
	}
}

func TestPagesAreInTheLanguageThatIsWanted(t *testing.T) {
	s := newSite(t)
	b := s.as("ada")
	b.get("/portal/hosts").is(200, `<html lang="en">`, "My hosts")
	b.header.Set("Accept-Language", "fr, en;q=0.1, de-CH;q=0.8")
	b.get("/portal/hosts").is(200, `<html lang="de">`, "Meine Hosts")
	b.post("/portal/language", "language", "en", "back", "/portal/hosts?q=x").to("/portal/hosts?q=x")
	b.get("/portal/hosts").is(200, `<html lang="en">`)
	other := s.as("ada") // another browser of hers
	other.header.Set("Accept-Language", "de")
	other.get("/portal/hosts").is(200, `<html lang="en">`)
	for _, back := range []string{"https://evil.example/", "//evil.example/", "/portal/\\evil", "/elsewhere", "javascript:alert(1)", "/portal/..//evil.example"} {
		p := b.post("/portal/language", "language", "de", "back", back)
		if to := p.header.Get("Location"); !strings.HasPrefix(to, "/portal/") {
			t.Errorf("back %q leads to %q", back, to)
		}
	}
	b.post("/portal/language", "language", "xx").is(404)
}

func TestFormsOfOthersAreRefused(t *testing.T) {
	s := newSite(t)
	b := s.as("ada")
	good := url.Values{"csrf": {b.csrf}, "language": {"de"}}
	if p := b.send("/portal/language", good, "same-origin"); p.status != 303 {
		t.Fatalf("%d", p.status)
	}
	b.send("/portal/language", good, "cross-site").is(403, "nicht angenommen")
	b.send("/portal/language", good, "same-site").is(403)
	b.send("/portal/language", url.Values{"language": {"de"}}, "same-origin").is(403)
	b.send("/portal/language", url.Values{"language": {"de"}, "csrf": {s.as("bob").csrf}}, "same-origin").is(403)
	b.send("/portal/language?csrf="+url.QueryEscape(b.csrf), url.Values{"language": {"de"}}, "same-origin").is(403)
	b.header.Set("Origin", "https://evil.example")
	b.send("/portal/language", good, "").is(403)
	b.header.Del("Origin")
	b.send("/portal/language", url.Values{"csrf": {b.csrf}, "language": {strings.Repeat("x", maxForm)}}, "same-origin").is(413)
}

func TestEachPageSaysWhatBrowsersMayDoWithIt(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/portal/hosts", "/portal/nowhere"} {
		p := s.as("ada").get(path)
		csp := p.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		if p.header.Get("Cache-Control") != "no-store" || p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, p.header)
		}
		p.lacks("<style", "style=", "onclick", "<script>")
	}
}

func TestStaticFilesAreKeptByTheirContent(t *testing.T) {
	s := newSite(t)
	b := s.nobody()
	for name := range s.static {
		p := b.get("/portal/static/" + name)
		if p.status != 200 || !strings.Contains(p.header.Get("Cache-Control"), "immutable") || p.header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name, p.status, p.header)
		}
	}
	b.get("/portal/static/style.css").is(404)
	b.get("/portal/static/../templates/layout.html").is(http.StatusTemporaryRedirect)
}

func TestFlashIsSaidOnce(t *testing.T) {
	s := newSite(t)
	s.handle("POST /portal/test", person, func(r *request) error { return r.done("/portal/hosts", "hosts.none-found", "<b>x</b>") })
	b := s.as("ada")
	b.post("/portal/test").to("/portal/hosts")
	b.get("/portal/hosts").is(200, `role="status"`, "&lt;b&gt;x").lacks("<b>x")
	b.get("/portal/hosts").lacks(`role="status"`)
}

func TestRolesSeeTheirPages(t *testing.T) {
	s := newSite(t)
	for name, a := range map[string]access{"person": person, "changer": changer, "overseer": overseer, "operator": operator, "administrator": administrator} {
		s.handle("GET /portal/test/"+name, a, func(r *request) error { return r.redirect("/portal/hosts") })
	}
	for who, may := range map[string]string{"ada": "person changer", "auditor": "person overseer", "operator": "person changer overseer operator",
		"administrator": "person changer overseer operator administrator"} {
		for _, name := range []string{"person", "changer", "overseer", "operator", "administrator"} {
			status := s.as(who).get("/portal/test/" + name).status
			if slices.Contains(strings.Fields(may), name) != (status == 303) {
				t.Errorf("%s at a page for each %s: %d", who, name, status)
			}
		}
	}
}

func FuzzAccepted(f *testing.F) {
	f.Add("de-CH, fr;q=0.9, *;q=0.1")
	f.Add(";q=,,q=1;")
	f.Fuzz(func(t *testing.T, header string) {
		if len(accepted(header)) > 20 {
			t.Error("too many")
		}
	})
}

func FuzzLocal(f *testing.F) {
	for _, s := range []string{"/portal/hosts", "//evil.example/portal/", "/portal/\\", "https:/portal/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		to := local(path, "/portal/")
		base, _ := url.Parse("https://portal.example.org/portal/x")
		u, err := base.Parse(to)
		if err != nil || u.Host != "portal.example.org" || u.Scheme != "https" {
			t.Errorf("%q leads to %q", path, to)
		}
	})
}

func TestNumbersHaveTheirForm(t *testing.T) {
	l := &language{texts: map[string]string{"x.one": "a host", "x.other": "%s hosts"}}
	if a, b := l.n("x", 1), l.n("x", 2); a != "a host" || b != "2 hosts" {
		t.Error(a, b)
	}
}
