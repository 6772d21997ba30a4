package portal

import (
	"strings"

	"vidimus/internal/audit"
	"vidimus/internal/store"
)

func (p *Portal) suspensionRoutes() {
	p.handle("GET /portal/suspensions", overseer, p.suspensions)
	p.handle("POST /portal/suspensions", operator, p.suspend)
	p.handle("POST /portal/suspensions/resume", operator, p.resume)
	p.handle("POST /portal/wildcards", operator, p.allowWildcards)
	p.handle("POST /portal/wildcards/withhold", operator, p.withholdWildcards)
}

// suspensionPage is what is stopped, and where wildcards may be had.
type suspensionPage struct {
	Suspensions []listedSuspension
	Wildcards   []string
	Kinds       []store.SuspensionKind

	// What was typed, and what is wrong with it.
	Kind, Object, Reason, Subtree       string
	ObjectWrong, ReasonWrong, TreeWrong string
}

type listedSuspension struct {
	store.Suspension
	Actor string
}

// kinds are what may be suspended.
var kinds = []store.SuspensionKind{store.SuspendedACMEID, store.SuspendedAccount, store.SuspendedName, store.SuspendedSubtree}

// suspensions lists what is stopped. Queries: 5.
func (p *Portal) suspensions(r *request) error {
	return p.showSuspensions(r, 200, suspensionPage{Kind: r.FormValue("kind"), Object: r.FormValue("object")})
}

func (p *Portal) showSuspensions(r *request, status int, page suspensionPage) error {
	all, err := p.Store.Suspensions(r.Context())
	if err != nil {
		return err
	}
	for _, x := range all {
		page.Suspensions = append(page.Suspensions, listedSuspension{x, audit.Name(x.Actor)})
	}
	if page.Wildcards, err = p.Store.WildcardSubtrees(r.Context()); err != nil {
		return err
	}
	page.Kinds = kinds
	return r.showAs(status, "suspensions", page)
}

func (p *Portal) suspend(r *request) error {
	page := suspensionPage{Kind: r.PostFormValue("kind"), Object: strings.TrimSpace(r.PostFormValue("object")), Reason: strings.TrimSpace(r.PostFormValue("reason"))}
	if page.Reason == "" || len(page.Reason) > 500 {
		page.ReasonWrong = r.t("suspensions.reason-wrong")
	}
	if page.Object == "" {
		page.ObjectWrong = r.t("suspensions.object-wrong")
	}
	if page.ReasonWrong == "" && page.ObjectWrong == "" {
		x, err := p.Directory.Suspend(r.Context(), store.SuspensionKind(page.Kind), page.Object, page.Reason)
		if err == nil {
			return r.done("/portal/suspensions", "suspensions.done", x.Object)
		}
		if unavailable(err) {
			return err
		}
		page.ObjectWrong = err.Error()
	}
	return p.showSuspensions(r, 422, page)
}

func (p *Portal) resume(r *request) error {
	object := r.PostFormValue("object")
	if err := p.Directory.Resume(r.Context(), store.SuspensionKind(r.PostFormValue("kind")), object); err != nil {
		if unavailable(err) {
			return err
		}
		r.setFlash(flash{Text: err.Error(), Bad: true})
		return r.redirect("/portal/suspensions")
	}
	return r.done("/portal/suspensions", "suspensions.resumed", object)
}

func (p *Portal) allowWildcards(r *request) error {
	page := suspensionPage{Subtree: strings.TrimSpace(r.PostFormValue("subtree"))}
	fqdn, err := p.Directory.AllowWildcards(r.Context(), page.Subtree)
	if err == nil {
		return r.done("/portal/suspensions", "wildcards.done", fqdn)
	}
	if unavailable(err) {
		return err
	}
	page.TreeWrong = err.Error()
	return p.showSuspensions(r, 422, page)
}

func (p *Portal) withholdWildcards(r *request) error {
	subtree := r.PostFormValue("subtree")
	if err := p.Directory.WithholdWildcards(r.Context(), subtree); err != nil {
		if unavailable(err) {
			return err
		}
		r.setFlash(flash{Text: err.Error(), Bad: true})
		return r.redirect("/portal/suspensions")
	}
	return r.done("/portal/suspensions", "wildcards.withheld", subtree)
}
