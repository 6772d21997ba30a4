package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
)

const (
	// lookedTogether is how many certificates with a name are looked at together.
	lookedTogether = 512
	// lookedMost bounds how many are looked at for one page, where not all with the name fit.
	lookedMost = 16 * lookedTogether
)

const (
	serialsOfName   = `SELECT n.serial FROM certificate_name n WHERE n.value = $1 AND n.serial < $2 ORDER BY n.serial DESC LIMIT $3`
	serialsOfPerson = `SELECT n.serial FROM member m JOIN host_party p ON p.party_id = m.party_id
		JOIN certificate_name n ON n.value = p.fqdn WHERE m.person_id = $1 AND n.serial < $2 ORDER BY n.serial DESC LIMIT $3`
	wildcardsOfPerson = `SELECT n.serial FROM member m JOIN host_party p ON p.party_id = m.party_id
		JOIN certificate_name n ON n.value = '*.' || p.fqdn WHERE m.person_id = $1 AND n.serial < $2 ORDER BY n.serial DESC LIMIT $3`
	amongPersons = `c.serial IN (SELECT n.serial FROM member m JOIN host_party p ON p.party_id = m.party_id
		JOIN certificate_name n ON n.value IN (p.fqdn, '*.' || p.fqdn) WHERE m.person_id = `
)

// listByName lists the certificates of a host, or of a person's hosts, by serial number.
func (s *Store) listByName(ctx context.Context, f CertificateFilter, after string, limit int) (all []ListedCertificate, next string, err error) {
	if f.Host != "" && f.Person != 0 {
		of, err := s.Responsible(ctx, f.Person, []string{strings.TrimPrefix(f.Host, "*.")})
		if err != nil {
			return nil, "", err
		}
		if len(of) > 0 {
			f.Person = 0 // all of the host's are the person's
		}
	}
	var found []string
	after = cmp.Or(after, last)
	step := lookedTogether
	if !f.namesOnly() {
		step = lookedMost // as each look is at all of a person's hosts
	}
	for more := true; more && len(found) <= limit; {
		var some []string
		if some, more, err = s.serialsByName(ctx, f, after, step); err != nil {
			return nil, "", err
		}
		for chunk := range slices.Chunk(some, lookedTogether) {
			fitting, err := s.fitting(ctx, f, chunk)
			if err != nil {
				return nil, "", err
			}
			if found = append(found, fitting...); len(found) > limit {
				break
			}
		}
		if !more || len(some) == 0 {
			break
		}
		if after = some[len(some)-1]; step == lookedMost {
			next = after // that was enough for one page
			break
		}
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1]
	}
	all, err = s.listed(ctx, found)
	return all, next, err
}

// serialsByName lists some serial numbers of a host or a person below another, the highest
// first, and tells whether there may be more. What sorts few of many is much faster than
// what finds those that are there twice, so it is done here.
func (s *Store) serialsByName(ctx context.Context, f CertificateFilter, after string, limit int) (all []string, more bool, err error) {
	bound := ""
	read := func(text string, whose any) {
		some, e := collect(ctx, s.read, scanString, text, whose, after, limit)
		if err = errors.Join(err, e); len(some) == limit {
			bound, more = max(bound, some[limit-1]), true
		}
		all = append(all, some...)
	}
	if f.Host != "" {
		name := strings.TrimPrefix(f.Host, "*.")
		read(serialsOfName, name)
		read(serialsOfName, "*."+name)
	} else {
		read(serialsOfPerson, f.Person)
		read(wildcardsOfPerson, f.Person)
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(b, a) })
	all = slices.Compact(all)
	// Below this there may be some that were not read.
	all = slices.DeleteFunc(all, func(serial string) bool { return serial < bound })
	return all, more, err
}

// fitting keeps of certificates, by their serial numbers, those that fit the other
// conditions.
func (s *Store) fitting(ctx context.Context, f CertificateFilter, serials []string) (all []string, err error) {
	if f.namesOnly() {
		return serials, nil
	}
	list, args := listed(nil, serials)
	q := &query{args: args}
	from := `certificate c`
	if f.State == Revoked { // few are
		from = `revocation v JOIN certificate c ON c.serial = v.serial`
		q.and(`v.serial IN (` + list + `)`)
	} else {
		q.and(`c.serial IN (` + list + `)`)
	}
	if f.Host != "" && f.Person != 0 {
		q.and(amongPersons + q.arg(f.Person) + `)`)
	}
	f.others(q)
	return collect(ctx, s.read, scanString, `SELECT c.serial FROM `+from+` WHERE `+q.where()+` ORDER BY c.serial DESC`, q.args...)
}

// namesOnly tells whether there is no condition but a host or a person.
func (f CertificateFilter) namesOnly() bool {
	return (f.Host == "" || f.Person == 0) && f.Key == nil && f.ACMEID == "" && f.Issuer == "" && f.State == "" && f.From.IsZero() && f.Before.IsZero()
}
