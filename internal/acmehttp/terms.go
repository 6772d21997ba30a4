package acmehttp

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

func (r *request) termsURL() string { return r.dir.base + "/terms" }

// checkAgreed refuses a request of an account that has agreed to other terms of service
// than those in force (RFC 8555 §7.3.3). Requests that only look at something, give
// something up or revoke are not asked for it.
func (r *request) checkAgreed() (reply, error) {
	terms := r.dir.Meta.TermsOfService
	if terms == "" || r.account.AgreedTo == terms {
		return reply{}, nil
	}
	p := acme.Problemf(acme.UserActionRequired, "the terms of service have changed and are now those at %s; read them, and agree to them as %s tells", terms, r.termsURL())
	p.Instance = r.termsURL()
	return reply{links: []string{termsLink(terms)}}, p
}

func termsLink(terms string) string { return fmt.Sprintf(`<%s>;rel="terms-of-service"`, terms) }

// agree records that the account agrees to the terms of service, when there are any and
// it has not yet.
func (s *Server) agree(r *request, a *store.Account) error {
	terms := r.dir.Meta.TermsOfService
	if terms == "" || a.AgreedTo == terms {
		return nil
	}
	now := s.Now()
	if err := s.Store.Agree(r.http.Context(), a.ID, terms, now); err != nil {
		return fmt.Errorf("recording the agreement of account %d: %w", a.ID, err)
	}
	a.Agreed, a.AgreedTo = now, terms
	s.Log.InfoContext(r.http.Context(), "agreed", "account", a.ID, "terms", terms)
	return nil
}

//go:embed terms.html
var termsHTML string

var termsPage = template.Must(template.New("terms").Parse(termsHTML))

// terms tells a person how an account agrees to the terms of service: the page that
// userActionRequired leads to.
func (s *Server) terms(r *request) (reply, error) {
	var page bytes.Buffer
	data := struct{ Terms, Directory string }{r.dir.Meta.TermsOfService, r.dir.base + "/directory"}
	if err := termsPage.Execute(&page, data); err != nil {
		return reply{}, fmt.Errorf("the page about the terms of service: %w", err)
	}
	return reply{raw: page.Bytes(), mediaType: "text/html; charset=utf-8", cache: publicCache}, nil
}
