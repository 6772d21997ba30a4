package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// Party is who may be responsible for a host: a person, or a group.
type Party struct {
	Group bool
	Name  string // login of the person, name of the group
}

func (p Party) kind() string {
	if p.Group {
		return "group"
	}
	return "person"
}

// Group is people who are responsible together.
type Group struct {
	ID      int64    `json:"-"`
	Name    string   `json:"name"`
	Title   string   `json:"title,omitempty"`  // for people to read
	Source  string   `json:"source,omitempty"` // of the host database; "" when entered by hand
	Members []string `json:"members"`          // logins; only [Store.Group] fills it
}

// party finds the number of a party; [ErrNotFound] when there is none.
func party(ctx context.Context, q querier, p Party) (int64, error) {
	return one(ctx, q, scanID, `SELECT id FROM party WHERE kind = $1 AND name = $2`, p.kind(), p.Name)
}

// Person is somebody who may log in and be responsible for hosts.
type Person struct {
	ID       int64     `json:"-"`
	Login    string    `json:"login"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Role     string    `json:"role,omitempty"`     // auditor, operator, administrator, or none
	Language string    `json:"language,omitempty"` // of the portal's pages; "": what the browser asks for
	Source   string    `json:"source,omitempty"`   // of the host database; "" when entered by hand
	Created  time.Time `json:"created"`
	Groups   []string  `json:"groups,omitempty"` // names; only [Store.Person] fills it
	Hosts    []string  `json:"hosts"`            // FQDNs they are responsible for, also by a group; only [Store.Person] fills it
}

// AddPerson records a person; [ErrConflict] when the login is taken.
func (s *Store) AddPerson(ctx context.Context, p Person) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := addPerson(ctx, tx, p)
		return err
	})
}

func addPerson(ctx context.Context, tx *sql.Tx, p Person) (id int64, err error) {
	if id, err = insert(ctx, tx, `INSERT INTO party (kind, name, source) VALUES ('person', $1, $2)
		ON CONFLICT DO NOTHING RETURNING id`, p.Login, p.Source); err != nil {
		return 0, err
	}
	if err := changeOne(ctx, tx, `INSERT INTO person (id, login, name, email, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, p.Login, p.Name, p.Email, p.Role, millis(p.Created)); err != nil {
		return 0, err
	}
	if err := changeOne(ctx, tx, `INSERT INTO member (party_id, person_id) VALUES ($1, $2)`, id, id); err != nil {
		return 0, err
	}
	return id, record(ctx, tx, audit.Event{Action: audit.PersonCreated, Object: p.Login})
}

const personColumns = `p.id, p.login, p.name, p.email, p.role, p.language, p.created_at, (SELECT y.source FROM party y WHERE y.id = p.id) FROM person p`

func scanPerson(row scanner) (p Person, err error) {
	var source sql.NullString
	err = row.Scan(&p.ID, &p.Login, &p.Name, &p.Email, &p.Role, &p.Language, timeColumn{&p.Created}, &source)
	p.Source = source.String
	return p, err
}

// People lists everybody by login.
func (s *Store) People(ctx context.Context) ([]Person, error) {
	return collect(ctx, s.read, scanPerson, `SELECT `+personColumns+` ORDER BY p.login`)
}

// Person finds one by login, with groups and hosts.
func (s *Store) Person(ctx context.Context, login string) (p Person, err error) {
	p, err = s.PersonAlone(ctx, login)
	if err != nil {
		return p, err
	}
	if p.Groups, err = collect(ctx, s.read, scanString, `SELECT y.name FROM member m JOIN party y ON y.id = m.party_id
		WHERE m.person_id = $1 AND y.kind = 'group' ORDER BY y.name`, p.ID); err != nil {
		return p, err
	}
	p.Hosts, err = collect(ctx, s.read, scanString, `SELECT DISTINCT h.fqdn FROM member m JOIN host_party h ON h.party_id = m.party_id
		WHERE m.person_id = $1 ORDER BY h.fqdn`, p.ID)
	return p, err
}

// PersonAlone finds one by login, without what they are responsible for.
func (s *Store) PersonAlone(ctx context.Context, login string) (Person, error) {
	return one(ctx, s.read, scanPerson, `SELECT `+personColumns+` WHERE p.login = $1`, login)
}

