package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// standingGroup is a group as it is, with the logins of its members by their numbers.
type standingGroup struct {
	Group
	members map[int64]string
}

func standingGroups(ctx context.Context, tx *sql.Tx, keys []string) (map[string]*standingGroup, error) {
	have := make(map[string]*standingGroup, len(keys))
	return have, inChunks(keys, func(chunk []string) error {
		list, args := listed(nil, chunk)
		groups, err := collect(ctx, tx, scanGroup, `SELECT id, name, title, source FROM party WHERE kind = 'group' AND name IN (`+list+`)`, args...)
		if err != nil || len(groups) == 0 {
			return err
		}
		for _, g := range groups {
			have[g.Name] = &standingGroup{g, make(map[int64]string)}
		}
		type row struct {
			group, login string
			id           int64
		}
		rows, err := collect(ctx, tx, func(r scanner) (x row, err error) { return x, r.Scan(&x.group, &x.id, &x.login) },
			`SELECT y.name, p.id, p.login FROM party y JOIN member m ON m.party_id = y.id JOIN person p ON p.id = m.person_id
			WHERE y.kind = 'group' AND y.name IN (`+list+`)`, args...)
		for _, x := range rows {
			if g := have[x.group]; g != nil {
				g.members[x.id] = x.login
			}
		}
		return err
	})
}

func settleGroups(ctx context.Context, tx *sql.Tx, keys []string, all map[string]said, now time.Time) error {
	have, err := standingGroups(ctx, tx, keys)
	if err != nil {
		return err
	}
	entries := make(map[string]GroupEntry, len(all))
	wanted := make(map[Party]string)
	var add []Group
	for _, name := range keys {
		x, told := all[name]
		g := have[name]
		if !told || g != nil && g.Source == "" {
			continue
		}
		var e GroupEntry
		if err := x.read(&e); err != nil {
			return err
		}
		entries[name] = e
		for _, login := range e.Members {
			wanted[Party{Name: login}] = x.source
		}
		if g == nil {
			add = append(add, Group{Name: name, Title: e.Title, Source: x.source})
		}
	}
	ids, err := ensureParties(ctx, tx, wanted, now)
	if err != nil {
		return err
	}
	if err := addGroups(ctx, tx, add); err != nil {
		return err
	}
	for _, g := range add {
		have[g.Name] = &standingGroup{Group: g}
	}
	var members [][]any
	var events []audit.Event
	for _, name := range keys {
		g := have[name]
		if g == nil || g.Source == "" {
			continue
		}
		e, source := entries[name], all[name].source
		if source != "" && (g.Title != e.Title || g.Source != source) {
			if _, err := tx.ExecContext(unawaited(ctx), `UPDATE party SET title = $1, source = $2 WHERE id = $3`, e.Title, source, g.ID); err != nil {
				return err
			}
		}
		some, event, err := changeMembers(ctx, tx, g, e.Members, ids)
		if err != nil {
			return err
		}
		members, events = append(members, some...), append(events, event...)
	}
	if err := insertAll(ctx, tx, `INSERT INTO member (party_id, person_id)`, members); err != nil {
		return err
	}
	return record(ctx, tx, events...)
}

// changeMembers makes the members of a group these, but for rows of member to add, which
// it returns.
func changeMembers(ctx context.Context, tx *sql.Tx, g *standingGroup, logins []string, ids map[Party]int64) (add [][]any, _ []audit.Event, _ error) {
	added, removed := []string{}, []string{}
	for _, login := range logins {
		id := ids[Party{Name: login}]
		if _, is := g.members[id]; !is {
			added = append(added, login)
			add = append(add, []any{g.ID, id})
		}
		delete(g.members, id)
	}
	for id, login := range g.members {
		removed = append(removed, login)
		if _, err := tx.ExecContext(unawaited(ctx), `DELETE FROM member WHERE party_id = $1 AND person_id = $2`, g.ID, id); err != nil {
			return nil, nil, err
		}
	}
	if len(added)+len(removed) == 0 {
		return nil, nil, nil
	}
	slices.Sort(removed)
	return add, []audit.Event{{Action: audit.GroupChanged, Object: g.Name, Detail: audit.Detail{"added": added, "removed": removed}}}, nil
}

// unnamedQuery finds people and groups that came from one source, and that no source says
// anything of, and no host or group names, any more.
const unnamedQuery = `SELECT y.id, y.kind = 'group', y.name FROM party y WHERE y.source <> '' AND y.source = $1
	AND NOT EXISTS (SELECT 1 FROM source_entry e WHERE e.kind = y.kind AND e.key = y.name)
	AND NOT EXISTS (SELECT 1 FROM host_party h WHERE h.party_id = y.id)
	AND NOT EXISTS (SELECT 1 FROM member m WHERE m.person_id = y.id AND m.party_id <> y.id)
	ORDER BY y.id LIMIT $2`

// RemoveUnnamed removes people and groups that came from this source, and that no source
// says anything of, and no host or group names, any more: up to limit, and tells whether
// there may be more.
func (s *Store) RemoveUnnamed(ctx context.Context, l SourceLease, limit int) (more bool, err error) {
	type row struct {
		id int64
		p  Party
	}
	scan := func(r scanner) (x row, err error) { return x, r.Scan(&x.id, &x.p.Group, &x.p.Name) }
	if some, err := collect(ctx, s.read, scan, unnamedQuery, l.Source, 1); err != nil || len(some) == 0 {
		return false, err
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.takeTurn(ctx, tx); err != nil {
			return err
		}
		if err := hold(ctx, tx, l.Source, l.Holder, l.Until); err != nil {
			return err
		}
		all, err := collect(ctx, tx, scan, unnamedQuery, l.Source, limit)
		if err != nil {
			return err
		}
		more = len(all) == limit
		for _, x := range all {
			if !x.p.Group {
				err = removePerson(ctx, tx, x.p.Name)
			} else if err = changeOne(ctx, tx, `DELETE FROM party WHERE id = $1`, x.id); err == nil {
				err = record(ctx, tx, audit.Event{Action: audit.GroupRemoved, Object: x.p.Name})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}
