package store

import (
	"context"
	"database/sql"
	"slices"
	"time"
)

// Coverage is what is on record about an ACME-ID and some names, to decide by.
type Coverage struct {
	FQDN       string    // the host that the ACME-ID is named for
	Invalid    time.Time // since when it is; zero while it is good
	InvalidWhy string
	Team       bool // the CA team is responsible for that host
	Edited     bool // a person is
	Names      map[string]CoveredName
}

// CoveredName is a name in the set of an ACME-ID.
type CoveredName struct {
	Team   bool // the CA team is responsible for its host
	Shared bool // a person is responsible for it and for the host the ACME-ID is named for
}

// Coverage reads what is on record about an ACME-ID and those of names that are in its
// set.
func (s *Store) Coverage(ctx context.Context, acmeID int64, names []string) (c Coverage, err error) {
	list, args := listed([]any{acmeID}, names)
	type row struct {
		c    Coverage
		name sql.NullString
		n    CoveredName
	}
	rows, err := collect(ctx, s.read, func(r scanner) (x row, err error) {
		err = r.Scan(&x.c.FQDN, timeColumn{&x.c.Invalid}, &x.c.InvalidWhy, &x.c.Team, &x.c.Edited, &x.name, &x.n.Team, &x.n.Shared)
		return x, err
	}, `SELECT i.fqdn, i.invalid_at, i.invalid_why,
			COALESCE((SELECT h.team FROM host h WHERE h.fqdn = i.fqdn), FALSE),
			EXISTS (SELECT 1 FROM host_party p JOIN member m ON m.party_id = p.party_id WHERE p.fqdn = i.fqdn),
			n.name,
			COALESCE((SELECT h.team FROM host h WHERE h.fqdn = n.fqdn), FALSE),
			EXISTS (SELECT 1 FROM host_party p JOIN member m ON m.party_id = p.party_id
				JOIN member o ON o.person_id = m.person_id JOIN host_party q ON q.party_id = o.party_id AND q.fqdn = n.fqdn
				WHERE p.fqdn = i.fqdn)
		FROM acme_id i LEFT JOIN acme_id_name n ON n.acme_id = i.id AND n.name IN (`+list+`) WHERE i.id = $1`, args...)
	if err != nil {
		return c, err
	}
	if len(rows) == 0 {
		return c, ErrNotFound
	}
	c = rows[0].c
	c.Names = make(map[string]CoveredName, len(rows))
	for _, r := range rows {
		if r.name.Valid {
			c.Names[r.name.String] = r.n
		}
	}
	return c, nil
}

// Relation is how a host is related to another, that an ACME-ID is named for.
type Relation struct {
	Team   bool // the CA team is responsible for it
	Shared bool // a person is responsible for both
}

// Relations reads of each of these hosts, and of the host fqdn itself, how it is related
// to fqdn; what is no host is not there.
func (s *Store) Relations(ctx context.Context, fqdn string, hosts []string) (map[string]Relation, error) {
	type row struct {
		host string
		r    Relation
	}
	all := map[string]Relation{}
	for chunk := range slices.Chunk(append([]string{fqdn}, hosts...), 128) {
		list, args := listed([]any{fqdn}, chunk)
		some, err := collect(ctx, s.read, func(r scanner) (x row, err error) {
			err = r.Scan(&x.host, &x.r.Team, &x.r.Shared)
			return x, err
		}, `SELECT h.fqdn, h.team, EXISTS (SELECT 1 FROM host_party p JOIN member m ON m.party_id = p.party_id
				JOIN member o ON o.person_id = m.person_id JOIN host_party q ON q.party_id = o.party_id AND q.fqdn = h.fqdn
				WHERE p.fqdn = $1)
			FROM host h WHERE h.fqdn IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range some {
			all[r.host] = r.r
		}
	}
	return all, nil
}

// HostsAmong tells which of these are hosts.
func (s *Store) HostsAmong(ctx context.Context, fqdns []string) (all []string, err error) {
	for chunk := range slices.Chunk(fqdns, 128) {
		list, args := listed(nil, chunk)
		some, err := collect(ctx, s.read, scanString, `SELECT fqdn FROM host WHERE fqdn IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
