package portal

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"vidimus/internal/audit"
	"vidimus/internal/directory"
	"vidimus/internal/requestid"
	"vidimus/internal/store"
)

// access is who a route is for.
type access int

const (
	anybody       access = iota // logged in or not
	person                      // who has logged in
	changer                     // and is no auditor
	overseer                    // auditors, operators, administrators
	operator                    // operators, administrators
	administrator               // administrators
)

func (a access) allows(e directory.Editor) bool {
	switch a {
	case changer:
		return e.Role != directory.Auditor
	case overseer:
		return e.SeesAll()
	case operator:
		return e.ChangesAll()
	case administrator:
		return e.GivesRoles()
	}
	return true
}

// maxForm is how large a form may be, in bytes, where its route says nothing else: a list
// of a thousand long names.
const maxForm = 256 << 10

// route is a handler with what is checked before it.
type route struct {
	access access
	limit  int64 // of the form, in bytes
	do     func(*request) error
}

// request is one that has passed the checks.
type request struct {
	*http.Request
	w        http.ResponseWriter
	portal   *Portal
	visitor  Visitor // the zero value for nobody
	language *language
}

// The errors that handlers answer with.
var (
	errNotFound  = errors.New("there is no such page")
	errForbidden = errors.New("your role does not allow this")
	errForm      = errors.New("the form is too large, or not a form")
	errForeign   = errors.New("the form does not come from this portal, or is too old")
)

// handle declares a route.
func (p *Portal) handle(pattern string, a access, do func(*request) error) *route {
	rt := &route{access: a, limit: maxForm, do: do}
	p.routes[pattern] = rt
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(rt, w, r) })
	return rt
}

// serve checks a request, has it handled, and answers with an error page where that fails.
func (p *Portal) serve(rt *route, w http.ResponseWriter, hr *http.Request) {
	setHeader(w.Header())
	r := &request{Request: hr, w: w, portal: p, language: p.languageOf(hr, "")}
	err := p.check(rt, r)
	if err == nil {
		err = rt.do(r)
	}
	if err != nil {
		r.fail(err)
	}
}

// setHeader is for each page: it takes nothing from elsewhere, is framed nowhere, and is
// kept by nobody.
func setHeader(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Accept-Language, HX-Request")
}

func (p *Portal) check(rt *route, r *request) error {
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if changes && p.guard.Check(r.Request) != nil {
		return errForeign
	}
	v, err := p.Visitors.Visitor(r.Request)
	switch {
	case err == nil:
		r.visitor, r.language = v, p.languageOf(r.Request, v.Person.Language)
	case !errors.Is(err, ErrNobody):
		return err
	case rt.access != anybody:
		return ErrNobody
	}
	if !rt.access.allows(v.Editor) {
		return errForbidden
	}
	r.Request = r.WithContext(audit.With(r.Context(), audit.Actor{Person: v.Person.Login, Address: r.RemoteAddr, Request: requestid.From(r.Context())}))
	if !changes {
		return nil
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, rt.limit)
	err = r.ParseForm()
	if err == nil && r.MultipartForm == nil { // files stay in memory: the limit bounds them
		err = r.ParseMultipartForm(rt.limit)
	}
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return errForm
	}
	if v.Person.ID != 0 && subtle.ConstantTimeCompare([]byte(r.PostFormValue("csrf")), []byte(v.CSRF)) != 1 {
		return errForeign
	}
	return nil
}

// fail answers with the page for an error.
func (r *request) fail(err error) {
	status, key := http.StatusInternalServerError, "error.internal"
	var problem *problem
	switch {
	case errors.As(err, &problem):
		status, key = problem.status, problem.key
	case errors.Is(err, context.Canceled):
		return // nobody reads it
	case errors.Is(err, ErrNobody):
		r.logIn()
		return
	case errors.Is(err, errNotFound), errors.Is(err, directory.ErrNotYours), errors.Is(err, store.ErrNotFound):
		status, key = http.StatusNotFound, "error.not-found"
	case errors.Is(err, errForbidden):
		status, key = http.StatusForbidden, "error.forbidden"
	case errors.Is(err, errForeign):
		status, key = http.StatusForbidden, "error.foreign"
	case errors.Is(err, errForm):
		status, key = http.StatusRequestEntityTooLarge, "error.form"
	case unavailable(err):
		status, key = http.StatusServiceUnavailable, "error.unavailable"
		r.w.Header().Set("Retry-After", "10")
	}
	if status >= 500 {
		r.portal.Log.ErrorContext(r.Context(), "a page of the portal", "path", r.URL.Path, "err", err)
	}
	err = r.showAs(status, "error", struct{ Heading, Text, Request string }{
		r.t(key), r.t(key + ".text"), requestid.From(r.Context())})
	if err != nil {
		http.Error(r.w, r.t(key), status)
	}
}

// problem is an error with a page of its own: the texts KEY and KEY.text.
type problem struct {
	status int
	key    string
}

func (p *problem) Error() string { return p.key }

// logIn sends somebody who hasn't logged in to do so, and back to the page afterwards.
func (r *request) logIn() {
	to := "/portal/login"
	if r.Method == http.MethodGet {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("HX-Request") != "" { // which would put the form into the page
		r.w.Header().Set("HX-Refresh", "true")
		r.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.redirect(to)
}

// t is a text in the visitor's language.
func (r *request) t(key string, args ...any) string { return r.language.t(key, args...) }

// show answers with a page.
func (r *request) show(page string, data any) error { return r.showAs(http.StatusOK, page, data) }

// showAs is show with another status.
func (r *request) showAs(status int, page string, data any) error {
	v := view{Title: r.portal.Title, Contact: r.portal.Contact, ContactURL: contactURL(r.portal.Contact), Page: page, Path: r.URL.RequestURI(), Language: r.language.Code,
		Languages: r.portal.languages, Data: data, Flash: r.takeFlash()}
	if r.Method != http.MethodGet {
		v.Path = "/portal/"
	}
	if r.visitor.Person.ID != 0 {
		v.Visitor, v.CSRF, v.Menu = &r.visitor, r.visitor.CSRF, r.portal.menu(r)
	}
	var b bytes.Buffer
	if err := r.language.pages[page].ExecuteTemplate(&b, "layout", v); err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	r.w.WriteHeader(status)
	r.w.Write(b.Bytes())
	return nil
}

// redirect sends the visitor to a page of the portal.
func (r *request) redirect(path string) error {
	r.w.Header().Set("Location", path)
	r.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// done sends the visitor to a page that says what has been done, by a text.
func (r *request) done(path, key string, args ...any) error {
	r.setFlash(flash{Text: r.t(key, args...)})
	return r.redirect(path)
}

// local is path if it is one of the portal's, or else another.
func local(path, otherwise string) string {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(path, "/portal/") || strings.ContainsAny(path, "\\\r\n") {
		return otherwise
	}
	return path
}

// contactURL is where a link to an e-mail address or URL leads.
func contactURL(contact string) string {
	if strings.Contains(contact, "@") && !strings.Contains(contact, ":") {
		return "mailto:" + contact
	}
	return contact
}
