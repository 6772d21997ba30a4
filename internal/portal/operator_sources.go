package portal

import (
	"errors"

	"vidimus/internal/store"
)

func (p *Portal) sourceRoutes() {
	p.handle("GET /portal/sources", overseer, p.sources)
	p.handle("POST /portal/sources/{name}/sync", operator, p.syncSource)
	p.handle("POST /portal/sources/{name}/confirm", operator, p.confirmSource)
}

// sourceView is one place that hosts, people and groups come from.
type sourceView struct {
	store.Source
	Lost []lostEntries
	Busy bool // it is read now
}

// lostEntries are changes of one kind that are held back.
type lostEntries struct {
	Kind string
	store.KindChange
}

// sources shows how it is with each. Queries: 1.
func (p *Portal) sources(r *request) error {
	all, err := p.Store.Sources(r.Context())
	if err != nil {
		return err
	}
	var views []sourceView
	for _, x := range all {
		v := sourceView{Source: x, Busy: x.BusyUntil.After(p.Now())}
		if x.Held != nil && x.Confirmed != x.HeldHash {
			for _, kind := range []string{"host", "person", "group"} {
				if c := (*x.Held)[kind]; c != nil {
					v.Lost = append(v.Lost, lostEntries{kind, *c})
				}
			}
		}
		views = append(views, v)
	}
	return r.show("sources", views)
}

func (p *Portal) syncSource(r *request) error {
	name := r.PathValue("name")
	if err := p.Store.AskForSource(r.Context(), name, p.Now()); err != nil {
		return err
	}
	return r.done("/portal/sources", "sources.asked", name)
}

func (p *Portal) confirmSource(r *request) error {
	name := r.PathValue("name")
	err := p.Store.ConfirmSource(r.Context(), name, r.PostFormValue("id"), p.Now())
	if errors.Is(err, store.ErrConflict) {
		r.setFlash(flash{Text: r.t("sources.changed", name), Bad: true})
		return r.redirect("/portal/sources")
	}
	if err != nil {
		return err
	}
	return r.done("/portal/sources", "sources.confirmed", name)
}
