package portal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"vidimus/integration/peer"
)

// devPeople are the passwords of the demo's people, by login.
type devPeople map[string]string

// startServer starts a server with a small organisation, and tells where it is and who
// may log in.
func startServer(t *testing.T) (*peer.Vidimusd, string, devPeople) {
	t.Helper()
	peer.Need(t, "chromium")
	v := peer.StartVidimusd(t, "--demo-size", "60")
	var info struct {
		Portal string
		People []struct{ Login, Password string }
	}
	data, err := os.ReadFile(filepath.Join(v.Dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &info); err != nil {
		t.Fatal(err)
	}
	people := devPeople{}
	for _, p := range info.People {
		people[p.Login] = p.Password
	}
	site, _, ok := strings.Cut(info.Portal, "/portal")
	if !ok || len(people) < 4 {
		t.Fatalf("dev.json tells of no portal: %s", data)
	}
	return v, site, people
}

// Whoever looks at whatever page, in each language and theme: the page is there, the
// browser has nothing to say against it, and axe-core neither.
func TestAllPagesAreAccessible(t *testing.T) {
	_, site, people := startServer(t)
	for _, who := range []struct {
		login, language string
		themes          []string
	}{
		{"ada", "en", []string{"light", "dark"}}, {"ada", "de", []string{"light"}},
		{"administrator", "en", []string{"light", "dark"}}, {"auditor", "de", []string{"light"}}, {"operator", "de", []string{"dark"}},
	} {
		t.Run(who.login+"-"+who.language, func(t *testing.T) {
			b := newTab(t, site, who.language)
			b.visit("/portal/login")
			b.look("login", who.login, who.language, who.themes)
			b.logIn(who.login, people[who.login])
			seen := map[string]bool{}
			for next := []string{"/portal/hosts"}; len(next) > 0; {
				path := next[0]
				next = next[1:]
				if seen[kindOfPage(path)] {
					continue
				}
				seen[kindOfPage(path)] = true
				b.visit(path)
				b.look(kindOfPage(path), who.login, who.language, who.themes)
				next = append(next, b.links()...)
			}
			if len(seen) < 4 {
				t.Errorf("only these pages were found: %v", seen)
			}
			b.press(`form[action="/portal/logout"] button`)
			if path := b.path(); !strings.HasPrefix(path, "/portal/login") {
				t.Errorf("after the log-out the page is %s", path)
			}
		})
	}
}

// look looks at the page that is open, in each of the themes.
func (b *tab) look(name, login, language string, themes []string) {
	b.t.Helper()
	for _, theme := range themes {
		b.theme(theme)
		b.accessible(name + " for " + login + ", " + language + ", " + theme)
		b.screenshot(strings.Join([]string{name, login, language, theme}, "-"))
	}
	b.fine(name + " for " + login)
	if language != "en" {
		return
	}
	b.run(chromedp.EmulateViewport(320, 640))
	if eval[bool](b, `document.documentElement.scrollWidth > 320`) {
		b.t.Errorf("%s for %s is wider than a small screen", name, login)
	}
	b.screenshot(strings.Join([]string{name, login, language, "small"}, "-"))
	b.run(chromedp.EmulateViewport(1200, 900))
}

// links are where the page that is open leads to, but for what is saved as a file.
func (b *tab) links() (all []string) {
	b.t.Helper()
	for _, h := range eval[[]string](b, `[...document.querySelectorAll('a[href^="/portal/"]:not([download])')].map(a => a.getAttribute("href"))`) {
		if !file.MatchString(h) {
			all = append(all, h)
		}
	}
	return all
}

var (
	file   = regexp.MustCompile(`export|\.(pem|der|p7[bc]|cer|csv|json|jsonl)($|\?)|/(pem|der|chain|pkcs7|csv)($|\?)|format=`)
	object = regexp.MustCompile(`/[^/]*(\.|%40|[0-9a-f]{20}|[0-9]{3})[^/]*`)
)

// kindOfPage is the same for all pages that differ only in what they are about.
func kindOfPage(path string) string {
	path, _, _ = strings.Cut(path, "?")
	path = object.ReplaceAllString(strings.TrimPrefix(path, "/portal"), "/one")
	for _, of := range []string{"people", "groups"} {
		if strings.HasPrefix(path, "/"+of+"/") {
			path = "/" + of + "/one"
		}
	}
	return strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
}
