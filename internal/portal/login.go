package portal

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"math"
	"net"
	"net/http"
	"strconv"

	"vidimus/internal/login"
)

func (p *Portal) loginRoutes() {
	if p.Door == nil {
		return
	}
	p.handle("POST /portal/logout", person, p.logOut)
	p.handle("GET /portal/login", anybody, p.loginForm)
	p.handle("POST /portal/login", anybody, p.logIn).limit = maxLogin
	p.handle("GET /portal/login/code", anybody, p.codeForm)
	p.handle("POST /portal/login/code", anybody, p.code).limit = maxLogin
	p.handle("GET /portal/login/enrol", anybody, p.enrolForm)
	p.handle("POST /portal/login/enrol", anybody, p.enrol).limit = maxLogin
	p.handle("GET /portal/login/with/{name}", anybody, p.elsewhere)
	p.handle("GET /portal/login/callback/{name}", anybody, p.callback)
	p.accountRoutes()
}

// maxLogin is how large the forms of who is not logged in may be, in bytes.
const maxLogin = 8 << 10

// begunCookie has the token of a log-in that has begun, or before that a random text; in
// any case the forms of the log-in carry its hash, so that nobody else's page can send them
// (login CSRF).
const begunCookie = "__Host-vidimus-login"

// loginPage is what the pages of the log-in show.
type loginPage struct {
	CSRF      string
	Next      string // where to go then
	Passwords bool
	Ways      []login.Way // elsewhere
	Login     string      // as it was typed
	Wrong     string      // what is wrong; "" for nothing
	Enrolment *login.Enrolment
	Recovery  []string
}

