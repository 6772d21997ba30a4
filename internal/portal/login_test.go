package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"vidimus/internal/login"
)

// newLoginSite is a site whose ada has the password "correct horse".
func newLoginSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	now := func() time.Time { return s.now }
	h := login.NewHasher(login.HashCost{Time: 1, Memory: 64, Threads: 1})
	c := s.Config
	c.Door = &login.Door{Store: s.Store, Sessions: s.sessions, Hasher: h, Title: "Test", Log: s.Log, Now: now,
		Passwords: []login.PasswordWay{&login.LocalPasswords{Store: s.Store, Hasher: h}}}
	var err error
	s.Portal, err = New(c)
	must(t, err)
	s.server = httptest.NewTLSServer(s.Portal)
	t.Cleanup(s.server.Close)
	p, err := s.Store.PersonAlone(t.Context(), "ada")
	must(t, err)
	hash, err := h.Hash(t.Context(), "correct horse")
	must(t, err)
	must(t, s.Store.SetPassword(t.Context(), p, hash, s.now, 0))
	return s
}

var formToken = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// formOf takes the token of a page's form.
func (b *browser) formOf(path string) {
	b.t.Helper()
	p := b.get(path).is(200)
	m := formToken.FindStringSubmatch(p.body)
	if m == nil {
		b.t.Fatalf("%s has no form", path)
	}
	b.csrf = m[1]
}

// cookie is what the browser has of a name.
func (b *browser) cookie(name string) string {
	u, _ := url.Parse(b.server.URL)
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	u, _ := url.Parse(b.server.URL)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

func TestLogInLeadsToThePageThatWasAskedFor(t *testing.T) {
	s := newLoginSite(t)
	b := s.nobody()
	b.get("/portal/hosts?q=a").to("/portal/login?next=%2Fportal%2Fhosts%3Fq%3Da")
	b.formOf("/portal/login?next=%2Fportal%2Fhosts%3Fq%3Da")
	b.post("/portal/login", "login", "ada", "password", "wrong", "next", "/portal/hosts?q=a").
		is(422, "The login or the password is wrong.", `value="ada"`, `name="next" value="/portal/hosts?q=a"`, `aria-invalid="true"`).lacks(`value="wrong"`)
	b.post("/portal/login", "login", "ada", "password", "correct horse", "next", "/portal/hosts?q=a").to("/portal/hosts?q=a")
	b.get("/portal/hosts").is(200, "Ada Archer")
	b.get("/portal/login?next=/portal/account").to("/portal/account")
}

func TestALinkToTheLogInSendsNobodyElsewhere(t *testing.T) {
	s := newLoginSite(t)
	for _, next := range []string{"//evil.example.org/", "https://evil.example.org/", "/portal/\\evil.example.org", "/portal//evil", "javascript:alert(1)"} {
		b := s.nobody()
		b.formOf("/portal/login?next=" + url.QueryEscape(next))
		b.get("/portal/login?next="+url.QueryEscape(next)).is(200, `name="next" value="/portal/"`)
		b.post("/portal/login", "login", "ada", "password", "correct horse", "next", next).to("/portal/")
		b.get("/portal/login?next=" + url.QueryEscape(next)).to("/portal/")
	}
}

// Login CSRF: another page logs a browser in as the attacker.
func TestTheFormOfAnotherPageLogsNobodyIn(t *testing.T) {
	s := newLoginSite(t)
	attacker, b := s.nobody(), s.nobody()
	attacker.formOf("/portal/login")
	send := func(what, csrf, from string) {
		t.Helper()
		b.send("/portal/login", url.Values{"login": {"ada"}, "password": {"correct horse"}, "csrf": {csrf}}, from).is(403)
		if b.cookie(login.CookieName) != "" {
			t.Errorf("%s: logged in", what)
		}
	}
	send("without having asked for a form", "", "same-origin")
	send("with the attacker's form", attacker.csrf, "same-origin")
	b.formOf("/portal/login")
	send("without a token", "", "same-origin")
	send("with the attacker's token", attacker.csrf, "same-origin")
	send("from another site", b.csrf, "cross-site")
	send("from a subdomain", b.csrf, "same-site")
	b.post("/portal/login", "login", "ada", "password", "correct horse").to("/portal/")
}

// Session fixation: a cookie that somebody else has put there.
func TestALogInMakesATokenOfItsOwn(t *testing.T) {
	s := newLoginSite(t)
	b := s.nobody()
	known, begun := strings.Repeat("A", 43), strings.Repeat("B", 43)
	b.setCookie(login.CookieName, known)
	b.setCookie(begunCookie, begun)
	b.formOf("/portal/login")
	b.post("/portal/login", "login", "ada", "password", "correct horse").to("/portal/")
	first := b.cookie(login.CookieName)
	if first == known || first == begun || first == "" {
		t.Fatalf("the session's token is %q", first)
	}
	// Nor is that of another session taken over.
	c := s.nobody()
	c.setCookie(login.CookieName, first)
	c.get("/portal/hosts").is(200)
	d := s.nobody()
	d.formOf("/portal/login")
	d.post("/portal/login", "login", "ada", "password", "correct horse")
	if d.cookie(login.CookieName) == first {
		t.Error("two log-ins have one token")
	}
	b.formOf("/portal/account")
	b.post("/portal/logout").to("/portal/login")
	c.get("/portal/hosts").to("/portal/login?next=%2Fportal%2Fhosts") // the token is worth nothing any more
	d.get("/portal/hosts").is(200)
}

func TestWhoGuessesIsHeldBack(t *testing.T) {
	s := newLoginSite(t)
	b := s.nobody()
	b.formOf("/portal/login")
	for i := range 5 {
		name := []string{"ada", "nobody"}[i%2]
		b.post("/portal/login", "login", name, "password", "wrong").is(422, "The login or the password is wrong.")
	}
	for range 2 {
		b.post("/portal/login", "login", "ada", "password", "wrong").is(422)
	}
	p := b.post("/portal/login", "login", "ada", "password", "correct horse").is(429, "Logging in has failed too often.")
	if p.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", p.header.Get("Retry-After"))
	}
	s.now = s.now.Add(time.Second)
	b.post("/portal/login", "login", "ada", "password", "correct horse").to("/portal/")
}

