package store

import (
	"context"
	"database/sql"

	"vidimus/internal/audit"
)

// ChangePeople changes who is responsible for a host, by login. [ErrNotFound] means that
// the host, a person to add or a responsibility to remove is not there; one that is there
// already is added without effect.
func (s *Store) ChangePeople(ctx context.Context, fqdn string, add, remove []string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := one(ctx, tx, scanString, `SELECT fqdn FROM host WHERE fqdn = $1`+s.lock(), fqdn); err != nil {
			return err
		}
		for _, login := range remove {
			if err := changeOne(ctx, tx, `DELETE FROM host_person WHERE fqdn = $1
				AND person_id = (SELECT id FROM person WHERE login = $2)`, fqdn, login); err != nil {
				return missing(err)
			}
		}
		for _, login := range add {
			id, err := one(ctx, tx, scanInt, `SELECT id FROM person WHERE login = $1`, login)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO host_person (fqdn, person_id) VALUES ($1, $2)
				ON CONFLICT (fqdn, person_id) DO NOTHING`, fqdn, id); err != nil {
				return err
			}
		}
		return record(ctx, tx, audit.Event{Action: audit.HostPeople, Object: fqdn, Detail: audit.Detail{"added": add, "removed": remove}})
	})
}
