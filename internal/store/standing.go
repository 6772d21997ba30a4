package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// CoveringACMEID is a valid ACME-ID that may manage a name.
type CoveringACMEID struct {
	Name       string // in its set, perhaps a wildcard
	FQDN       string // that it bears
	Waiting    bool   // credentials of it wait for somebody to register with them
	Registered bool   // an account is bound to it, and good
}

// ACMEIDsCovering lists the valid ACME-IDs whose sets have a name, or a wildcard above a
// name, of these: a wildcard without its "*.".
func (s *Store) ACMEIDsCovering(ctx context.Context, fqdns []string) (all []CoveringACMEID, err error) {
	for chunk := range slices.Chunk(fqdns, 128) {
		list, args := listed(nil, chunk)
		some, err := collect(ctx, s.read, func(row scanner) (c CoveringACMEID, err error) {
			err = row.Scan(&c.Name, &c.FQDN, &c.Waiting, &c.Registered)
			return c, err
		}, `SELECT n.name, i.fqdn, i.hmac_key IS NOT NULL, `+registered+`
			FROM acme_id_name n JOIN acme_id i ON i.id = n.acme_id WHERE n.fqdn IN (`+list+`) AND i.invalid_at IS NULL ORDER BY i.fqdn`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// registered tells whether an account is bound to the ACME-ID i.
const registered = `EXISTS (SELECT 1 FROM account a WHERE a.acme_id = i.id AND a.status = 'valid' AND NOT a.staging)`

// BriefCertificate is what a list shows of a certificate.
type BriefCertificate struct {
	Serial    string
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	Issued    time.Time
	Revoked   time.Time // zero if it isn't
	Replaced  bool
	ACMEID    string // FQDN of the ACME-ID that the account is bound to; "" for none
	Client    string // User-Agent of the client; "" when it isn't known
	Person    string // login of who had it made without ACME
}

const briefColumns = `c.serial, c.issuer, c.not_before, c.not_after, c.issued_at, (SELECT r.revoked_at FROM revocation r WHERE r.serial = c.serial), c.replaced_by IS NOT NULL,
	(SELECT i.fqdn FROM account a JOIN acme_id i ON i.id = a.acme_id WHERE a.id = c.account_id), (SELECT u.user_agent FROM client u WHERE u.id = c.client_id), c.person`

func scanBrief(row scanner) (c BriefCertificate, err error) {
	var acmeID, client, person sql.NullString
	err = row.Scan(&c.Serial, &c.Issuer, timeColumn{&c.NotBefore}, timeColumn{&c.NotAfter}, timeColumn{&c.Issued}, timeColumn{&c.Revoked}, &c.Replaced, &acmeID, &client, &person)
	c.ACMEID, c.Client, c.Person = acmeID.String, client.String, person.String
	return c, err
}

// Newest finds for each of these identifiers' values the certificate that was issued
// last, by none of the issuers without: what has none is not there.
func (s *Store) Newest(ctx context.Context, values, without []string) (map[string]BriefCertificate, error) {
	type pair struct {
		value  string
		serial sql.NullString
	}
	newest := map[string]BriefCertificate{}
	for chunk := range slices.Chunk(values, 128) {
		args := make([]any, powerOfTwo(len(chunk)))
		for i := range args {
			args[i] = chunk[min(i, len(chunk)-1)]
		}
		rows := rowsOf(len(args), "TEXT")
		but, args := listed(args, append(slices.Clip(without), ""))
		// A serial number begins with the time, so the newest is the last of its name.
		pairs, err := collect(ctx, s.read, func(row scanner) (p pair, err error) { return p, row.Scan(&p.value, &p.serial) },
			`SELECT v.column1, (SELECT n.serial FROM certificate_name n JOIN certificate c ON c.serial = n.serial
				WHERE n.value = v.column1 AND c.issued_at IS NOT NULL AND c.issuer NOT IN (`+but+`) ORDER BY n.serial DESC LIMIT 1)
			FROM (VALUES `+rows+`) AS v`, args...)
		if err != nil {
			return nil, err
		}
		serials := []string{}
		for _, p := range pairs {
			if p.serial.Valid {
				serials = append(serials, p.serial.String)
			}
		}
		if len(serials) == 0 {
			continue
		}
		list, args := listed(nil, serials)
		found, err := collect(ctx, s.read, scanBrief, `SELECT `+briefColumns+` FROM certificate c WHERE c.serial IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			for _, c := range found {
				if c.Serial == p.serial.String {
					newest[p.value] = c
				}
			}
		}
	}
	return newest, nil
}

// CertificatesOf lists the certificates for an identifier's value that were issued last,
// the newest first.
func (s *Store) CertificatesOf(ctx context.Context, value string, limit int) ([]BriefCertificate, error) {
	return collect(ctx, s.read, scanBrief, `SELECT `+briefColumns+` FROM certificate_name n JOIN certificate c ON c.serial = n.serial
		WHERE n.value = $1 AND c.issued_at IS NOT NULL ORDER BY n.serial DESC LIMIT $2`, value, limit)
}

// CertificatesOfACMEID lists those that the accounts bound to an ACME-ID had issued last,
// the newest first.
func (s *Store) CertificatesOfACMEID(ctx context.Context, id int64, limit int) ([]BriefCertificate, error) {
	return collect(ctx, s.read, scanBrief, `SELECT `+briefColumns+` FROM account b JOIN certificate c ON c.account_id = b.id
		WHERE b.acme_id = $1 AND c.issued_at IS NOT NULL ORDER BY c.serial DESC LIMIT $2`, id, limit)
}

// AuditOf lists what was done last to one object, by the name it has in the audit log, the
// newest first; but for what each issuance writes, see the index audit_object.
func (s *Store) AuditOf(ctx context.Context, object string, limit int) ([]audit.Row, error) {
	return collect(ctx, s.read, scanAudit, auditColumns+` WHERE object = $1
		AND action NOT IN ('authorization.validated', 'certificate.intended', 'certificate.issued') ORDER BY id DESC LIMIT $2`, object, limit)
}

// Client finds the number of a client, by its User-Agent, and enters it when it isn't
// there; 0 for none. It is one look-up, or a few.
func (s *Store) Client(ctx context.Context, userAgent string) (id int64, err error) {
	const find = `SELECT id FROM client WHERE user_agent = $1`
	if userAgent == "" {
		return 0, nil
	}
	if id, err = one(ctx, s.read, scanID, find, userAgent); err != ErrNotFound {
		return id, err
	}
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO client (user_agent) VALUES ($1) ON CONFLICT (user_agent) DO NOTHING`, userAgent)
		return err
	})
	if err != nil {
		return 0, err
	}
	return one(ctx, s.read, scanID, find, userAgent)
}
