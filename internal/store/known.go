package store

import "context"

// IssuersOnRecord lists the names of the issuers that certificates are from, also of those
// that are not configured any more.
func (s *Store) IssuersOnRecord(ctx context.Context) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT DISTINCT issuer FROM crl_shard ORDER BY issuer`)
}

// NameOnRecord tells whether there is a host of that name, or was ever a certificate for
// it.
func (s *Store) NameOnRecord(ctx context.Context, name string) (bool, error) {
	return one(ctx, s.read, scanBool, `SELECT EXISTS (SELECT 1 FROM host WHERE fqdn = $1) OR EXISTS (SELECT 1 FROM certificate_name WHERE value = $1)`, name)
}

func scanBool(row scanner) (yes bool, err error) { return yes, row.Scan(&yes) }
