package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"time"

	"vidimus/internal/audit"
)

// settle makes hosts, people or groups what the deciding sources say of them. What was
// entered by hand stays as it is.
func (s *Store) settle(ctx context.Context, tx *sql.Tx, kind string, keys []string, now time.Time) error {
	all, err := decisive(ctx, tx, kind, keys)
	if err != nil {
		return err
	}
	switch kind {
	case KindHost:
		return s.settleHosts(ctx, tx, keys, all, now)
	case KindGroup:
		return settleGroups(ctx, tx, keys, all, now)
	}
	return settlePeople(ctx, tx, keys, all, now)
}

// standing is a host as it is, with who is responsible, by the numbers of their parties.
type standing struct {
	Host
	parties map[int64]Party
}

func (s *Store) standingHosts(ctx context.Context, tx *sql.Tx, keys []string) (map[string]*standing, error) {
	have := make(map[string]*standing, len(keys))
	return have, inChunks(keys, func(chunk []string) error {
		list, args := listed(nil, chunk)
		hosts, err := collect(ctx, tx, scanHost, `SELECT `+hostColumns+` FROM host WHERE fqdn IN (`+list+`) ORDER BY fqdn`+s.lock(), args...)
		if err != nil || len(hosts) == 0 {
			return err
		}
		for _, h := range hosts {
			have[h.FQDN] = &standing{h, make(map[int64]Party)}
		}
		type row struct {
			fqdn string
			id   int64
			p    Party
		}
		rows, err := collect(ctx, tx, func(r scanner) (x row, err error) { return x, r.Scan(&x.fqdn, &x.id, &x.p.Group, &x.p.Name) },
			`SELECT h.fqdn, y.id, y.kind = 'group', y.name FROM host_party h JOIN party y ON y.id = h.party_id WHERE h.fqdn IN (`+list+`)`, args...)
		for _, x := range rows {
			if h := have[x.fqdn]; h != nil {
				h.parties[x.id] = x.p
			}
		}
		return err
	})
}

func (s *Store) settleHosts(ctx context.Context, tx *sql.Tx, keys []string, all map[string]said, now time.Time) error {
	have, err := s.standingHosts(ctx, tx, keys)
	if err != nil {
		return err
	}
	entries := make(map[string]HostEntry, len(all))
	wanted := make(map[Party]string)
	for fqdn, x := range all {
		if h := have[fqdn]; h != nil && h.Source == "" {
			continue
		}
		var e HostEntry
		if err := x.read(&e); err != nil {
			return err
		}
		entries[fqdn] = e
		for _, p := range e.parties() {
			wanted[p] = x.source
		}
	}
	ids, err := ensureParties(ctx, tx, wanted, now)
	if err != nil {
		return err
	}
	var hosts, parties [][]any
	var events []audit.Event
	for _, fqdn := range keys {
		e, told := entries[fqdn]
		switch h := have[fqdn]; {
		case h == nil && told:
			details := e.Details
			if details == nil {
				details = map[string]string{}
			}
			hosts = append(hosts, []any{fqdn, millis(now), e.Team, all[fqdn].source, toJSON(details)})
			of := e.parties()
			for _, p := range of {
				parties = append(parties, []any{fqdn, ids[p]})
			}
			events = append(events, audit.Event{Action: audit.HostCreated, Object: fqdn, Detail: partiesDetail("people", "groups", of)})
		case told:
			added, changed, err := changeHost(ctx, tx, h, e, all[fqdn].source, ids)
			if err != nil {
				return err
			}
			parties, events = append(parties, added...), append(events, changed...)
		case h != nil && h.Source != "":
			if err := removeHost(ctx, tx, fqdn, now); err != nil {
				return err
			}
		}
	}
	if err := s.plan(ctx, tx, "auto"); err != nil { // the checks of what the rows refer to are many
		return err
	}
	if err := insertAll(ctx, tx, `INSERT INTO host (fqdn, created_at, team, source, details)`, hosts); err != nil {
		return err
	}
	if err := insertAll(ctx, tx, `INSERT INTO host_party (fqdn, party_id)`, parties); err != nil {
		return err
	}
	return record(ctx, tx, events...)
}