func tokenOfForm(cookie string) string {
	sum := sha256.Sum256([]byte("vidimus log-in form\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begun is the value of the browser's cookie; "" when there is none.
func (r *request) begun() string {
	c, err := r.Cookie(begunCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// ownForm refuses forms that this browser was not given.
func (r *request) ownForm() error {
	cookie := r.begun()
	if cookie == "" || subtle.ConstantTimeCompare([]byte(tokenOfForm(cookie)), []byte(r.PostFormValue("csrf"))) != 1 {
		return errForeign
	}
	return nil
}

// loginPage has what each page of the log-in has.
func (r *request) loginPage() *loginPage {
	cookie := r.begun()
	if cookie == "" {
		b := make([]byte, 16)
		rand.Read(b) // never fails
		cookie = base64.RawURLEncoding.EncodeToString(b)
		r.setCookie(begunCookie, cookie, 0)
	}
	d := r.portal.Door
	return &loginPage{CSRF: tokenOfForm(cookie), Next: login.LocalPath(r.FormValue("next")), Passwords: len(d.Passwords) > 0, Ways: d.Ways()}
}

func (r *request) browser() login.Browser {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return login.Browser{Address: host, UserAgent: r.UserAgent()}
}

func (p *Portal) loginForm(r *request) error {
	if r.visitor.Person.ID != 0 {
		return r.redirect(login.LocalPath(r.FormValue("next")))
	}
	return r.show("login", r.loginPage())
}

func (p *Portal) logIn(r *request) error {
	if len(p.Door.Passwords) == 0 {
		return errNotFound
	}
	if err := r.ownForm(); err != nil {
		return err
	}
	name := r.PostFormValue("login")
	s, err := p.Door.Password(r.Context(), r.browser(), name, r.PostFormValue("password"), r.PostFormValue("next"))
	if err != nil {
		page := r.loginPage()
		page.Login = name
		return r.wrong("login", page, err)
	}
	return r.step(s)
}

// step goes on to where a log-in leads next.
func (r *request) step(s login.Step) error {
	if s.Stage != login.Done {
		r.setCookie(begunCookie, s.Token, 0)
		return r.redirect("/portal/login/" + string(s.Stage))
	}
	r.enter(s)
	return r.redirect(s.To)
}

// enter gives the browser its session.
func (r *request) enter(s login.Step) {
	r.setCookie(begunCookie, "", -1)
	http.SetCookie(r.w, login.Cookie(s.Token))
}

// wrong shows a form of the log-in again, with what is wrong. A log-in that has taken too
// long begins anew.
func (r *request) wrong(page string, data *loginPage, err error) error {
	status, text, known := r.loginError(err)
	if !known {
		return err
	}
	if errors.Is(err, login.ErrExpired) {
		return r.beginAnew(text)
	}
	data.Wrong = text
	return r.showAs(status, page, data)
}

// beginAnew sends the browser to the beginning of the log-in, which says why.
func (r *request) beginAnew(text string) error {
	r.setCookie(begunCookie, "", -1)
	r.setFlash(flash{Text: text, Bad: true})
	return r.redirect("/portal/login")
}

// loginError words an error for people; known is false for what is none of theirs.
func (r *request) loginError(err error) (status int, text string, known bool) {
	var often login.TooMany
	var bad login.WrongNew
	switch {
	case errors.As(err, &often):
		seconds := int(math.Ceil(often.Wait.Seconds()))
		r.w.Header().Set("Retry-After", strconv.Itoa(seconds))
		return http.StatusTooManyRequests, r.language.n("login.too-many", seconds), true
	case errors.As(err, &bad):
		return http.StatusUnprocessableEntity, r.t("login.bad-password", login.ShortestPassword), true
	}
	for _, e := range []struct {
		err    error
		status int
		key    string
	}{
		{login.ErrWrong, http.StatusUnprocessableEntity, "login.wrong"},
		{login.ErrUnknownPerson, http.StatusForbidden, "login.unknown"},
		{login.ErrBusy, http.StatusServiceUnavailable, "login.busy"},
		{login.ErrAway, http.StatusServiceUnavailable, "login.away"},
		{login.ErrExpired, http.StatusUnprocessableEntity, "login.expired"},
		{login.ErrNotAccepted, http.StatusForbidden, "login.not-accepted"},
		{login.ErrWrongCode, http.StatusUnprocessableEntity, "login.wrong-code"},
	} {
		if errors.Is(err, e.err) {
			return e.status, r.t(e.key), true
		}
	}
	return 0, "", false
}

func (p *Portal) codeForm(r *request) error { return r.show("login-code", r.loginPage()) }

func (p *Portal) code(r *request) error {
	if err := r.ownForm(); err != nil {
		return err
	}
	s, err := p.Door.Code(r.Context(), r.browser(), r.begun(), r.PostFormValue("code"))
	if err != nil {
		return r.wrong("login-code", r.loginPage(), err)
	}
	return r.step(s)
}

func (p *Portal) enrolForm(r *request) error {
	page := r.loginPage()
	e, err := p.Door.Enrolment(r.Context(), r.begun())
	if err != nil {
		return r.wrong("login-enrol", page, err)
	}
	page.Enrolment = &e
	return r.show("login-enrol", page)
}

// enrol shows the recovery codes, this once.
func (p *Portal) enrol(r *request) error {
	if err := r.ownForm(); err != nil {
		return err
	}
	s, recovery, err := p.Door.Enrol(r.Context(), r.browser(), r.begun(), r.PostFormValue("code"))
	page := r.loginPage()
	if err != nil {
		return r.wrong("login-enrol", page, err)
	}
	r.enter(s)
	page.Next, page.Recovery = s.To, recovery
	return r.show("recovery", page)
}

// logOut ends the session.
func (p *Portal) logOut(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	if err := p.Door.Sessions.End(r.Context(), x); err != nil {
		return err
	}
	http.SetCookie(r.w, login.Cookie(""))
	return r.done("/portal/login", "login.logged-out")
}

// session is the one that the visitor has.
func (p *Portal) session(r *request) (login.Session, error) {
	x, err := p.Door.Sessions.Of(r.Request)
	if errors.Is(err, login.ErrNoSession) {
		err = ErrNobody
	}
	return x, err
}
