package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
	"vidimus/internal/identifier"
)

// Certificate is the record of a certificate, from the intent to sign it on.
type Certificate struct {
	Serial string `json:"serial"` // hexadecimal, lower case
	Issuer string `json:"issuer"` // name in the configuration
	// AuthorityKey is the subject key identifier of the CA that signs it, in hexadecimal;
	// "" in records from before it was kept.
	AuthorityKey string                  `json:"authority_key,omitempty"`
	Shard        int64                   `json:"-"` // whose CRL it is in; 0 for none
	Order        int64                   `json:"order,omitempty"`
	Account      int64                   `json:"account,omitempty"`
	Person       string                  `json:"person,omitempty"` // login of who asked for it without ACME
	Form         []byte                  `json:"-"`                // by which; one certificate for each; not in what is read
	Client       int64                   `json:"-"`                // that asked for it, see [Store.Client]; 0 when it is not known, and in what is read
	Names        []identifier.Identifier `json:"-"`
	TBS          []byte                  `json:"-"` // the exact bytes that are to be signed; empty in what is read once they are in DER
	DER          []byte                  `json:"-"` // nil: intended, and not known to be signed
	SPKI         []byte                  `json:"-"` // SHA-256 of the subject public key info
	NotBefore    time.Time               `json:"not_before"`
	NotAfter     time.Time               `json:"not_after"`
	Created      time.Time               `json:"created"`
	Issued       time.Time               `json:"issued,omitzero"`

	Revoked    time.Time             `json:"revoked,omitzero"`
	Reason     acme.RevocationReason `json:"reason,omitempty"`
	ReplacedBy int64                 `json:"replaced_by,omitempty"` // order, RFC 9773 §5
}

// BeginIssuance records the intent to sign: the certificate's row, and for a
// client's order the move from ready to processing, as one. predecessor is the
// serial of the certificate that the order replaces, or "".
func (s *Store) BeginIssuance(ctx context.Context, c Certificate, predecessor string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if c.Order != 0 {
			if err := move(ctx, tx, acme.Orders, "acme_order", c.Order, acme.Ready, acme.Processing, column{"serial", c.Serial}); err != nil {
				return err
			}
		}
		if predecessor != "" {
			if err := changeOne(ctx, tx, `UPDATE certificate SET replaced_by = $1
				WHERE serial = $2 AND replaced_by IS NULL`, c.Order, predecessor); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(unawaited(ctx), `INSERT INTO certificate
			(serial, issuer, authority_key, shard_id, order_id, account_id, client_id, tbs, spki, not_before, not_after, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, c.Serial, c.Issuer, c.AuthorityKey, nullID(c.Shard), nullID(c.Order), nullID(c.Account), nullID(c.Client),
			c.TBS, c.SPKI, millis(c.NotBefore), millis(c.NotAfter), millis(c.Created)); err != nil {
			return err
		}
		if err := recordForm(ctx, tx, c); err != nil {
			return err
		}
		names, rows := make([]string, len(c.Names)), make([][]any, len(c.Names))
		for i, n := range c.Names {
			names[i], rows[i] = n.Value, []any{n.Value, c.Serial}
		}
		if err := insertAll(ctx, tx, `INSERT INTO certificate_name (value, serial)`, rows); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.CertificateIntended, Object: c.Serial, Detail: audit.Detail{
			"issuer": c.Issuer, "authority_key": c.AuthorityKey, "names": names, "order": c.Order, "account": c.Account,
			"spki_sha256": hex.EncodeToString(c.SPKI), "not_after": c.NotAfter.UTC().Format(time.RFC3339), "replaces": predecessor}})
	})
}

func nullID(id int64) sql.NullInt64 { return sql.NullInt64{Int64: id, Valid: id != 0} }

// FinishIssuance records the signed certificate and moves its order to valid.
func (s *Store) FinishIssuance(ctx context.Context, serial string, der []byte, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// What was to be signed is a part of der: the row is half as long without it.
		if err := changeOne(ctx, tx, `UPDATE certificate SET der = $1, tbs = $2, issued_at = $3 WHERE serial = $4 AND der IS NULL`,
			der, []byte{}, millis(now), serial); err != nil {
			return err
		}
		if _, err := tx.ExecContext(unawaited(ctx), `UPDATE acme_order SET status = 'valid' WHERE status = 'processing'
			AND id = (SELECT order_id FROM certificate WHERE serial = $1)`, serial); err != nil {
			return err
		}
		sum := sha256.Sum256(der)
		return record(ctx, tx, audit.Event{Action: audit.CertificateIssued, Object: serial, Detail: audit.Detail{"sha256": hex.EncodeToString(sum[:])}})
	})
}

const certificateColumns = `c.serial, c.issuer, c.authority_key, c.order_id, c.account_id, c.tbs, c.der, c.spki, c.not_before, c.not_after, c.created_at,
	c.issued_at, c.replaced_by, c.person, r.revoked_at, r.reason FROM certificate c LEFT JOIN revocation r ON r.serial = c.serial`

func scanCertificate(row scanner) (c Certificate, err error) {
	var order, account, replaced, reason sql.NullInt64
	var person sql.NullString
	err = row.Scan(&c.Serial, &c.Issuer, &c.AuthorityKey, &order, &account, &c.TBS, &c.DER, &c.SPKI, timeColumn{&c.NotBefore}, timeColumn{&c.NotAfter},
		timeColumn{&c.Created}, timeColumn{&c.Issued}, &replaced, &person, timeColumn{&c.Revoked}, &reason)
	c.Order, c.Account, c.ReplacedBy, c.Reason = order.Int64, account.Int64, replaced.Int64, acme.RevocationReason(reason.Int64)
	c.Person = person.String
	return c, err
}

// Certificate finds a certificate by its serial number, with all but its names.
func (s *Store) Certificate(ctx context.Context, serial string) (Certificate, error) {
	return one(ctx, s.read, scanCertificate, `SELECT `+certificateColumns+` WHERE c.serial = $1`, serial)
}

// UnfinishedCertificates lists what was intended and has no signature on record.
func (s *Store) UnfinishedCertificates(ctx context.Context) ([]Certificate, error) {
	return collect(ctx, s.read, scanCertificate, `SELECT `+certificateColumns+` WHERE c.der IS NULL ORDER BY c.created_at`)
}

// KeyBlocked tells whether the key with this SHA-256 of its subject public key info
// may no longer be used.
func (s *Store) KeyBlocked(ctx context.Context, spki []byte) (bool, error) {
	return one(ctx, s.read, func(row scanner) (yes bool, err error) { return yes, row.Scan(&yes) },
		`SELECT EXISTS (SELECT 1 FROM blocked_key WHERE spki = $1)`, spki)
}
