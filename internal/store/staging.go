package store

import (
	"context"
	"database/sql"
)

// NewStagingAccount is [Store.NewBoundAccount] for the directory of a staging issuer:
// the credentials must be good and stay so, and the ACME-ID's real account goes on.
func (s *Store) NewStagingAccount(ctx context.Context, a *Account, kid string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// A change of nothing, which locks the row until the account is there.
		if err := changeOne(ctx, tx, `UPDATE acme_id SET kid = kid
			WHERE id = $1 AND kid = $2 AND hmac_key IS NOT NULL AND invalid_at IS NULL`, a.ACMEID, kid); err != nil {
			return missing(err)
		}
		if err := succeedAccountsOf(ctx, tx, a.ACMEID, true); err != nil {
			return err
		}
		a.Bound, a.Staging = true, true
		return newAccount(ctx, tx, a)
	})
}

// succeedAccountsOf revokes the accounts of an ACME-ID that a new one takes the place
// of: the real ones, or those for trying things.
func succeedAccountsOf(ctx context.Context, tx *sql.Tx, acmeID int64, staging bool) error {
	return revokeAccounts(ctx, tx, `acme_id = $1 AND staging = $2`, acmeID, staging)
}
