package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CertificateState is what has become of a certificate.
type CertificateState string

// The states. The zero value of a filter's means any.
const (
	Valid   CertificateState = "valid"
	Expired CertificateState = "expired"
	Revoked CertificateState = "revoked" // whether expired since or not
)

// CertificateFilter says which certificates to list: those that fit all of its conditions.
// Certificates of OCSP responders are never among them.
type CertificateFilter struct {
	Person  int64  // with a name whose host this person is responsible for
	Host    string // FQDN, or wildcard: with this name, or its wildcard
	Key     []byte // SHA-256 of the subject public key info
	ACMEID  string // FQDN of one, also of one that is invalid
	Issuer  string
	State   CertificateState
	From    time.Time // end then or later
	Before  time.Time // end earlier
	Now     time.Time // what State is about
	Issuers []string  // all that there are; see [Store.IssuersOnRecord]
}

// ListedCertificate is a certificate in a list; its names are in DER.
type ListedCertificate struct {
	Certificate
	ACMEID string // FQDN; "" for none
}

// query collects conditions and arguments.
type query struct {
	conditions []string
	args       []any
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

func (q *query) and(condition string) { q.conditions = append(q.conditions, condition) }

func (q *query) where() string { return strings.Join(q.conditions, " AND ") }

// ByExpiry tells in which order certificates are listed: by their end, soonest first, or
// with desc latest first; otherwise by their serial numbers, newest first.
func (f CertificateFilter) ByExpiry() (is, desc bool) {
	narrow := f.Person != 0 || f.Host != "" || f.Key != nil || f.ACMEID != "" || f.State == Revoked
	spans := !f.From.IsZero() || !f.Before.IsZero()
	return !narrow && (f.Issuer != "" || f.State != "" || spans), !spans && f.State != Valid
}

// ListCertificates lists up to limit certificates behind the place after, "" for the
// first, and returns the place behind them, "" when there are no more. There may be fewer
// than limit and more all the same, where it has looked at enough. It takes two queries, or
// one more for each issuer but one; of a person's or host's a few, for each 512 that are
// looked at.
func (s *Store) ListCertificates(ctx context.Context, f CertificateFilter, after string, limit int) (all []ListedCertificate, next string, err error) {
	byExpiry, desc := f.ByExpiry()
	at, ok := parsePlace(after, byExpiry)
	if !ok {
		return nil, "", nil
	}
	var places []place
	switch {
	case f.Person != 0 || f.Host != "":
		return s.listByName(ctx, f, after, limit)
	case byExpiry:
		places, err = s.placesByExpiry(ctx, f, at, desc, limit+1)
	default:
		text, args := f.serialQuery(at.serial, limit+1)
		places, err = collect(ctx, s.read, scanPlace, text, args...)
	}
	if err != nil {
		return nil, "", err
	}
	if len(places) > limit {
		places = places[:limit]
		end := places[limit-1]
		next = end.serial
		if byExpiry {
			next = fmt.Sprintf("%d-%s", end.notAfter, end.serial)
		}
	}
	serials := make([]string, len(places))
	for i, p := range places {
		serials[i] = p.serial
	}
	all, err = s.listed(ctx, serials)
	return all, next, err
}

// place is where a certificate is in a list.
type place struct {
	serial   string
	notAfter int64
}

func scanPlace(row scanner) (p place, err error) { return p, row.Scan(&p.serial, &p.notAfter) }

// placesByExpiry asks each issuer, as the index begins with that.
func (s *Store) placesByExpiry(ctx context.Context, f CertificateFilter, after place, desc bool, limit int) (places []place, err error) {
	for _, issuer := range f.issuers() {
		text, args := f.expiryQuery(issuer, after.serial, after.notAfter, desc, limit)
		some, err := collect(ctx, s.read, scanPlace, text, args...)
		if err != nil {
			return nil, err
		}
		places = append(places, some...)
	}
	slices.SortFunc(places, func(a, b place) int {
		c := comparePlaces(a.notAfter, b.notAfter, a.serial, b.serial)
		if desc {
			return -c
		}
		return c
	})
	return places[:min(limit, len(places))], nil
}

func comparePlaces(timeA, timeB int64, serialA, serialB string) int {
	if timeA != timeB {
		if timeA < timeB {
			return -1
		}
		return 1
	}
	return strings.Compare(serialA, serialB)
}

// parsePlace reads a place; it came from outside.
func parsePlace(after string, byExpiry bool) (p place, ok bool) {
	p.serial = after
	if after == "" || !byExpiry {
		return p, true
	}
	number, serial, ok := strings.Cut(after, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	p.serial, p.notAfter = serial, n
	return p, ok && err == nil && serial != ""
}

func (f CertificateFilter) issuers() []string {
	if f.Issuer != "" {
		return []string{f.Issuer}
	}
	return f.Issuers
}

// expiryQuery is for what is listed by its end, at one issuer.
func (f CertificateFilter) expiryQuery(issuer, serial string, notAfter int64, desc bool, limit int) (string, []any) {
	q := &query{}
	q.and(`c.issuer = ` + q.arg(issuer))
	f.state(q)
	order := ""
	if desc {
		order = " DESC"
	}
	if serial != "" {
		than := " > "
		if desc {
			than = " < "
		}
		q.and(`(c.not_after, c.serial)` + than + `(` + q.arg(notAfter) + `, ` + q.arg(serial) + `)`)
	}
	return `SELECT c.serial, c.not_after FROM certificate c WHERE ` + q.where() + ` ORDER BY c.not_after` + order + `, c.serial` + order + ` LIMIT ` + q.arg(limit), q.args
}

// state adds the conditions for a certificate itself.
func (f CertificateFilter) state(q *query) {
	q.and(`c.shard_id IS NOT NULL`)
	switch f.State {
	case Valid:
		q.and(`c.not_after > ` + q.arg(millis(f.Now)))
	case Expired:
		q.and(`c.not_after <= ` + q.arg(millis(f.Now)))
	}
	switch f.State {
	case Valid, Expired:
		q.and(`NOT EXISTS (SELECT 1 FROM revocation x WHERE x.serial = c.serial)`)
	case Revoked:
		q.and(`EXISTS (SELECT 1 FROM revocation x WHERE x.serial = c.serial)`)
	}
	if !f.From.IsZero() {
		q.and(`c.not_after >= ` + q.arg(millis(f.From)))
	}
	if !f.Before.IsZero() {
		q.and(`c.not_after < ` + q.arg(millis(f.Before)))
	}
}

// serialQuery is for what is listed by serial number, and not by a name.
func (f CertificateFilter) serialQuery(after string, limit int) (string, []any) {
	q := &query{}
	from := `certificate c`
	if f.Key == nil && f.ACMEID == "" && f.State == Revoked {
		from = `revocation s JOIN certificate c ON c.serial = s.serial`
	}
	f.others(q)
	key := "c.serial"
	if from != "certificate c" {
		key = "s.serial"
	}
	q.and(key + ` < ` + q.arg(cmp.Or(after, last)))
	return `SELECT ` + key + `, c.not_after FROM ` + from + ` WHERE ` + q.where() + ` ORDER BY ` + key + ` DESC LIMIT ` + q.arg(limit), q.args
}

// last is behind all serial numbers.
const last = "zz"

// others adds the conditions but for names.
func (f CertificateFilter) others(q *query) {
	if f.Key != nil {
		q.and(`c.spki = ` + q.arg(f.Key))
	}
	if f.ACMEID != "" {
		q.and(`c.account_id IN (SELECT a.id FROM acme_id i JOIN account a ON a.acme_id = i.id WHERE i.fqdn = ` + q.arg(f.ACMEID) + `)`)
	}
	if f.Issuer != "" {
		q.and(`c.issuer = ` + q.arg(f.Issuer))
	}
	f.state(q)
}

// listed reads certificates by their serial numbers, in that order.
func (s *Store) listed(ctx context.Context, serials []string) ([]ListedCertificate, error) {
	all := []ListedCertificate{}
	if len(serials) == 0 {
		return all, nil
	}
	list, args := listed(nil, serials)
	columns := strings.Replace(certificateColumns, " FROM certificate c", ", i.fqdn FROM certificate c LEFT JOIN account a ON a.id = c.account_id LEFT JOIN acme_id i ON i.id = a.acme_id", 1)
	rows, err := collect(ctx, s.read, func(row scanner) (l ListedCertificate, err error) {
		var fqdn sql.NullString
		l.Certificate, err = scanCertificate(scanMore{row, []any{&fqdn}})
		l.ACMEID = fqdn.String
		return l, err
	}, `SELECT `+columns+` WHERE c.serial IN (`+list+`)`, args...)
	if err != nil {
		return nil, err
	}
	at := make(map[string]ListedCertificate, len(rows))
	for _, l := range rows {
		at[l.Serial] = l
	}
	for _, serial := range serials {
		if l, ok := at[serial]; ok {
			all = append(all, l)
		}
	}
	return all, nil
}

// CertificateStory is what is known of a certificate, and of what came of it.
type CertificateStory struct {
	ListedCertificate
	Profile   string    // that the order asked for, or got; "" where there is none, or no order
	Client    string    // that asked for it: its User-Agent; "" when that is not known
	Successor string    // serial number of the certificate that replaced it (RFC 9773)
	CRL       string    // URL of the CRL that it is in when it is revoked; "" for none
	InCRL     bool      // that CRL was signed after the revocation
	Signed    time.Time // when that CRL was
}

// CertificateStory reads all that is known of a certificate, by its serial number.
func (s *Store) CertificateStory(ctx context.Context, serial string) (CertificateStory, error) {
	columns := strings.Replace(certificateColumns, " FROM certificate c", `, i.fqdn, u.user_agent, o.serial, y.profile, COALESCE(h.base, ''), COALESCE(h.path, ''), h.this_update,
			COALESCE(h.seen = h.changes, FALSE) FROM certificate c
		LEFT JOIN account a ON a.id = c.account_id LEFT JOIN acme_id i ON i.id = a.acme_id LEFT JOIN client u ON u.id = c.client_id
		LEFT JOIN acme_order o ON o.id = c.replaced_by LEFT JOIN acme_order y ON y.id = c.order_id LEFT JOIN crl_shard h ON h.id = c.shard_id`, 1)
	return one(ctx, s.read, func(row scanner) (c CertificateStory, err error) {
		var fqdn, client, successor, profile sql.NullString
		var shard Shard
		var complete bool
		c.Certificate, err = scanCertificate(scanMore{row, []any{&fqdn, &client, &successor, &profile, &shard.Base, &shard.Path, timeColumn{&c.Signed}, &complete}})
		c.ACMEID, c.Client, c.Successor, c.Profile = fqdn.String, client.String, successor.String, profile.String
		if shard.Base != "" {
			c.CRL = shard.URL()
		}
		c.InCRL = complete && !c.Revoked.IsZero() && !c.Signed.IsZero()
		return c, err
	}, `SELECT `+columns+` WHERE c.serial = $1`, serial)
}

// scanMore is a row with more columns at its end.
type scanMore struct {
	scanner
	last []any
}

func (r scanMore) Scan(dest ...any) error { return r.scanner.Scan(append(dest, r.last...)...) }

// OtherwiseCovered tells which of these identifiers' values are in another certificate
// than that of a serial number that is valid at a time.
func (s *Store) OtherwiseCovered(ctx context.Context, serial string, values []string, now time.Time) (covered []string, err error) {
	for chunk := range slices.Chunk(values, 128) {
		list, args := listed([]any{serial, millis(now)}, chunk)
		some, err := collect(ctx, s.read, scanString, `SELECT DISTINCT n.value FROM certificate_name n JOIN certificate c ON c.serial = n.serial
			WHERE n.value IN (`+list+`) AND n.serial <> $1 AND c.not_after > $2 AND c.der IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM revocation x WHERE x.serial = c.serial)`, args...)
		if err != nil {
			return nil, err
		}
		covered = append(covered, some...)
	}
	return covered, nil
}