func (e HostEntry) parties() (all []Party) {
	for _, login := range e.People {
		all = append(all, Party{Name: login})
	}
	for _, name := range e.Groups {
		all = append(all, Party{Group: true, Name: name})
	}
	return all
}

// changeHost makes a host what a source says of it, but for rows of host_party to add,
// which it returns.
func changeHost(ctx context.Context, tx *sql.Tx, h *standing, e HostEntry, source string, ids map[Party]int64) (add [][]any, events []audit.Event, err error) {
	var added, removed []Party
	for _, p := range e.parties() {
		if _, is := h.parties[ids[p]]; !is {
			added = append(added, p)
			add = append(add, []any{h.FQDN, ids[p]})
		}
		delete(h.parties, ids[p])
	}
	for id, p := range h.parties {
		removed = append(removed, p)
		if _, err := tx.ExecContext(unawaited(ctx), `DELETE FROM host_party WHERE fqdn = $1 AND party_id = $2`, h.FQDN, id); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(removed, func(a, b Party) int { return strings.Compare(a.Name, b.Name) })
	if len(added)+len(removed) > 0 || e.Team != h.Team {
		detail := partiesDetail("added", "added_groups", added)
		maps.Copy(detail, partiesDetail("removed", "removed_groups", removed))
		detail["team"] = e.Team
		events = append(events, audit.Event{Action: audit.HostPeople, Object: h.FQDN, Detail: detail})
	}
	if !maps.Equal(e.Details, h.Details) || source != h.Source {
		detail := audit.Detail{"details": e.Details}
		if source != h.Source {
			detail["source"], detail["source_before"] = source, h.Source
		}
		events = append(events, audit.Event{Action: audit.HostDetails, Object: h.FQDN, Detail: detail})
	}
	if len(events) == 0 {
		return nil, nil, nil
	}
	details := e.Details
	if details == nil {
		details = map[string]string{}
	}
	_, err = tx.ExecContext(unawaited(ctx), `UPDATE host SET team = $1, source = $2, details = $3 WHERE fqdn = $4`, e.Team, source, toJSON(details), h.FQDN)
	return add, events, err
}

// ensureParties finds the numbers of people and groups, and makes those that are not
// there: a person with a login only, a group without members. wanted names the source of
// each.
func ensureParties(ctx context.Context, tx *sql.Tx, wanted map[Party]string, now time.Time) (map[Party]int64, error) {
	ids := make(map[Party]int64, len(wanted))
	for _, group := range []bool{false, true} {
		var names []string
		for p := range wanted {
			if p.Group == group {
				names = append(names, p.Name)
			}
		}
		slices.Sort(names)
		err := inChunks(names, func(chunk []string) error {
			list, args := listed([]any{Party{Group: group}.kind()}, chunk)
			type row struct {
				id   int64
				name string
			}
			rows, err := collect(ctx, tx, func(r scanner) (x row, err error) { return x, r.Scan(&x.id, &x.name) },
				`SELECT id, name FROM party WHERE kind = $1 AND name IN (`+list+`)`, args...)
			for _, x := range rows {
				ids[Party{group, x.name}] = x.id
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		var people []Person
		var groups []Group
		for _, name := range names {
			p := Party{group, name}
			switch _, is := ids[p]; {
			case is:
			case group:
				groups = append(groups, Group{Name: name, Source: wanted[p]})
			default:
				people = append(people, Person{Login: name, Source: wanted[p], Created: now})
			}
		}
		if err := addPeople(ctx, tx, people); err != nil {
			return nil, err
		}
		if err := addGroups(ctx, tx, groups); err != nil {
			return nil, err
		}
		for _, p := range people {
			ids[Party{Name: p.Login}] = p.ID
		}
		for _, g := range groups {
			ids[Party{Group: true, Name: g.Name}] = g.ID
		}
	}
	return ids, nil
}

// addPeople adds people, and fills in their numbers.
func addPeople(ctx context.Context, tx *sql.Tx, people []Person) error {
	parties := make([][]any, len(people))
	for i, p := range people {
		parties[i] = []any{"person", p.Login, p.Source}
	}
	ids, err := insertNumbered(ctx, tx, `INSERT INTO party (kind, name, source)`, parties)
	if err != nil {
		return err
	}
	rows, members, events := make([][]any, len(people)), make([][]any, len(people)), make([]audit.Event, len(people))
	for i := range people {
		p := &people[i]
		p.ID = ids[i]
		rows[i] = []any{p.ID, p.Login, p.Name, p.Email, millis(p.Created)}
		members[i] = []any{p.ID, p.ID}
		events[i] = audit.Event{Action: audit.PersonCreated, Object: p.Login}
	}
	if err := insertAll(ctx, tx, `INSERT INTO person (id, login, name, email, created_at)`, rows); err != nil {
		return err
	}
	if err := insertAll(ctx, tx, `INSERT INTO member (party_id, person_id)`, members); err != nil {
		return err
	}
	return record(ctx, tx, events...)
}

// addGroups adds groups without their members, and fills in their numbers.
func addGroups(ctx context.Context, tx *sql.Tx, groups []Group) error {
	parties, events := make([][]any, len(groups)), make([]audit.Event, len(groups))
	for i, g := range groups {
		parties[i] = []any{"group", g.Name, g.Title, g.Source}
		events[i] = audit.Event{Action: audit.GroupCreated, Object: g.Name}
	}
	ids, err := insertNumbered(ctx, tx, `INSERT INTO party (kind, name, title, source)`, parties)
	if err != nil {
		return err
	}
	for i := range groups {
		groups[i].ID = ids[i]
	}
	return record(ctx, tx, events...)
}

func settlePeople(ctx context.Context, tx *sql.Tx, keys []string, all map[string]said, now time.Time) error {
	have := make(map[string]Person, len(keys))
	err := inChunks(keys, func(chunk []string) error {
		list, args := listed(nil, chunk)
		some, err := collect(ctx, tx, scanPerson, `SELECT `+personColumns+` WHERE p.login IN (`+list+`)`, args...)
		for _, p := range some {
			have[p.Login] = p
		}
		return err
	})
	if err != nil {
		return err
	}
	var add []Person
	var events []audit.Event
	for _, login := range keys {
		x, told := all[login]
		p, is := have[login]
		if !told || is && p.Source == "" { // who is in no source any more goes with RemoveUnnamed
			continue
		}
		var e PersonEntry
		if err := x.read(&e); err != nil {
			return err
		}
		if !is {
			add = append(add, Person{Login: login, Name: e.Name, Email: e.Email, Source: x.source, Created: now})
			continue
		}
		if p.Source != x.source {
			if _, err := tx.ExecContext(unawaited(ctx), `UPDATE party SET source = $1 WHERE id = $2`, x.source, p.ID); err != nil {
				return err
			}
		}
		if p.Name == e.Name && p.Email == e.Email {
			continue
		}
		if _, err := tx.ExecContext(unawaited(ctx), `UPDATE person SET name = $1, email = $2 WHERE id = $3`, e.Name, e.Email, p.ID); err != nil {
			return err
		}
		events = append(events, audit.Event{Action: audit.PersonChanged, Object: login})
	}
	if err := addPeople(ctx, tx, add); err != nil {
		return err
	}
	return record(ctx, tx, events...)
}

// RemoveHost forgets a host. Its name leaves the set of every ACME-ID, and the
// ACME-ID that is named for it is invalid from now on, together with its
// credentials; a host that comes back under the same name doesn't revive it. Where a
// source has it too, it comes back at once, as that source has it.
func (s *Store) RemoveHost(ctx context.Context, fqdn string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.takeTurn(ctx, tx); err != nil {
			return err
		}
		if err := removeHost(ctx, tx, fqdn, now); err != nil {
			return err
		}
		return s.settle(ctx, tx, KindHost, []string{fqdn}, now)
	})
}
