package store

import (
	"context"
)

// listPage is how many hosts, people or ACME-IDs are read at once.
const listPage = 512

// EachHost calls fn for all hosts by name, with their people, groups and ACME-IDs. It
// keeps a page of them in memory.
func (s *Store) EachHost(ctx context.Context, fn func(Host) error) error {
	for after := ""; ; {
		page, err := s.hostsAfter(ctx, after, listPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, h := range page {
			if err := fn(h); err != nil {
				return err
			}
		}
		after = page[len(page)-1].FQDN
	}
}

// hostsAfter lists up to limit hosts behind a name.
func (s *Store) hostsAfter(ctx context.Context, after string, limit int) ([]Host, error) {
	page, err := collect(ctx, s.read, scanHost, `SELECT `+hostColumns+` FROM host WHERE fqdn > $1 ORDER BY fqdn LIMIT $2`, after, limit)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	at := make(map[string]*Host, len(page))
	for i := range page {
		page[i].People, page[i].Groups, page[i].ACMEIDs = []string{}, []string{}, []string{}
		at[page[i].FQDN] = &page[i]
	}
	last := page[len(page)-1].FQDN
	err = s.gather(ctx, func(row scanner) error {
		var fqdn string
		var p Party
		if err := row.Scan(&fqdn, &p.Group, &p.Name); err != nil {
			return err
		}
		h := at[fqdn]
		switch {
		case h == nil: // it came since
		case p.Group:
			h.Groups = append(h.Groups, p.Name)
		default:
			h.People = append(h.People, p.Name)
		}
		return nil
	}, `SELECT h.fqdn, y.kind = 'group', y.name FROM host_party h JOIN party y ON y.id = h.party_id
		WHERE h.fqdn > $1 AND h.fqdn <= $2 ORDER BY h.fqdn, y.name`, after, last)
	if err != nil {
		return nil, err
	}
	err = s.gather(ctx, func(row scanner) error {
		var fqdn, id string
		if err := row.Scan(&fqdn, &id); err != nil {
			return err
		}
		if h := at[fqdn]; h != nil {
			h.ACMEIDs = append(h.ACMEIDs, id)
		}
		return nil
	}, `SELECT DISTINCT n.fqdn, i.fqdn FROM acme_id_name n JOIN acme_id i ON i.id = n.acme_id
		WHERE n.fqdn > $1 AND n.fqdn <= $2 AND i.invalid_at IS NULL ORDER BY n.fqdn, i.fqdn`, after, last)
	return page, err
}

// EachACMEID calls fn for all ACME-IDs by FQDN, those that are invalid too. It keeps a
// page of them in memory.
func (s *Store) EachACMEID(ctx context.Context, fn func(ACMEID) error) error {
	after := ACMEID{}
	for {
		page, err := s.acmeIDsAfter(ctx, after, listPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, a := range page {
			if err := fn(a); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// acmeIDsAfter lists up to limit ACME-IDs behind one.
func (s *Store) acmeIDsAfter(ctx context.Context, after ACMEID, limit int) ([]ACMEID, error) {
	page, err := collect(ctx, s.read, scanACMEID, `SELECT `+acmeIDColumns+` FROM acme_id WHERE (fqdn, id) > ($1, $2) ORDER BY fqdn, id LIMIT $3`,
		after.FQDN, after.ID, limit)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	at, ids := make(map[int64]*ACMEID, len(page)), make([]int64, len(page))
	for i := range page {
		page[i].Names, ids[i] = []string{}, page[i].ID
		at[page[i].ID] = &page[i]
	}
	list, args := listed(nil, ids)
	err = s.gather(ctx, func(row scanner) error {
		var id int64
		var name string
		if err := row.Scan(&id, &name); err != nil {
			return err
		}
		at[id].Names = append(at[id].Names, name)
		return nil
	}, `SELECT acme_id, name FROM acme_id_name WHERE acme_id IN (`+list+`) ORDER BY acme_id, name`, args...)
	if err != nil {
		return nil, err
	}
	err = s.gather(ctx, func(row scanner) error {
		var id, account int64
		if err := row.Scan(&id, &account); err != nil {
			return err
		}
		at[id].Accounts = append(at[id].Accounts, account)
		return nil
	}, `SELECT acme_id, id FROM account WHERE acme_id IN (`+list+`) AND status = 'valid' AND NOT staging ORDER BY acme_id, id`, args...)
	return page, err
}

// EachPerson calls fn for everybody by login, with their groups and hosts. It keeps a page
// of them in memory.
func (s *Store) EachPerson(ctx context.Context, fn func(Person) error) error {
	for after := ""; ; {
		page, err := s.peopleAfter(ctx, after, listPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if err := fn(p); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Login
	}
}

// peopleAfter lists up to limit people behind a login.
func (s *Store) peopleAfter(ctx context.Context, after string, limit int) ([]Person, error) {
	page, err := collect(ctx, s.read, scanPerson, `SELECT `+personColumns+` WHERE p.login > $1 ORDER BY p.login LIMIT $2`, after, limit)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	at, ids := make(map[int64]*Person, len(page)), make([]int64, len(page))
	for i := range page {
		page[i].Hosts, ids[i] = []string{}, page[i].ID
		at[page[i].ID] = &page[i]
	}
	list, args := listed(nil, ids)
	to := func(add func(p *Person, name string)) func(scanner) error {
		return func(row scanner) error {
			var id int64
			var name string
			if err := row.Scan(&id, &name); err != nil {
				return err
			}
			add(at[id], name)
			return nil
		}
	}
	if err := s.gather(ctx, to(func(p *Person, name string) { p.Groups = append(p.Groups, name) }),
		`SELECT m.person_id, y.name FROM member m JOIN party y ON y.id = m.party_id
		WHERE m.person_id IN (`+list+`) AND y.kind = 'group' ORDER BY m.person_id, y.name`, args...); err != nil {
		return nil, err
	}
	err = s.gather(ctx, to(func(p *Person, name string) { p.Hosts = append(p.Hosts, name) }),
		`SELECT DISTINCT m.person_id, h.fqdn FROM member m JOIN host_party h ON h.party_id = m.party_id
		WHERE m.person_id IN (`+list+`) ORDER BY m.person_id, h.fqdn`, args...)
	return page, err
}

// gather reads rows, each by fn.
func (s *Store) gather(ctx context.Context, fn func(row scanner) error, query string, args ...any) error {
	rows, err := s.read.QueryContext(unwatched(ctx), query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
