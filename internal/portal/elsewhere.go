package portal

import (
	"errors"
	"net/http"

	"vidimus/internal/login"
)

// elsewhere sends a browser to a provider, or to the listener that asks for a certificate.
// It is a link and no form, for a form of ours may lead to no other server (see setHeader);
// what another page can do with it is to begin a log-in, of who is at the browser.
func (p *Portal) elsewhere(r *request) error {
	name, next := r.PathValue("name"), r.FormValue("next")
	where, s, err := "", login.Step{}, error(nil)
	if c := p.Door.Certificates; c != nil && c.Name == name {
		where, s, err = p.Door.AskCard(r.Context(), r.browser(), next)
	} else {
		where, s, err = p.Door.Away(r.Context(), r.browser(), name, next)
	}
	if errors.Is(err, login.ErrNoWay) {
		return errNotFound
	}
	if err != nil {
		return r.wrong("login", r.loginPage(), err)
	}
	r.setCookie(begunCookie, s.Token, 0)
	return r.redirect(where)
}

// callback is where a provider sends the browser back to. No page is shown at its URL,
// which has a code in it.
func (p *Portal) callback(r *request) error {
	s, err := p.Door.Back(r.Context(), r.browser(), r.begun(), r.PathValue("name"), r.URL.Query())
	if err == nil {
		return r.step(s)
	}
	_, text, known := r.loginError(err)
	if !known {
		return err
	}
	p.Log.WarnContext(r.Context(), "logging in", "way", r.PathValue("name"), "err", err)
	return r.beginAnew(text)
}

// Cards answers at the listener that asks browsers for a certificate. Cookies know no
// ports, so the session that begins here is the portal's.
func (p *Portal) Cards() http.Handler {
	mux := http.NewServeMux()
	rt := &route{access: anybody, do: p.card}
	mux.HandleFunc("GET "+login.CardPath, func(w http.ResponseWriter, r *http.Request) { p.serve(rt, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, p.Door.Certificates.Home+"/portal/login", http.StatusSeeOther)
	})
	return mux
}

func (p *Portal) card(r *request) error {
	home := p.Door.Certificates.Home
	s, err := p.Door.Card(r.Context(), r.browser(), r.begun(), r.TLS)
	if err == nil {
		r.enter(s)
		return r.redirect(home + s.To)
	}
	_, text, known := r.loginError(err)
	if !known {
		return err
	}
	if errors.Is(err, login.ErrNotAccepted) {
		p.Log.WarnContext(r.Context(), "logging in by certificate", "err", err)
		text = r.t("login.card-not-accepted")
	}
	r.setCookie(begunCookie, "", -1)
	r.setFlash(flash{Text: text, Bad: true})
	return r.redirect(home + "/portal/login")
}
