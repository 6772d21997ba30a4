package store

import (
	"context"
	"strconv"
)

// PersonSelection says which people to list, in the order of their logins.
type PersonSelection struct {
	Contains string // only those that have this, in lower case, in login, name or e-mail
	Roles    bool   // only those with a role
	After    string // only those behind this login
	Limit    int
}

// ListPeople lists people, without groups and hosts. A part of a name is looked for among
// all that are left.
func (s *Store) ListPeople(ctx context.Context, sel PersonSelection) ([]Person, error) {
	where, args := `p.login > $1`, []any{sel.After}
	if sel.Contains != "" {
		args = append(args, containing(sel.Contains))
		where += ` AND (lower(p.login) LIKE $2 ESCAPE '\' OR lower(p.name) LIKE $2 ESCAPE '\' OR lower(p.email) LIKE $2 ESCAPE '\')`
	}
	if sel.Roles {
		where += ` AND p.role <> ''`
	}
	args = append(args, sel.Limit)
	return collect(ctx, s.read, scanPerson, `SELECT `+personColumns+` WHERE `+where+` ORDER BY p.login LIMIT $`+strconv.Itoa(len(args)), args...)
}

// GroupsOf lists the groups that a person is in.
func (s *Store) GroupsOf(ctx context.Context, person int64) ([]Group, error) {
	return collect(ctx, s.read, scanGroup, `SELECT y.id, y.name, y.title, y.source FROM member m JOIN party y ON y.id = m.party_id
		WHERE m.person_id = $1 AND y.kind = 'group' ORDER BY y.name`, person)
}

// HostsOfGroup lists up to limit hosts that a group is responsible for, behind a name.
func (s *Store) HostsOfGroup(ctx context.Context, group int64, after string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT fqdn FROM host_party WHERE party_id = $1 AND fqdn > $2 ORDER BY fqdn LIMIT $3`, group, after, limit)
}
