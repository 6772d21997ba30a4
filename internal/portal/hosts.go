package portal

import (
	"net/url"
	"strings"

	"vidimus/internal/store"
)

// perPage is how many lines a list has at most.
const perPage = 50

func (p *Portal) hostRoutes() {
	p.handle("GET /portal/hosts", person, p.hosts)
}

// hostList is what the page of hosts shows.
type hostList struct {
	All   bool // not only the visitor's own
	Query string
	Hosts []store.ListedHost
	Next  string // URL of what follows; "" for nothing
	First string // URL of the beginning; "" when this is it
}

// hosts lists the visitor's hosts, or all for those who see all. Queries: 1.
func (p *Portal) hosts(r *request) error {
	query, after := strings.ToLower(strings.TrimSpace(r.FormValue("q"))), r.FormValue("after")
	sel := store.HostSelection{Person: r.visitor.Person.ID, Contains: query, After: after, Limit: perPage + 1}
	if r.visitor.Editor.SeesAll() {
		sel.Person = 0
	}
	list := hostList{All: sel.Person == 0, Query: query}
	var err error
	if list.Hosts, err = p.Store.ListHosts(r.Context(), sel); err != nil {
		return err
	}
	values := url.Values{}
	if query != "" {
		values.Set("q", query)
	}
	if after != "" {
		list.First = "/portal/hosts?" + values.Encode()
	}
	if len(list.Hosts) > perPage {
		list.Hosts = list.Hosts[:perPage]
		values.Set("after", list.Hosts[perPage-1].FQDN)
		list.Next = "/portal/hosts?" + values.Encode()
	}
	return r.show("hosts", list)
}
