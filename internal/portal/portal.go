// Package portal is the pages for people: those responsible for hosts, who manage
// ACME-IDs and certificates, and the CA team. It shows what package store keeps and has
// package directory decide; it decides nothing about names itself.
//
// Pages are made on the server and work without script, which only makes them quicker to
// use. What comes from outside reaches a page through html/template only.
//
// To add a page:
//
//   - A file named for it has its handlers, and a method that declares their routes, which
//     [New] calls:
//
//     func (p *Portal) thingRoutes() {
//     p.handle("GET /portal/things", person, p.things)
//     p.handle("POST /portal/things/{name}/remove", changer, p.removeThing)
//     }
//
//     A handler is func(r *request) error. It ends with r.show("thing", data), the page;
//     r.showAs(422, "thing", data), the form again with what is wrong; r.done(path,
//     "thing.removed", name), a redirect to a page that says so; or an error, for which
//     there is a page: errNotFound and [directory.ErrNotYours] are 404, errForbidden 403,
//     [store.ErrUnavailable] 503, any other is logged and 500. Who is asking is in
//     r.visitor; r.Context() has them as the actor of the audit log.
//
//   - templates/thing.html defines "title" and "main", which are given a [view]: {{.Data}}
//     is what the handler gave, {{.Visitor}} who looks. Each form has {{template "csrf" .}}
//     in it. Functions: t (a text with its arguments), n (a text for a number: KEY.one and
//     KEY.other), at and day (a time), path (a value as one part of a URL's path), static
//     (the URL of a static file). Classes are in static/style.css.
//
//   - texts/*.yaml have its texts in each language, under "thing."; a test finds what is
//     missing. The navigation (navigation.go) shows a page once it has a route.
//
//   - A form is read by r.PostFormValue; it was parsed, bounded and its token checked. A
//     route that takes more than maxForm or files says so: p.handle(...).limit = bytes.
package portal

import (
	"context"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"vidimus/internal/directory"
	"vidimus/internal/login"
	desk "vidimus/internal/request"
	"vidimus/internal/store"
)

// Visitor is a person who has logged in.
type Visitor struct {
	Person store.Person
	Editor directory.Editor
	CSRF   string // each form of theirs carries this
}

// ErrNobody says that a request comes from nobody who has logged in.
var ErrNobody = errors.New("nobody is logged in")

// Visitors finds who sends a request; [ErrNobody] when they are not logged in.
type Visitors interface {
	Visitor(r *http.Request) (Visitor, error)
}

// ACMEDirectory is where accounts are bound to ACME-IDs.
type ACMEDirectory struct {
	Name    string // of the issuer
	URL     string
	Staging bool   // to try things with
	Root    string // URL of the root certificate that it issues under
	RootPEM string
	Private bool // clients don't trust this server before they are told to trust that root
}

// Config is what a Portal is made of.
type Config struct {
	Title   string // of the pages; "" means Vidimus
	Contact string // whom to ask for help: an e-mail address or URL; "" for nobody
	// Directories are those that need EAB, the one to use first.
	Directories []ACMEDirectory
	Store       *store.Store
	Directory   *directory.Directory
	Desk        *desk.Desk // gives certificates without ACME, and has the issuers; nil for none
	Visitors    Visitors
	Door        *login.Door // by which people get in; nil for no pages to log in by
	Log         *slog.Logger
	Now         func() time.Time // nil means time.Now
}

// Portal answers under /portal/.
type Portal struct {
	Config
	mux       *http.ServeMux
	routes    map[string]*route // by pattern
	languages []*language       // the first is for who wants none of them
	static    map[string]staticFile
	guard     http.CrossOriginProtection
}

// New makes the pages ready.
func New(c Config) (*Portal, error) {
	if c.Title == "" {
		c.Title = "Vidimus"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Portal{Config: c, mux: http.NewServeMux(), routes: map[string]*route{}}
	if err := p.loadStatic(); err != nil {
		return nil, err
	}
	if err := p.loadLanguages(); err != nil {
		return nil, err
	}
	p.frameRoutes()
	p.loginRoutes()
	p.hostRoutes()
	p.hostEditRoutes()
	p.acmeIDRoutes()
	p.dashboardRoutes()
	p.suspensionRoutes()
	p.peopleRoutes()
	p.auditRoutes()
	p.revokeRoutes()
	p.sourceRoutes()
	p.certificateRoutes()
	p.requestRoutes()
	return p, nil
}

func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// frameRoutes are those that belong to no page.
func (p *Portal) frameRoutes() {
	p.handle("GET /portal/{$}", person, func(r *request) error { return r.redirect("/portal/hosts") })
	p.handle("POST /portal/language", anybody, (*request).chooseLanguage)
	p.handle("/portal/", anybody, func(*request) error { return errNotFound })
	p.mux.HandleFunc("GET /portal/static/{file}", p.serveStatic)
}

// view is what a template is given.
type view struct {
	Title      string // of the portal
	Contact    string // whom to ask for help
	ContactURL string
	Page       string // name of the template
	Path       string // of the request, to come back to
	Language   string // code
	Languages  []*language
	Visitor    *Visitor // nil for nobody
	CSRF       string
	Menu       []menuEntry
	Flash      *flash // what has just been done; nil for nothing
	Data       any    // of the page
}

// load makes the templates of all pages in one language.
func (p *Portal) load(l *language) error {
	layout, err := template.New("layout").Funcs(p.functions(l)).ParseFS(files, "templates/layout.html")
	if err != nil {
		return err
	}
	pages, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return err
	}
	l.pages = map[string]*template.Template{}
	for _, file := range pages {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" {
			continue
		}
		page, err := layout.Clone()
		if err != nil {
			return err
		}
		if l.pages[name], err = page.ParseFS(files, file); err != nil {
			return err
		}
	}
	return nil
}

// unavailable tells whether an error says that nothing can be read just now.
func unavailable(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}
