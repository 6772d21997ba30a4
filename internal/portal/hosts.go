package portal

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"vidimus/internal/store"
)

const (
	// perPage is how many lines a list has at most.
	perPage = 50
	// lookedThrough is how many hosts one page looks through for those that need somebody.
	lookedThrough = 300
	// onTop is how many of them are shown above the list.
	onTop = 10
)

func (p *Portal) hostRoutes() {
	p.handle("GET /portal/hosts", person, p.hosts)
	p.handle("GET /portal/hosts/{fqdn}", person, p.host)
}

// hostList is what the page of hosts shows.
type hostList struct {
	All     bool // not only the visitor's own
	Query   string
	Need    bool // only those that need somebody
	Hosts   []standing
	Top     []standing // above the list: those that need somebody, the worst first
	TopMore bool       // and there are more of them, or more hosts than were looked through
	Next    string     // URL of what follows; "" for nothing
	First   string     // URL of the beginning; "" when this is it
}

// hosts lists the visitor's hosts, or all for those who see all. Queries: 6; at most 50
// on the first page of a person with many hosts, or where those are looked for that need
// somebody.
func (p *Portal) hosts(r *request) error {
	query, after := strings.ToLower(strings.TrimSpace(r.FormValue("q"))), r.FormValue("after")
	sel := store.HostSelection{Person: r.visitor.Person.ID, Contains: query, After: after, Limit: perPage + 1}
	if r.visitor.Editor.SeesAll() {
		sel.Person = 0
	}
	list := hostList{All: sel.Person == 0, Query: query, Need: r.FormValue("need") != ""}
	values := url.Values{}
	if query != "" {
		values.Set("q", query)
	}
	if list.Need {
		values.Set("need", "1")
	}
	if after != "" {
		list.First = "/portal/hosts?" + values.Encode()
	}
	next, err := p.fillHosts(r.Context(), &list, sel)
	if err != nil {
		return err
	}
	if next != "" {
		values.Set("after", next)
		list.Next = "/portal/hosts?" + values.Encode()
	}
	return r.show("hosts", list)
}

// fillHosts looks up what is on a page, and returns behind which host there is more.
func (p *Portal) fillHosts(ctx context.Context, list *hostList, sel store.HostSelection) (next string, err error) {
	if list.Need {
		list.Hosts, next, err = p.needy(ctx, sel, perPage)
		return next, err
	}
	hosts, err := p.Store.ListHosts(ctx, sel)
	if err != nil {
		return "", err
	}
	if len(hosts) > perPage {
		hosts = hosts[:perPage]
		next = hosts[perPage-1].FQDN
	}
	if list.Hosts, err = p.standings(ctx, hosts); err != nil || list.All || sel.Contains != "" || sel.After != "" {
		return next, err
	}
	if next == "" { // all of them are there
		list.Top = slices.DeleteFunc(slices.Clone(list.Hosts), func(s standing) bool { return s.Need == fine })
	} else {
		var more string
		if list.Top, more, err = p.needy(ctx, sel, lookedThrough); err != nil {
			return "", err
		}
		list.TopMore = more != ""
	}
	slices.SortStableFunc(list.Top, func(a, b standing) int { return cmp.Compare(b.Need, a.Need) })
	if len(list.Top) > onTop {
		list.Top, list.TopMore = list.Top[:onTop], true
	}
	return next, nil
}

// needy looks through some hosts for up to limit that need somebody, and returns behind
// which to go on.
func (p *Portal) needy(ctx context.Context, sel store.HostSelection, limit int) (all []standing, next string, err error) {
	const step = 100
	sel.Limit = step
	for range lookedThrough / step {
		hosts, err := p.Store.ListHosts(ctx, sel)
		if err != nil {
			return nil, "", err
		}
		some, err := p.standings(ctx, hosts)
		if err != nil {
			return nil, "", err
		}
		for _, s := range some {
			if s.Need == fine {
				continue
			}
			if all = append(all, s); len(all) == limit {
				return all, s.FQDN, nil
			}
		}
		if len(hosts) < step {
			return all, "", nil
		}
		sel.After = hosts[step-1].FQDN
	}
	return all, sel.After, nil
}

// hostView is what the page of a host shows.
type hostView struct {
	Host         store.Host
	Standing     standing
	Details      []detail
	Certificates []store.BriefCertificate
	History      []event
	MayMake      bool // an ACME-ID that bears its name
	Named        bool // there is one
	Operator     bool // who looks may change who is responsible
}

// detail is something that the organisation knows about a host.
type detail struct{ Name, Value string }

// host shows one. Queries: 11.
func (p *Portal) host(r *request) error {
	ctx, fqdn := r.Context(), r.PathValue("fqdn")
	may, err := p.Directory.MaySee(ctx, r.visitor.Editor, fqdn)
	if err != nil {
		return err
	}
	if !may {
		return errNotFound
	}
	var v hostView
	if v.Host, err = p.Store.Host(ctx, fqdn); err != nil {
		return err
	}
	listed := store.ListedHost{FQDN: fqdn, Team: v.Host.Team, Nobody: !v.Host.Team && len(v.Host.People)+len(v.Host.Groups) == 0}
	all, err := p.standings(ctx, []store.ListedHost{listed})
	if err != nil {
		return err
	}
	v.Standing = all[0]
	v.Named = slices.ContainsFunc(v.Standing.ACMEIDs, func(a store.CoveringACMEID) bool { return a.FQDN == fqdn })
	for name, value := range v.Host.Details {
		v.Details = append(v.Details, detail{name, value})
	}
	slices.SortFunc(v.Details, func(a, b detail) int { return cmp.Compare(a.Name, b.Name) })
	if v.Certificates, err = p.Store.CertificatesOf(ctx, fqdn, 20); err != nil {
		return err
	}
	if v.History, err = p.history(r, fqdn); err != nil {
		return err
	}
	v.Operator = r.visitor.Editor.ChangesAll()
	v.MayMake, err = p.Directory.MayEdit(ctx, r.visitor.Editor, fqdn)
	if err != nil {
		return err
	}
	return r.show("host", v)
}
