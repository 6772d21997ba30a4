package portal

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"vidimus/internal/directory"
	"vidimus/internal/login"
	"vidimus/internal/store"
	"vidimus/internal/store/storetest"
)

var day0 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// site is a portal on a database of its own, with people: ada (of the group web), bob,
// and one of each role, who has its name.
type site struct {
	*Portal
	t        *testing.T
	server   *httptest.Server
	sessions *login.Sessions
	now      time.Time
	path     string // of the database
	serial   int    // of the certificate made last
}

type sessionVisitors struct{ *login.Sessions }

func (v sessionVisitors) Visitor(r *http.Request) (Visitor, error) {
	x, err := v.Of(r)
	if errors.Is(err, login.ErrNoSession) {
		err = ErrNobody
	}
	return Visitor{Person: x.Person, Editor: x.Editor, CSRF: x.CSRF}, err
}

func newSite(t *testing.T) *site {
	t.Helper()
	path := storetest.Path(t)
	db, err := store.Open(t.Context(), path)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	s := &site{t: t, now: day0, path: path}
	now := func() time.Time { return s.now }
	s.sessions = &login.Sessions{Store: db, Now: now}
	s.Portal, err = New(Config{Store: db, Directory: &directory.Directory{Store: db, Now: now}, Desk: newDesk(t, db, now), Visitors: sessionVisitors{s.sessions}, Now: now,
		Contact: "ca@example.org", Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Directories: []ACMEDirectory{{Name: "main", URL: "https://acme.example.org/acme/main/directory", Root: "https://acme.example.org/ca/main-root.pem"},
			{Name: "main-staging", URL: "https://acme.example.org/acme/main-staging/directory", Staging: true}}})
	must(t, err)
	for _, p := range []store.Person{{Login: "ada", Name: "Ada Archer"}, {Login: "bob", Name: "Bob Baker"}, {Login: "auditor", Role: "auditor"},
		{Login: "operator", Role: "operator"}, {Login: "administrator", Role: "administrator"}} {
		p.Created = day0
		must(t, db.AddPerson(t.Context(), p))
	}
	must(t, db.AddGroup(t.Context(), store.Group{Name: "web", Title: "The web team", Members: []string{"ada"}}))
	s.server = httptest.NewTLSServer(s.Portal)
	t.Cleanup(s.server.Close)
	return s
}

// host enters a host; who begins with @ is a group.
func (s *site) host(fqdn string, who ...string) {
	s.t.Helper()
	var parties []store.Party
	for _, w := range who {
		name, group := strings.CutPrefix(w, "@")
		parties = append(parties, store.Party{Group: group, Name: name})
	}
	_, err := s.Directory.AddHost(s.t.Context(), fqdn, parties)
	must(s.t, err)
}

// exec changes the database by hand.
func (s *site) exec(statement string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.path)
	must(s.t, err)
	defer db.Close()
	_, err = db.Exec(statement)
	must(s.t, err)
}

// browser is somebody who looks at the portal.
type browser struct {
	*site
	client *http.Client
	csrf   string
	header http.Header // sent with each request
}

// nobody has not logged in.
func (s *site) nobody() *browser {
	jar, _ := cookiejar.New(nil)
	c := s.server.Client()
	return &browser{site: s, header: http.Header{}, client: &http.Client{Transport: c.Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as has logged in.
func (s *site) as(name string) *browser {
	s.t.Helper()
	b := s.nobody()
	token, err := s.sessions.New(s.t.Context(), login.Identity{Login: name, Method: "test"}, login.Browser{})
	must(s.t, err)
	x, err := s.sessions.Find(s.t.Context(), token)
	must(s.t, err)
	u, _ := url.Parse(s.server.URL)
	b.client.Jar.SetCookies(u, []*http.Cookie{login.Cookie(token)})
	b.csrf = x.CSRF
	return b
}

// page is an answer.
type page struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	for k, v := range b.header {
		r.Header[k] = v
	}
	res, err := b.client.Do(r)
	must(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	return page{b.t, res.StatusCode, res.Header, string(body)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
	must(b.t, err)
	return b.do(r)
}

// post sends a form as the page would: pairs of name and value, the token is added.
func (b *browser) post(path string, pairs ...string) page {
	b.t.Helper()
	form := url.Values{"csrf": {b.csrf}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.send(path, form, "same-origin")
}

func (b *browser) send(path string, form url.Values, from string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", from)
	return b.do(r)
}

// is checks the status, and that the page has all these texts.
func (p page) is(status int, texts ...string) page {
	p.t.Helper()
	if p.status != status {
		p.t.Errorf("status %d, not %d: %s", p.status, status, p.body)
	}
	for _, x := range texts {
		if !strings.Contains(p.body, x) {
			p.t.Errorf("%q is missing in: %s", x, p.body)
		}
	}
	return p
}

func (p page) lacks(texts ...string) page {
	p.t.Helper()
	for _, x := range texts {
		if strings.Contains(p.body, x) {
			p.t.Errorf("%q is in: %s", x, p.body)
		}
	}
	return p
}

// to checks that the page is a redirect.
func (p page) to(path string) page {
	p.t.Helper()
	if p.status != http.StatusSeeOther || p.header.Get("Location") != path {
		p.t.Errorf("status %d to %q, not a redirect to %q: %s", p.status, p.header.Get("Location"), path, p.body)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
