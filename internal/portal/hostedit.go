package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// Operators enter hosts by hand, say who is responsible for them, and remove them.

func (p *Portal) hostEditRoutes() {
	p.handle("GET /portal/hosts/new", operator, func(r *request) error { return r.show("host-people", hostInput{New: true}) })
	p.handle("POST /portal/hosts/new", operator, p.enterHost)
	p.handle("GET /portal/hosts/{fqdn}/people", operator, p.peopleForm)
	p.handle("POST /portal/hosts/{fqdn}/people", operator, p.changePeople)
	p.handle("GET /portal/hosts/{fqdn}/remove", operator, p.removeHostForm)
	p.handle("POST /portal/hosts/{fqdn}/remove", operator, p.removeHost)
}

// hostInput is the form for a host and who is responsible for it.
type hostInput struct {
	New            bool
	FQDN           string
	People, Groups string // one on each line
	Team           bool
	WrongHost      string
	WrongPeople    []string
	WrongGroups    []string
	WrongTeam      string
}

func (in *hostInput) bad() bool {
	return in.WrongHost != "" || len(in.WrongPeople)+len(in.WrongGroups) > 0 || in.WrongTeam != ""
}

// readHost reads the form, and finds what is wrong with who is named. Queries: one for
// each.
func (p *Portal) readHost(r *request) (in hostInput, parties []store.Party, err error) {
	in = hostInput{FQDN: strings.TrimSpace(r.PostFormValue("host")), People: r.PostFormValue("people"), Groups: r.PostFormValue("groups"), Team: r.PostFormValue("team") != ""}
	const most = 200
	people, groups := entries(in.People), entries(in.Groups)
	if len(people)+len(groups) > most {
		in.WrongPeople = []string{r.t("host.too-many", most)}
		return in, nil, nil
	}
	for _, login := range people {
		if _, err := p.Store.PersonAlone(r.Context(), login); errors.Is(err, store.ErrNotFound) {
			in.WrongPeople = append(in.WrongPeople, r.t("host.no-person", login))
		} else if err != nil {
			return in, nil, err
		}
	}
	for _, name := range groups {
		if _, err := p.Store.Group(r.Context(), name); errors.Is(err, store.ErrNotFound) {
			in.WrongGroups = append(in.WrongGroups, r.t("host.no-group", name))
		} else if err != nil {
			return in, nil, err
		}
	}
	parties = append(directory.People(people), directory.Groups(groups)...)
	if in.Team == (len(parties) > 0) {
		in.WrongTeam = r.t("host.team-or")
	}
	return in, parties, nil
}

// entries are those of a field with one on each line, each once.
func entries(text string) (all []string) {
	for _, l := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' || c == ',' }) {
		if l = strings.TrimSpace(l); l != "" && !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

func (p *Portal) enterHost(r *request) error {
	in, parties, err := p.readHost(r)
	if err != nil {
		return err
	}
	in.New = true
	id, bad := identifier.ParseDNS(in.FQDN)
	if bad != nil || id.Wildcard() {
		in.WrongHost = r.t("host.no-name")
	}
	if in.bad() {
		return r.showAs(http.StatusUnprocessableEntity, "host-people", in)
	}
	fqdn, err := p.Directory.AddHost(r.Context(), id.Value, parties)
	if err != nil {
		if _, e := p.Store.HostAlone(r.Context(), id.Value); e != nil {
			return err
		}
		in.WrongHost = r.t("host.exists", id.Value)
		return r.showAs(http.StatusUnprocessableEntity, "host-people", in)
	}
	return r.done("/portal/hosts/"+url.PathEscape(fqdn), "host.entered", fqdn)
}

// ownHost is the one that the path names, unless a source decides on it.
func (p *Portal) ownHost(r *request) (store.Host, error) {
	h, err := p.Store.Host(r.Context(), r.PathValue("fqdn"))
	if err == nil && h.Source != "" {
		err = &problem{http.StatusConflict, "host.elsewhere"}
	}
	return h, err
}

func (p *Portal) peopleForm(r *request) error {
	h, err := p.ownHost(r)
	if err != nil {
		return err
	}
	return r.show("host-people", hostInput{FQDN: h.FQDN, People: strings.Join(h.People, "\n"), Groups: strings.Join(h.Groups, "\n"), Team: h.Team})
}

func (p *Portal) changePeople(r *request) error {
	h, err := p.ownHost(r)
	if err != nil {
		return err
	}
	in, wanted, err := p.readHost(r)
	if err != nil {
		return err
	}
	in.FQDN = h.FQDN
	if in.bad() {
		return r.showAs(http.StatusUnprocessableEntity, "host-people", in)
	}
	now := append(directory.People(h.People), directory.Groups(h.Groups)...)
	without := func(all, some []store.Party) []store.Party {
		return slices.DeleteFunc(slices.Clone(all), func(x store.Party) bool { return slices.Contains(some, x) })
	}
	add, remove := without(wanted, now), without(now, wanted)
	if len(add)+len(remove) > 0 || in.Team != h.Team {
		if _, err = p.Directory.ChangeParties(r.Context(), h.FQDN, add, remove, in.Team); err != nil {
			return err
		}
	}
	return r.done("/portal/hosts/"+url.PathEscape(h.FQDN), "host.people-saved", h.FQDN)
}

func (p *Portal) removeHostForm(r *request) error {
	h, err := p.ownHost(r)
	if err != nil {
		return err
	}
	return r.show("host-remove", h)
}

func (p *Portal) removeHost(r *request) error {
	h, err := p.ownHost(r)
	if err != nil {
		return err
	}
	if err := p.Directory.RemoveHost(r.Context(), h.FQDN); err != nil {
		return err
	}
	return r.done("/portal/hosts", "host.removed", h.FQDN)
}
