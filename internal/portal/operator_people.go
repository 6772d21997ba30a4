package portal

import (
	"errors"
	"net/url"
	"strings"

	"vidimus/internal/directory"
	"vidimus/internal/store"
)

func (p *Portal) peopleRoutes() {
	p.handle("GET /portal/people", overseer, p.people)
	p.handle("GET /portal/people/{login}", overseer, p.personPage)
	p.handle("POST /portal/people/{login}/role", administrator, p.changeRole)
	p.handle("GET /portal/groups/{name}", overseer, p.groupPage)
}

// peopleList is what the page of people shows.
type peopleList struct {
	Query       string
	Roles       bool // only those with a role
	People      []store.Person
	Next, First string // URLs; "" for none
}

// people lists everybody. Queries: 1.
func (p *Portal) people(r *request) error {
	list := peopleList{Query: strings.ToLower(strings.TrimSpace(r.FormValue("q"))), Roles: r.FormValue("roles") != ""}
	after := r.FormValue("after")
	var err error
	if list.People, err = p.Store.ListPeople(r.Context(), store.PersonSelection{Contains: list.Query, Roles: list.Roles, After: after, Limit: perPage + 1}); err != nil {
		return err
	}
	values := url.Values{}
	if list.Query != "" {
		values.Set("q", list.Query)
	}
	if list.Roles {
		values.Set("roles", "1")
	}
	if after != "" {
		list.First = "/portal/people?" + values.Encode()
	}
	if len(list.People) > perPage {
		list.People = list.People[:perPage]
		values.Set("after", list.People[perPage-1].Login)
		list.Next = "/portal/people?" + values.Encode()
	}
	return r.show("people", list)
}

// personView is one person.
type personView struct {
	store.Person
	Groups []store.Group
	Hosts  []string
	Next   string // URL; "" for none
	Roles  []directory.Role
	Self   bool // it is the visitor
}

// personPage shows one person. Queries: 3.
func (p *Portal) personPage(r *request) error {
	person, err := p.Store.PersonAlone(r.Context(), r.PathValue("login"))
	if err != nil {
		return err
	}
	v := personView{Person: person, Roles: directory.Roles, Self: person.ID == r.visitor.Person.ID}
	if v.Groups, err = p.Store.GroupsOf(r.Context(), person.ID); err != nil {
		return err
	}
	hosts, err := p.Store.ListHosts(r.Context(), store.HostSelection{Person: person.ID, After: r.FormValue("after"), Limit: perPage + 1})
	if err != nil {
		return err
	}
	for _, h := range hosts[:min(perPage, len(hosts))] {
		v.Hosts = append(v.Hosts, h.FQDN)
	}
	if len(hosts) > perPage {
		v.Next = "/portal/people/" + url.PathEscape(person.Login) + "?" + url.Values{"after": {hosts[perPage-1].FQDN}}.Encode()
	}
	return r.show("person", v)
}

// errOwnRole keeps administrators from being locked out by a slip.
var errOwnRole = &problem{409, "people.own-role"}

func (p *Portal) changeRole(r *request) error {
	login := r.PathValue("login")
	role, err := directory.ParseRole(r.PostFormValue("role"))
	if err != nil {
		return errNotFound
	}
	if login == r.visitor.Person.Login {
		return errOwnRole
	}
	if err := p.Store.SetRole(r.Context(), login, string(role)); err != nil {
		return err
	}
	return r.done("/portal/people/"+url.PathEscape(login), "people.role-done", login)
}

// groupView is one group.
type groupView struct {
	store.Group
	Hosts []string
	Next  string // URL; "" for none
}

// groupPage shows one group. Queries: 3.
func (p *Portal) groupPage(r *request) error {
	g, err := p.Store.Group(r.Context(), r.PathValue("name"))
	if errors.Is(err, store.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	v := groupView{Group: g}
	if v.Hosts, err = p.Store.HostsOfGroup(r.Context(), g.ID, r.FormValue("after"), perPage+1); err != nil {
		return err
	}
	if len(v.Hosts) > perPage {
		v.Hosts = v.Hosts[:perPage]
		v.Next = "/portal/groups/" + url.PathEscape(g.Name) + "?" + url.Values{"after": {v.Hosts[perPage-1]}}.Encode()
	}
	return r.show("group", v)
}