// SetRole gives a person another role in the portal.
func (s *Store) SetRole(ctx context.Context, login, role string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE person SET role = $1 WHERE login = $2`, role, login); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.PersonRole, Object: login, Detail: audit.Detail{"role": role}})
	})
}

// RemovePerson forgets a person, who is then responsible for nothing.
func (s *Store) RemovePerson(ctx context.Context, login string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error { return removePerson(ctx, tx, login) })
}

func removePerson(ctx context.Context, tx *sql.Tx, login string) error {
	if err := changeOne(ctx, tx, `DELETE FROM person WHERE login = $1`, login); err != nil {
		return missing(err)
	}
	if err := changeOne(ctx, tx, `DELETE FROM party WHERE kind = 'person' AND name = $1`, login); err != nil {
		return err
	}
	return record(ctx, tx, audit.Event{Action: audit.PersonRemoved, Object: login})
}

// AddGroup records a group with its members, by login. [ErrConflict] means that there is
// one of that name, [ErrNotFound] that there is no such person.
func (s *Store) AddGroup(ctx context.Context, g Group) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		id, err := insert(ctx, tx, `INSERT INTO party (kind, name, title, source) VALUES ('group', $1, $2, $3)
			ON CONFLICT DO NOTHING RETURNING id`, g.Name, g.Title, g.Source)
		if err != nil {
			return err
		}
		if err := addMembers(ctx, tx, id, g.Members); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.GroupCreated, Object: g.Name, Detail: audit.Detail{"members": g.Members}})
	})
}

func addMembers(ctx context.Context, tx *sql.Tx, group int64, logins []string) error {
	for _, login := range logins {
		person, err := one(ctx, tx, scanID, `SELECT id FROM person WHERE login = $1`, login)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO member (party_id, person_id) VALUES ($1, $2)
			ON CONFLICT (party_id, person_id) DO NOTHING`, group, person); err != nil {
			return err
		}
	}
	return nil
}

// ChangeMembers changes who is in a group, by login. [ErrNotFound] means that the group,
// a person to add or a member to remove is not there.
func (s *Store) ChangeMembers(ctx context.Context, group string, add, remove []string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		id, err := one(ctx, tx, scanID, `SELECT id FROM party WHERE kind = 'group' AND name = $1`+s.lock(), group)
		if err != nil {
			return err
		}
		for _, login := range remove {
			if err := changeOne(ctx, tx, `DELETE FROM member WHERE party_id = $1
				AND person_id = (SELECT id FROM person WHERE login = $2)`, id, login); err != nil {
				return missing(err)
			}
		}
		if err := addMembers(ctx, tx, id, add); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.GroupChanged, Object: group, Detail: audit.Detail{"added": add, "removed": remove}})
	})
}

// RemoveGroup forgets a group, which is then responsible for nothing.
func (s *Store) RemoveGroup(ctx context.Context, name string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM party WHERE kind = 'group' AND name = $1`, name); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.GroupRemoved, Object: name})
	})
}

func scanGroup(row scanner) (g Group, err error) {
	err = row.Scan(&g.ID, &g.Name, &g.Title, &g.Source)
	return g, err
}

// Groups lists all groups by name.
func (s *Store) Groups(ctx context.Context) ([]Group, error) {
	return collect(ctx, s.read, scanGroup, `SELECT id, name, title, source FROM party WHERE kind = 'group' ORDER BY name`)
}

// Group finds one by name, with its members.
func (s *Store) Group(ctx context.Context, name string) (g Group, err error) {
	g, err = one(ctx, s.read, scanGroup, `SELECT id, name, title, source FROM party WHERE kind = 'group' AND name = $1`, name)
	if err != nil {
		return g, err
	}
	g.Members, err = collect(ctx, s.read, scanString, `SELECT p.login FROM member m JOIN person p ON p.id = m.person_id
		WHERE m.party_id = $1 ORDER BY p.login`, g.ID)
	return g, err
}

// Responsible tells for which of the hosts a person is responsible, in any order.
func (s *Store) Responsible(ctx context.Context, person int64, fqdns []string) (of []string, err error) {
	for chunk := range slices.Chunk(fqdns, 128) {
		list, args := listed([]any{person}, chunk)
		some, err := collect(ctx, s.read, scanString, `SELECT DISTINCT h.fqdn FROM host_party h JOIN member m ON m.party_id = h.party_id
			WHERE m.person_id = $1 AND h.fqdn IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		of = append(of, some...)
	}
	return of, nil
}

// missing turns "changed no row" into "there was none".
func missing(err error) error {
	if errors.Is(err, ErrConflict) {
		return ErrNotFound
	}
	return err
}
