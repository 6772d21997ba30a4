package directory_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
	"vidimus/internal/store/postgrestest"
	"vidimus/internal/store/storetest"
)

// world is a model of the rules in the package comment, written down a second time in the
// plainest way, over sets in memory.
type world struct {
	t         *testing.T
	d         *directory.Directory
	rnd       *rand.Rand
	people    map[string]int64           // login: number
	groups    map[string]map[string]bool // name: members
	hosts     map[string]*modelHost
	ids       map[string]*modelID // the valid ones
	gone      []*modelID
	wildcards map[string]bool
	suspended map[store.SuspensionKind]map[string]bool
}

type modelHost struct {
	team           bool
	people, groups map[string]bool
}

type modelID struct {
	fqdn    string
	names   map[string]bool
	account int64
}

func (w *world) responsible(login, fqdn string) bool {
	h := w.hosts[fqdn]
	if h == nil || w.people[login] == 0 {
		return false
	}
	for g := range h.groups {
		if w.groups[g][login] {
			return true
		}
	}
	return h.people[login]
}

func (w *world) wildcardAllowed(name string) bool {
	base, is := strings.CutPrefix(name, "*.")
	if !is {
		return true
	}
	for s := range w.wildcards {
		if base == s || strings.HasSuffix(base, "."+s) {
			return true
		}
	}
	return false
}

func (w *world) isSuspended(name string) bool {
	covers := func(object string) bool { // what the name, a wildcard, covers
		base, is := strings.CutPrefix(name, "*.")
		first, ok := strings.CutSuffix(object, "."+base)
		return is && ok && !strings.Contains(first, ".")
	}
	for n := range w.suspended[store.SuspendedName] {
		if n == name || covers(n) {
			return true
		}
	}
	for s := range w.suspended[store.SuspendedSubtree] {
		if base := strings.TrimPrefix(name, "*."); base == s || strings.HasSuffix(base, "."+s) || covers(s) {
			return true
		}
	}
	return false
}

// granted is the model's answer to "may this ACME-ID have this name?".
func (w *world) granted(id *modelID, name string) bool {
	fqdn := strings.TrimPrefix(name, "*.")
	if w.ids[id.fqdn] != id || w.suspended[store.SuspendedACMEID][id.fqdn] || w.isSuspended(name) || !id.names[name] ||
		w.hosts[id.fqdn] == nil || w.hosts[fqdn] == nil || !w.wildcardAllowed(name) {
		return false
	}
	return w.answered(id.fqdn, fqdn)
}

func (w *world) answered(by, fqdn string) bool {
	if w.hosts[by].team {
		return true
	}
	edited := false
	for p := range w.people {
		if w.responsible(p, by) {
			edited = true
			if w.responsible(p, fqdn) {
				return true
			}
		}
	}
	return edited && w.hosts[fqdn].team
}

func (w *world) some(all []string) string { return all[w.rnd.IntN(len(all))] }

