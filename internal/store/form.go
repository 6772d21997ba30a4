package store

import (
	"context"
	"database/sql"
)

// recordForm notes for a certificate without ACME who asks for it, and by which form.
// [ErrConflict] means that there is a certificate for that form.
func recordForm(ctx context.Context, tx *sql.Tx, c Certificate) error {
	if c.Person == "" {
		return nil
	}
	if err := changeOne(ctx, tx, `UPDATE certificate SET person = $1 WHERE serial = $2`, c.Person, c.Serial); err != nil || c.Form == nil {
		return err
	}
	return changeOne(ctx, tx, `INSERT INTO certificate_form (form, serial) VALUES ($1, $2) ON CONFLICT (form) DO NOTHING`, c.Form, c.Serial)
}

// CertificateOfForm finds the certificate that a form was sent for, see
// [Certificate.Form]; it may not be signed yet.
func (s *Store) CertificateOfForm(ctx context.Context, form []byte) (Certificate, error) {
	return one(ctx, s.read, scanCertificate, `SELECT `+certificateColumns+` JOIN certificate_form f ON f.serial = c.serial WHERE f.form = $1`, form)
}