func TestOneTimeCodesInTheBrowser(t *testing.T) {
	s := newLoginSite(t)
	b := s.nobody()
	b.formOf("/portal/login")
	b.post("/portal/login", "login", "ada", "password", "correct horse")
	b.formOf("/portal/account")
	p := b.post("/portal/account/codes").is(200, "<svg", `fill="#000" d="M`)
	if p.header.Get("Cache-Control") != "no-store" {
		t.Error("the secret is kept by the browser")
	}
	x, err := s.Store.PersonAlone(t.Context(), "ada")
	must(t, err)
	secrets, err := s.Store.Secrets(t.Context(), x.ID)
	must(t, err)
	b.post("/portal/account/codes/confirm", "code", "000000").is(422, "The code is wrong").lacks("<svg")
	code := func() string { return login.CodeOf(secrets.Pending, s.now) }
	p = b.post("/portal/account/codes/confirm", "code", code()).is(200, "Your recovery codes")
	recovery := regexp.MustCompile(`[A-Z2-7]{4}(-[A-Z2-7]{4}){3}`).FindAllString(p.body, -1)
	if len(recovery) != 10 {
		t.Fatalf("there are %d recovery codes", len(recovery))
	}
	// Neither is shown again.
	b.get("/portal/account").is(200, "You have 10 recovery codes left.").lacks("<svg", recovery[0])
	b.post("/portal/account/codes").to("/portal/account")

	s.now = s.now.Add(time.Minute)
	c := s.nobody()
	c.formOf("/portal/login")
	c.post("/portal/login", "login", "ada", "password", "correct horse", "next", "/portal/account").to("/portal/login/code")
	c.get("/portal/account").to("/portal/login?next=%2Fportal%2Faccount")
	c.formOf("/portal/login/code")
	c.post("/portal/login/code", "code", "123456").is(422, "The code is wrong")
	stolen := c.cookie(begunCookie)
	c.post("/portal/login/code", "code", code()).to("/portal/account")
	// Reuse, by who has seen the code and the cookie.
	d := s.nobody()
	d.setCookie(begunCookie, stolen)
	d.csrf = tokenOfForm(stolen)
	d.post("/portal/login/code", "code", code()).to("/portal/login")
	d.get("/portal/login").is(200, "Log in again.")
	d.formOf("/portal/login")
	d.post("/portal/login", "login", "ada", "password", "correct horse").to("/portal/login/code")
	d.formOf("/portal/login/code")
	d.post("/portal/login/code", "code", code()).is(422, "or was used already")
	d.post("/portal/login/code", "code", recovery[0]).to("/portal/")
}

func TestOnesOwnSessionsAndNoOthers(t *testing.T) {
	s := newLoginSite(t)
	ada, again, bob := s.as("ada"), s.as("ada"), s.as("bob")
	x, err := s.sessions.Find(t.Context(), again.cookie(login.CookieName))
	must(t, err)
	end := fmt.Sprintf("/portal/account/sessions/%d/end", x.ID)
	bob.post(end).is(404)
	again.get("/portal/account").is(200)
	ada.get("/portal/account").is(200, end)
	ada.post(end).to("/portal/account")
	again.get("/portal/account").to("/portal/login?next=%2Fportal%2Faccount")
	third := s.as("ada")
	ada.post("/portal/account/sessions/end-others").to("/portal/account")
	third.get("/portal/account").to("/portal/login?next=%2Fportal%2Faccount")
	bob.get("/portal/account").is(200)
	bob.send("/portal/logout", url.Values{"csrf": {ada.csrf}}, "same-origin").is(403)

	bob.post("/portal/people/ada/log-out").is(403)
	s.as("auditor").post("/portal/people/ada/log-out").is(403)
	ada.get("/portal/account").is(200)
	s.as("operator").post("/portal/people/ada/log-out").to("/portal/people/ada")
	ada.get("/portal/account").to("/portal/login?next=%2Fportal%2Faccount")

	ada = s.as("ada")
	ada.post("/portal/account/password", "old", "correct horse", "new", "battery staple", "again", "battery stapel").is(422, "The two are not the same.")
	ada.post("/portal/account/password", "old", "wrong", "new", "battery staple", "again", "battery staple").is(422, "That is not your password.")
	ada.post("/portal/account/password", "old", "correct horse", "new", "ada", "again", "ada").is(422, "Take another password")
	ada.post("/portal/account/password", "old", "correct horse", "new", "battery staple", "again", "battery staple").to("/portal/account")
}