var (
	modelHosts  = []string{"a.example.org", "b.example.org", "www.a.example.org", "example.org", "c.example.net"}
	modelNames  = append([]string{"*.example.org", "*.a.example.org", "*.www.a.example.org"}, modelHosts...)
	modelPeople = []string{"ada", "bob", "cyd"}
	modelGroups = []string{"web", "mail"}
)

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// step changes something, in the store and in the model.
func (w *world) step() string {
	ctx := w.t.Context()
	fqdn, login, group := w.some(modelHosts), w.some(modelPeople), w.some(modelGroups)
	host := w.hosts[fqdn]
	did := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	switch w.rnd.IntN(14) {
	case 0: // a host comes
		if host != nil {
			return ""
		}
		h := &modelHost{people: map[string]bool{}, groups: map[string]bool{}}
		var parties []store.Party
		if w.people[login] != 0 && w.rnd.IntN(2) == 0 {
			h.people[login], parties = true, directory.People([]string{login})
		}
		h.team = len(parties) == 0
		_, err := w.d.AddHost(ctx, fqdn, parties)
		w.must(err)
		w.hosts[fqdn] = h
		return did("host %s of %v", fqdn, parties)
	case 1: // or goes, and is renamed so
		if host == nil || w.rnd.IntN(3) > 0 {
			return ""
		}
		w.must(w.d.RemoveHost(ctx, fqdn))
		delete(w.hosts, fqdn)
		for _, id := range w.ids {
			delete(id.names, fqdn)
			delete(id.names, "*."+fqdn)
		}
		w.end(fqdn)
		return did("host %s goes", fqdn)
	case 2: // somebody comes
		if w.people[login] != 0 {
			return ""
		}
		w.must(w.d.Store.AddPerson(ctx, store.Person{Login: login, Created: time.Now()}))
		p, err := w.d.Store.PersonAlone(ctx, login)
		w.must(err)
		w.people[login] = p.ID
		return did("%s comes", login)
	case 3: // or goes
		if w.people[login] == 0 || w.rnd.IntN(3) > 0 {
			return ""
		}
		w.must(w.d.Store.RemovePerson(ctx, login))
		delete(w.people, login)
		for _, h := range w.hosts {
			delete(h.people, login)
		}
		for _, members := range w.groups {
			delete(members, login)
		}
		return did("%s goes", login)
	case 4: // responsibility comes
		if host == nil || w.people[login] == 0 {
			return ""
		}
		_, err := w.d.ChangeParties(ctx, fqdn, directory.People([]string{login}), nil, false)
		w.must(err)
		host.people[login], host.team = true, false
		return did("%s gets %s", login, fqdn)
	case 5: // or passes on
		if host == nil || !host.people[login] {
			return ""
		}
		_, err := w.d.ChangeParties(ctx, fqdn, nil, directory.People([]string{login}), false)
		w.must(err)
		delete(host.people, login)
		return did("%s loses %s", login, fqdn)
	case 6:
		if host == nil || w.groups[group] == nil {
			return ""
		}
		if host.groups[group] {
			_, err := w.d.ChangeParties(ctx, fqdn, nil, directory.Groups([]string{group}), false)
			w.must(err)
			delete(host.groups, group)
			return did("group %s loses %s", group, fqdn)
		}
		_, err := w.d.ChangeParties(ctx, fqdn, directory.Groups([]string{group}), nil, false)
		w.must(err)
		host.groups[group], host.team = true, false
		return did("group %s gets %s", group, fqdn)
	case 7:
		members := w.groups[group]
		switch {
		case members == nil:
			w.must(w.d.Store.AddGroup(ctx, store.Group{Name: group}))
			w.groups[group] = map[string]bool{}
			return did("group %s comes", group)
		case w.rnd.IntN(6) == 0:
			w.must(w.d.Store.RemoveGroup(ctx, group))
			delete(w.groups, group)
			for _, h := range w.hosts {
				delete(h.groups, group)
			}
			return did("group %s goes", group)
		case members[login]:
			w.must(w.d.Store.ChangeMembers(ctx, group, nil, []string{login}))
			delete(members, login)
			return did("%s leaves group %s", login, group)
		case w.people[login] != 0:
			w.must(w.d.Store.ChangeMembers(ctx, group, []string{login}, nil))
			members[login] = true
			return did("%s joins group %s", login, group)
		}
	case 8:
		if w.rnd.IntN(4) > 0 || host == nil || len(host.people)+len(host.groups) > 0 {
			return ""
		}
		_, err := w.d.ChangeParties(ctx, fqdn, nil, nil, true)
		w.must(err)
		host.team = true
		return did("the CA team takes %s", fqdn)
	case 9:
		subtree := w.some([]string{"example.org", "a.example.org"})
		if w.wildcards[subtree] {
			w.must(w.d.WithholdWildcards(ctx, subtree))
			delete(w.wildcards, subtree)
			return did("no wildcards for %s", subtree)
		}
		_, err := w.d.AllowWildcards(ctx, subtree)
		w.must(err)
		w.wildcards[subtree] = true
		return did("wildcards for %s", subtree)
	case 10:
		kinds := []store.SuspensionKind{store.SuspendedName, store.SuspendedSubtree}
		object := fqdn
		if w.ids[fqdn] != nil {
			kinds = append(kinds, store.SuspendedACMEID)
		}
		kind := kinds[w.rnd.IntN(len(kinds))]
		if w.suspended[kind][object] {
			w.must(w.d.Resume(ctx, kind, object))
			delete(w.suspended[kind], object)
			return did("%s %s resumed", kind, object)
		}
		if w.rnd.IntN(3) > 0 {
			return ""
		}
		_, err := w.d.Suspend(ctx, kind, object, "to look into something")
		w.must(err)
		w.suspended[kind][object] = true
		return did("%s %s suspended", kind, object)
	default:
		return w.edit(fqdn, login)
	}
	return ""
}

func (w *world) end(fqdn string) {
	if id := w.ids[fqdn]; id != nil {
		w.gone = append(w.gone, id)
		delete(w.ids, fqdn)
	}
}

