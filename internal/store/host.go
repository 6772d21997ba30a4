package store

import (
	"context"
	"database/sql"
	"time"

	"vidimus/internal/audit"
)

// Host is an entry of the host database.
type Host struct {
	FQDN    string            `json:"fqdn"`
	Created time.Time         `json:"created"`
	Team    bool              `json:"ca_team"`           // the CA team is responsible for it
	Source  string            `json:"source,omitempty"`  // that decides on it; "" when entered by hand
	Details map[string]string `json:"details,omitempty"` // the organisation's data, by its own names
	People  []string          `json:"people"`            // logins; only [Store.Host] fills it
	Groups  []string          `json:"groups"`            // names; only [Store.Host] fills it
	ACMEIDs []string          `json:"acme_ids"`          // FQDNs of the valid ACME-IDs that may manage it; only [Store.Host] fills it
}

// AddHost records a host and who is responsible for it: the CA team when nobody is named.
// It fails with [ErrConflict] when the host exists, with [ErrNotFound] when a party does
// not.
func (s *Store) AddHost(ctx context.Context, fqdn string, parties []Party, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `INSERT INTO host (fqdn, created_at, team) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			fqdn, millis(now), len(parties) == 0); err != nil {
			return err
		}
		if err := addParties(ctx, tx, fqdn, parties); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.HostCreated, Object: fqdn, Detail: partiesDetail("people", "groups", parties)})
	})
}

func addParties(ctx context.Context, tx *sql.Tx, fqdn string, parties []Party) error {
	for _, p := range parties {
		id, err := party(ctx, tx, p)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO host_party (fqdn, party_id) VALUES ($1, $2)
			ON CONFLICT (fqdn, party_id) DO NOTHING`, fqdn, id); err != nil {
			return err
		}
	}
	return nil
}

func partiesDetail(people, groups string, parties []Party) audit.Detail {
	d := audit.Detail{people: []string{}}
	for _, p := range parties {
		key := people
		if p.Group {
			key = groups
		}
		names, _ := d[key].([]string)
		d[key] = append(names, p.Name)
	}
	return d
}

// ChangeParties changes who is responsible for a host. [ErrNotFound] means that the host,
// a party to add or a responsibility to remove is not there; one that is there already is
// added without effect. Who is added relieves the CA team; when the last one is removed
// nobody is responsible. With team the CA team is, and nobody else may be left.
func (s *Store) ChangeParties(ctx context.Context, fqdn string, add, remove []Party, team bool) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := one(ctx, tx, scanString, `SELECT fqdn FROM host WHERE fqdn = $1`+s.lock(), fqdn); err != nil {
			return err
		}
		for _, p := range remove {
			if err := changeOne(ctx, tx, `DELETE FROM host_party WHERE fqdn = $1
				AND party_id = (SELECT id FROM party WHERE kind = $2 AND name = $3)`, fqdn, p.kind(), p.Name); err != nil {
				return missing(err)
			}
		}
		if err := addParties(ctx, tx, fqdn, add); err != nil {
			return err
		}
		detail := partiesDetail("added", "added_groups", add)
		for k, v := range partiesDetail("removed", "removed_groups", remove) {
			detail[k] = v
		}
		if len(add) > 0 || team {
			detail["team"] = team
			if err := changeOne(ctx, tx, `UPDATE host SET team = $1 WHERE fqdn = $2
				AND NOT ($1 AND EXISTS (SELECT 1 FROM host_party p WHERE p.fqdn = host.fqdn))`, team, fqdn); err != nil {
				return err
			}
		}
		return record(ctx, tx, audit.Event{Action: audit.HostPeople, Object: fqdn, Detail: detail})
	})
}

const hostColumns = `fqdn, created_at, team, source, details`

func scanHost(row scanner) (h Host, err error) {
	err = row.Scan(&h.FQDN, timeColumn{&h.Created}, &h.Team, &h.Source, jsonColumn{&h.Details})
	return h, err
}

// Hosts lists all hosts by name.
func (s *Store) Hosts(ctx context.Context) ([]Host, error) {
	return collect(ctx, s.read, scanHost, `SELECT `+hostColumns+` FROM host ORDER BY fqdn`)
}

// HostAlone finds one, without its people and ACME-IDs.
func (s *Store) HostAlone(ctx context.Context, fqdn string) (Host, error) {
	return one(ctx, s.read, scanHost, `SELECT `+hostColumns+` FROM host WHERE fqdn = $1`, fqdn)
}

// Host finds one, with its people, groups and ACME-IDs.
func (s *Store) Host(ctx context.Context, fqdn string) (h Host, err error) {
	h, err = s.HostAlone(ctx, fqdn)
	if err != nil {
		return h, err
	}
	h.People, h.Groups = []string{}, []string{}
	parties, err := collect(ctx, s.read, scanParty, `SELECT y.kind = 'group', y.name FROM host_party h JOIN party y ON y.id = h.party_id
		WHERE h.fqdn = $1 ORDER BY y.name`, fqdn)
	if err != nil {
		return h, err
	}
	for _, p := range parties {
		if p.Group {
			h.Groups = append(h.Groups, p.Name)
		} else {
			h.People = append(h.People, p.Name)
		}
	}
	h.ACMEIDs, err = collect(ctx, s.read, scanString, `SELECT DISTINCT i.fqdn FROM acme_id_name n JOIN acme_id i ON i.id = n.acme_id
		WHERE n.fqdn = $1 AND i.invalid_at IS NULL ORDER BY i.fqdn`, fqdn)
	return h, err
}

func scanParty(row scanner) (p Party, err error) {
	err = row.Scan(&p.Group, &p.Name)
	return p, err
}

// removeHost is for the transaction of [Store.RemoveHost] and others.
func removeHost(ctx context.Context, tx *sql.Tx, fqdn string, now time.Time) error {
	if err := changeOne(ctx, tx, `DELETE FROM host WHERE fqdn = $1`, fqdn); err != nil {
		return missing(err)
	}
	const why = "its host was removed"
	gone, err := collect(ctx, tx, scanString, `UPDATE acme_id SET invalid_at = $1, invalid_why = $2, hmac_key = NULL
		WHERE fqdn = $3 AND invalid_at IS NULL RETURNING fqdn`, millis(now), why, fqdn)
	if err != nil {
		return err
	}
	events := []audit.Event{{Action: audit.HostRemoved, Object: fqdn}}
	for _, id := range gone {
		events = append(events, audit.Event{Action: audit.ACMEIDRemoved, Object: id, Detail: audit.Detail{"why": why}})
	}
	return record(ctx, tx, events...)
}
