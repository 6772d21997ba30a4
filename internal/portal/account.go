package portal

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vidimus/internal/login"
	"vidimus/internal/store"
)

func (p *Portal) accountRoutes() {
	p.handle("GET /portal/account", person, p.account)
	p.handle("POST /portal/account/password", person, p.changePassword)
	p.handle("POST /portal/account/codes", person, p.beginCodes)
	p.handle("POST /portal/account/codes/confirm", person, p.confirmCodes)
	p.handle("POST /portal/account/codes/remove", person, p.removeCodes)
	p.handle("POST /portal/account/sessions/{id}/end", person, p.endSession)
	p.handle("POST /portal/account/sessions/end-others", person, p.endOthers)
	p.handle("POST /portal/people/{login}/log-out", operator, p.logOutPerson)
}

// accountPage is how a person logs in, and where they are.
type accountPage struct {
	Person   store.Person
	Session  int64 // this one
	Sessions []store.Session
	Password time.Time // when it was changed; zero when there is none here
	Codes    bool      // one-time codes are asked for
	Offer    bool      // they can be set up
	Recovery int       // how many codes are left
	Fields   []passwordField
	Wrong    map[string]string // by form or field
}

// passwordField is one of the fields to change the password by.
type passwordField struct{ Name, Label, Autocomplete, Hint, Wrong string }

// account shows the page of one's own. Queries: 3, besides the session.
func (p *Portal) account(r *request) error { return p.accountAs(r, http.StatusOK, nil) }

// accountAs shows the page with what is wrong in a form.
func (p *Portal) accountAs(r *request, status int, wrong map[string]string) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	page := accountPage{Person: x.Person, Session: x.ID, Wrong: wrong, Fields: []passwordField{
		{"old", r.t("account.old"), "current-password", "", wrong["old"]},
		{"new", r.t("account.new"), "new-password", r.t("account.new-hint", login.ShortestPassword), wrong["new"]},
		{"again", r.t("account.again"), "new-password", "", wrong["again"]}}}
	if page.Sessions, err = p.Store.Sessions(r.Context(), x.Person.ID, p.Now()); err != nil {
		return err
	}
	secrets, err := p.Store.Secrets(r.Context(), x.Person.ID)
	if err != nil {
		return err
	}
	page.Password, page.Codes, page.Recovery = secrets.Changed, secrets.TOTP != nil, secrets.Recovery
	page.Offer = len(p.Door.Passwords) > 0
	return r.showAs(status, "account", page)
}

// refuse shows the page again when the person did something wrong in a form.
func (p *Portal) refuse(r *request, form string, err error) error {
	if errors.Is(err, login.ErrExpired) {
		return r.done("/portal/account", "account.expired")
	}
	status, text, known := r.loginError(err)
	if !known {
		return err
	}
	if errors.Is(err, login.ErrWrong) {
		text = r.t("account.wrong-password")
	}
	return p.accountAs(r, status, map[string]string{form: text})
}

func (p *Portal) changePassword(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	password := r.PostFormValue("new")
	if password != r.PostFormValue("again") {
		return p.accountAs(r, http.StatusUnprocessableEntity, map[string]string{"again": r.t("account.differ")})
	}
	err = p.Door.ChangePassword(r.Context(), x, r.browser(), r.PostFormValue("old"), password)
	var bad login.WrongNew
	switch {
	case errors.As(err, &bad):
		return p.refuse(r, "new", err)
	case err != nil:
		return p.refuse(r, "old", err)
	}
	return r.done("/portal/account", "account.password-changed")
}

// beginCodes shows a secret for one-time codes, this once.
func (p *Portal) beginCodes(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	e, err := p.Door.BeginTOTP(r.Context(), x)
	if errors.Is(err, store.ErrConflict) {
		return r.redirect("/portal/account")
	}
	if err != nil {
		return err
	}
	return r.show("codes", &loginPage{Enrolment: &e})
}

// confirmCodes shows the recovery codes, this once.
func (p *Portal) confirmCodes(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	recovery, err := p.Door.ConfirmTOTP(r.Context(), x, r.PostFormValue("code"))
	if errors.Is(err, login.ErrWrongCode) {
		return r.showAs(http.StatusUnprocessableEntity, "codes", &loginPage{Wrong: r.t("login.wrong-code")})
	}
	if err != nil {
		return p.refuse(r, "codes", err)
	}
	return r.show("recovery", &loginPage{Recovery: recovery, Next: "/portal/account"})
}

func (p *Portal) removeCodes(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	if err := p.Door.RemoveTOTP(r.Context(), x, r.browser(), r.PostFormValue("code")); err != nil {
		return p.refuse(r, "codes", err)
	}
	return r.done("/portal/account", "account.codes-removed")
}

func (p *Portal) endSession(r *request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return errNotFound
	}
	if err := p.Store.EndSession(r.Context(), r.visitor.Person, id); err != nil {
		return err
	}
	return r.done("/portal/account", "account.session-ended")
}

func (p *Portal) endOthers(r *request) error {
	x, err := p.session(r)
	if err != nil {
		return err
	}
	if _, err := p.Store.EndSessions(r.Context(), x.Person, x.ID); err != nil {
		return err
	}
	return r.done("/portal/account", "account.others-ended")
}

// logOutPerson ends all sessions of somebody.
func (p *Portal) logOutPerson(r *request) error {
	who, err := p.Store.PersonAlone(r.Context(), r.PathValue("login"))
	if err != nil {
		return err
	}
	if _, err := p.Store.EndSessions(r.Context(), who, 0); err != nil {
		return err
	}
	return r.done("/portal/people/"+url.PathEscape(who.Login), "people.logged-out", who.Login)
}