// edit has somebody make or change an ACME-ID, who may do so or not.
func (w *world) edit(fqdn, login string) string {
	ctx := w.t.Context()
	role := []directory.Role{"", "", "", directory.Auditor, directory.Operator, directory.Administrator}[w.rnd.IntN(6)]
	e := directory.Editor{Person: w.people[login], Role: role}
	operates := role == directory.Operator || role == directory.Administrator
	may := operates || role != directory.Auditor && w.responsible(login, fqdn)
	name := w.some(modelNames)
	host := strings.TrimPrefix(name, "*.")
	gives := w.hosts[host] != nil && w.wildcardAllowed(name)
	if operates {
		gives = gives && w.hosts[fqdn] != nil && (w.hosts[host].team || w.answered(fqdn, host))
	} else {
		gives = gives && w.responsible(login, host)
	}
	id := w.ids[fqdn]
	what := fmt.Sprintf("%s (%s) edits %s with %s", login, role, fqdn, name)
	expect := func(ok bool, err error) bool {
		w.t.Helper()
		if (err == nil) != ok {
			w.t.Fatalf("%s: %v, want it allowed: %t", what, err, ok)
		}
		if !may && !errors.Is(err, directory.ErrNotYours) {
			w.t.Fatalf("%s: %v, want that it isn't theirs", what, err)
		}
		return ok
	}
	switch {
	case id == nil:
		a, c, err := w.d.AddACMEID(ctx, e, fqdn, []string{name})
		if expect(may && gives && w.hosts[fqdn] != nil, err) {
			w.ids[fqdn] = &modelID{fqdn: fqdn, names: map[string]bool{name: true}}
			if !w.suspended[store.SuspendedACMEID][fqdn] {
				w.ids[fqdn].account = register(w.t, w.d, c.KID, fmt.Sprint("key ", a.ID)).ID
			} else if _, err := w.d.Binding(ctx, c.KID); !errors.Is(err, directory.ErrSuspendedACMEID) {
				w.t.Fatalf("credentials of the suspended ACME-ID %s are good: %v", fqdn, err)
			}
		}
	case w.rnd.IntN(8) == 0:
		if expect(may, w.d.RemoveACMEID(ctx, e, fqdn)) {
			w.end(fqdn)
			id.names = map[string]bool{}
		}
	case id.names[name]:
		_, err := w.d.ChangeNames(ctx, e, fqdn, 0, nil, []string{name})
		if expect(may, err) {
			delete(id.names, name)
		}
	default:
		_, err := w.d.ChangeNames(ctx, e, fqdn, 0, []string{name}, nil)
		if expect(may && gives, err) {
			id.names[name] = true
		}
	}
	return what
}

// check compares each decision with the model's.
func (w *world) check() {
	ctx := w.t.Context()
	for _, id := range append(slices.Collect(maps.Values(w.ids)), w.gone...) {
		if id.account == 0 {
			continue
		}
		a, err := w.d.Store.Account(ctx, id.account)
		w.must(err)
		usable := directory.Usable(a) == ""
		if want := w.ids[id.fqdn] == id && !w.suspended[store.SuspendedACMEID][id.fqdn]; usable != want {
			w.t.Fatalf("the account of ACME-ID %s is usable: %t, want %t", id.fqdn, usable, want)
		}
		var asked []identifier.Identifier
		for _, n := range modelNames {
			asked = append(asked, identifier.Identifier{Type: identifier.DNS, Value: n})
		}
		dec, err := w.d.MayHave(ctx, a, asked)
		w.must(err)
		for _, n := range modelNames {
			ok := usable && !slices.ContainsFunc(dec.Refused, func(r directory.Refusal) bool { return r.Identifier.Value == n })
			if ok != w.granted(id, n) {
				w.t.Fatalf("%s for ACME-ID %s: granted %t, want %t; %+v", n, id.fqdn, ok, w.granted(id, n), dec)
			}
		}
	}
	for login, number := range w.people {
		e := directory.Editor{Person: number}
		for _, n := range modelNames {
			dec, err := w.d.MayHaveWithoutACME(ctx, e, []identifier.Identifier{{Type: identifier.DNS, Value: n}})
			w.must(err)
			want := w.responsible(login, strings.TrimPrefix(n, "*.")) && w.wildcardAllowed(n) && !w.isSuspended(n)
			if ok := len(dec.Refused) == 0; ok != want {
				w.t.Fatalf("%s for %s without ACME: granted %t, want %t; %+v", n, login, ok, want, dec)
			}
		}
	}
}

// Whatever hosts and people do, nothing is granted for which nobody answers, and nobody
// changes what isn't theirs.
func TestPolicyHoldsForRandomMoves(t *testing.T) {
	for seed := range uint64(8) {
		database, where := storetest.Path(t), "SQLite"
		if seed%4 == 3 {
			database, where = postgrestest.URL(t), "PostgreSQL"
		}
		t.Run(fmt.Sprintf("seed %d, %s", seed, where), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, d: openAt(t, database), rnd: rand.New(rand.NewPCG(seed, 0)), people: map[string]int64{}, groups: map[string]map[string]bool{},
				hosts: map[string]*modelHost{}, ids: map[string]*modelID{}, wildcards: map[string]bool{},
				suspended: map[store.SuspensionKind]map[string]bool{store.SuspendedName: {}, store.SuspendedSubtree: {}, store.SuspendedACMEID: {}}}
			var story []string
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(story, "\n"))
				}
			}()
			for range 200 {
				if did := w.step(); did != "" {
					story = append(story, did)
					w.check()
				}
			}
		})
	}
}
