package store

import (
	"context"
	"database/sql"
	"time"

	"vidimus/internal/audit"
)

// Binding finds the external account binding by which an account was made, as its
// client sent it (RFC 8555 §7.3.4); "" means that there is none.
func (s *Store) Binding(ctx context.Context, account int64) (string, error) {
	return one(ctx, s.read, func(row scanner) (string, error) {
		var jws sql.NullString
		err := row.Scan(&jws)
		return jws.String, err
	}, `SELECT binding FROM account WHERE id = $1`, account)
}

// Agree records that a valid account agreed to the terms of service at a URL.
func (s *Store) Agree(ctx context.Context, account int64, terms string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `UPDATE account SET agreed_at = $1, agreed_to = $2 WHERE id = $3 AND status = 'valid'`,
			millis(now), terms, account); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.AccountAgreed, Object: object(account), Detail: audit.Detail{"terms": terms}})
	})
}
