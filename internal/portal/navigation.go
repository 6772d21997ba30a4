package portal

import "strings"

// navigation is the pages that the menu leads to, in its order, with their texts as
// nav.KEY. A page that has no route is left out.
var navigation = []struct {
	key, path string
	access    access
}{
	{"hosts", "/portal/hosts", person},
	{"acme-ids", "/portal/acme-ids", person},
	{"certificates", "/portal/certificates", person},
	{"request", "/portal/request", changer},
	{"dashboard", "/portal/dashboard", overseer},
	{"people", "/portal/people", overseer},
	{"sources", "/portal/sources", overseer},
	{"suspensions", "/portal/suspensions", overseer},
	{"revoke", "/portal/revoke", operator},
	{"audit", "/portal/audit", overseer},
}

// menuEntry is a link of the menu.
type menuEntry struct {
	Text, Path string
	Current    bool // the page that is shown, or one below it
}

func (p *Portal) menu(r *request) []menuEntry {
	var all []menuEntry
	for _, n := range navigation {
		if p.routes["GET "+n.path] == nil || !n.access.allows(r.visitor.Editor) {
			continue
		}
		text := "nav." + n.key
		if n.key == "hosts" && r.visitor.Editor.SeesAll() {
			text = "nav.all-hosts"
		}
		all = append(all, menuEntry{r.t(text), n.path, r.URL.Path == n.path || strings.HasPrefix(r.URL.Path, n.path+"/")})
	}
	return all
}
