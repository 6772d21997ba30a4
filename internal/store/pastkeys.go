package store

import "context"

// PastThumbprints lists the thumbprints of the keys that an account had before its current
// one, the last first, as the audit log knows them. The words about actions are those of
// the index audit_object.
func (s *Store) PastThumbprints(ctx context.Context, account int64) (all []string, err error) {
	scan := func(row scanner) (thumbprint string, err error) {
		var detail struct {
			Old string `json:"old_thumbprint"`
		}
		err = row.Scan(jsonColumn{&detail})
		return detail.Old, err
	}
	return collect(ctx, s.read, scan, `SELECT detail FROM audit WHERE object = $1 AND action = 'account.key-changed'
		AND action NOT IN ('authorization.validated', 'certificate.intended', 'certificate.issued') ORDER BY id DESC LIMIT 10000`, object(account))
}
