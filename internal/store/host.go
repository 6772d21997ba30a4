package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"vidimus/internal/audit"
)

// Person is somebody who may be responsible for hosts.
type Person struct {
	ID      int64     `json:"-"`
	Login   string    `json:"login"`
	Name    string    `json:"name"`
	Email   string    `json:"email"`
	Created time.Time `json:"created"`
	Hosts   []string  `json:"hosts"` // FQDNs; only [Store.Person] fills it
}

// Host is an entry of the host database.
type Host struct {
	FQDN    string    `json:"fqdn"`
	Created time.Time `json:"created"`
	People  []string  `json:"people"`   // logins; only [Store.Host] fills it
	ACMEIDs []string  `json:"acme_ids"` // FQDNs of the valid ACME-IDs that may manage it; only [Store.Host] fills it
}

// AddPerson records a person; [ErrConflict] when the login is taken.
func (s *Store) AddPerson(ctx context.Context, p Person) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := insert(ctx, tx, `INSERT INTO person (login, name, email, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING RETURNING id`, p.Login, p.Name, p.Email, millis(p.Created))
		if err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.PersonCreated, Object: p.Login})
	})
}

func scanPerson(row scanner) (p Person, err error) {
	err = row.Scan(&p.ID, &p.Login, &p.Name, &p.Email, timeColumn{&p.Created})
	return p, err
}

// People lists everybody by login.
func (s *Store) People(ctx context.Context) ([]Person, error) {
	return collect(ctx, s.read, scanPerson, `SELECT id, login, name, email, created_at FROM person ORDER BY login`)
}

// Person finds one by login, with hosts.
func (s *Store) Person(ctx context.Context, login string) (p Person, err error) {
	p, err = one(ctx, s.read, scanPerson, `SELECT id, login, name, email, created_at FROM person WHERE login = $1`, login)
	if err != nil {
		return p, err
	}
	p.Hosts, err = collect(ctx, s.read, scanString, `SELECT fqdn FROM host_person WHERE person_id = $1 ORDER BY fqdn`, p.ID)
	return p, err
}

// RemovePerson forgets a person, who is then responsible for nothing.
func (s *Store) RemovePerson(ctx context.Context, login string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM person WHERE login = $1`, login); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.PersonRemoved, Object: login})
	})
}

// missing turns "changed no row" into "there was none".
func missing(err error) error {
	if errors.Is(err, ErrConflict) {
		return ErrNotFound
	}
	return err
}

// AddHost records a host and the people responsible for it, by login. It fails with
// [ErrConflict] when the host exists, with [ErrNotFound] when a person does not.
func (s *Store) AddHost(ctx context.Context, fqdn string, logins []string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `INSERT INTO host (fqdn, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
			fqdn, millis(now)); err != nil {
			return err
		}
		for _, login := range logins {
			if err := changeOne(ctx, tx, `INSERT INTO host_person (fqdn, person_id)
				SELECT CAST($1 AS TEXT), id FROM person WHERE login = $2`, fqdn, login); err != nil {
				return missing(err)
			}
		}
		return record(ctx, tx, audit.Event{Action: audit.HostCreated, Object: fqdn, Detail: audit.Detail{"people": logins}})
	})
}

func scanHost(row scanner) (h Host, err error) {
	err = row.Scan(&h.FQDN, timeColumn{&h.Created})
	return h, err
}

// Hosts lists all hosts by name.
func (s *Store) Hosts(ctx context.Context) ([]Host, error) {
	return collect(ctx, s.read, scanHost, `SELECT fqdn, created_at FROM host ORDER BY fqdn`)
}

// Host finds one, with its people and ACME-IDs.
func (s *Store) Host(ctx context.Context, fqdn string) (h Host, err error) {
	h, err = one(ctx, s.read, scanHost, `SELECT fqdn, created_at FROM host WHERE fqdn = $1`, fqdn)
	if err != nil {
		return h, err
	}
	h.People, err = collect(ctx, s.read, scanString, `SELECT p.login FROM host_person h JOIN person p ON p.id = h.person_id
		WHERE h.fqdn = $1 ORDER BY p.login`, fqdn)
	if err != nil {
		return h, err
	}
	h.ACMEIDs, err = collect(ctx, s.read, scanString, `SELECT i.fqdn FROM acme_id_name n JOIN acme_id i ON i.id = n.acme_id
		WHERE n.fqdn = $1 AND i.invalid_at IS NULL ORDER BY i.fqdn`, fqdn)
	return h, err
}

// RemoveHost forgets a host. Its name leaves the set of every ACME-ID, and the
// ACME-ID that is named for it is invalid from now on, together with its
// credentials; a host that comes back under the same name doesn't revive it.
func (s *Store) RemoveHost(ctx context.Context, fqdn string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM host WHERE fqdn = $1`, fqdn); err != nil {
			return missing(err)
		}
		gone, err := collect(ctx, tx, scanString, `UPDATE acme_id SET invalid_at = $1, hmac_key = NULL
			WHERE fqdn = $2 AND invalid_at IS NULL RETURNING fqdn`, millis(now), fqdn)
		if err != nil {
			return err
		}
		events := []audit.Event{{Action: audit.HostRemoved, Object: fqdn}}
		for _, id := range gone {
			events = append(events, audit.Event{Action: audit.ACMEIDRemoved, Object: id, Detail: audit.Detail{"why": "its host was removed"}})
		}
		return record(ctx, tx, events...)
	})
}
