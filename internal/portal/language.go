package portal

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"vidimus/internal/acme"
)

//go:embed templates texts static
var files embed.FS

// language is one in which the pages are.
type language struct {
	Code  string // as in texts/CODE.yaml and in HTML
	Name  string // as its speakers call it
	texts map[string]string
	pages map[string]*template.Template
}

// loadLanguages reads texts/*.yaml. English comes first: it is for who wants none of them.
func (p *Portal) loadLanguages() error {
	entries, err := files.ReadDir("texts")
	if err != nil {
		return err
	}
	for _, e := range entries {
		l := &language{Code: strings.TrimSuffix(e.Name(), ".yaml")}
		data, err := files.ReadFile("texts/" + e.Name())
		if err != nil {
			return err
		}
		if err := yaml.Unmarshal(data, &l.texts); err != nil {
			return fmt.Errorf("texts/%s: %w", e.Name(), err)
		}
		l.Name = l.t("language.name")
		if err := p.load(l); err != nil {
			return err
		}
		p.languages = append(p.languages, l)
	}
	slices.SortFunc(p.languages, func(a, b *language) int {
		return cmp.Or(cmp.Compare(b2i(a.Code != "en"), b2i(b.Code != "en")), cmp.Compare(a.Code, b.Code))
	})
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// t is a text; args take the places of its %s.
func (l *language) t(key string, args ...any) string {
	text, ok := l.texts[key]
	if !ok {
		return key // a test finds it
	}
	args = args[:min(len(args), strings.Count(text, "%s"))] // a form for one need not say the number
	if len(args) == 0 {
		return text
	}
	args = args[:min(len(args), strings.Count(text, "%s"))] // "one day" needs no number
	for i, a := range args {
		args[i] = fmt.Sprint(a)
	}
	return fmt.Sprintf(text, args...)
}

// n is the text for a number: KEY.one or KEY.other, which may have a %s for it.
func (l *language) n(key string, number int, args ...any) string {
	form := ".other"
	if number == 1 {
		form = ".one"
	}
	return l.t(key+form, append([]any{number}, args...)...)
}

// functions are those of the templates.
func (p *Portal) functions(l *language) template.FuncMap {
	return template.FuncMap{
		"t": l.t, "n": l.n, "static": p.staticURL, "path": url.PathEscape, "at": at, "day": day,
		"client": clientName, "left": p.left, "reason": func(code acme.RevocationReason) string { return acme.Reasons[code] },
		"place":    place,
		"rootFile": func() string { return rootFile },
	}
}

// at is a time for people and programs, in UTC; nothing for the zero time.
func at(t time.Time) template.HTML { return timeElement(t, "2006-01-02 15:04") }

// day is at without the time of day.
func day(t time.Time) template.HTML { return timeElement(t, time.DateOnly) }

func timeElement(t time.Time, layout string) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format(layout) + `</time>`)
}

const languageCookie = "__Host-vidimus-language"

// languageOf is what a person has chosen for good, or in this browser, or what the
// browser asks for.
func (p *Portal) languageOf(r *http.Request, own string) *language {
	wanted := []string{own}
	if c, err := r.Cookie(languageCookie); err == nil {
		wanted = append(wanted, c.Value)
	}
	for _, code := range append(wanted, accepted(r.Header.Get("Accept-Language"))...) {
		if l := p.languageCode(code); l != nil {
			return l
		}
	}
	return p.languages[0]
}

func (p *Portal) languageCode(code string) *language {
	for _, l := range p.languages {
		if l.Code == code {
			return l
		}
	}
	return nil
}

// accepted lists the languages of an Accept-Language header field (RFC 9110 §12.5.4), the
// one that is liked best first, without regions.
func accepted(header string) []string {
	type choice struct {
		code string
		q    float64
	}
	var all []choice
	for part := range strings.SplitSeq(header, ",") {
		if len(all) == 20 {
			break
		}
		code, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(weight), "q="); ok {
			q, _ = strconv.ParseFloat(value, 64)
		}
		code, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(code)), "-")
		if q > 0 {
			all = append(all, choice{code, q})
		}
	}
	slices.SortStableFunc(all, func(a, b choice) int { return cmp.Compare(b.q, a.q) })
	codes := make([]string, len(all))
	for i, c := range all {
		codes[i] = c.code
	}
	return codes
}

// chooseLanguage keeps a choice of language in the browser, and with the person.
func (r *request) chooseLanguage() error {
	l := r.portal.languageCode(r.PostFormValue("language"))
	if l == nil {
		return errNotFound
	}
	r.setCookie(languageCookie, l.Code, 365*24*60*60)
	if r.visitor.Person.ID != 0 {
		if err := r.portal.Store.SetLanguage(r.Context(), r.visitor.Person.ID, l.Code); err != nil {
			return err
		}
	}
	return r.redirect(local(r.PostFormValue("back"), "/portal/"))
}

// left is how many whole days there are until a time; 0 when it has passed.
func (p *Portal) left(t time.Time) int { return max(0, int(t.Sub(p.Now())/(24*time.Hour))) }

// place is a network address without the port.
func place(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
