package directory

import (
	"context"

	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// NotGranted tells which names of an ACME-ID would be refused to its account now, and why;
// by the same rules as [Directory.MayHave].
func (d *Directory) NotGranted(ctx context.Context, a store.ACMEID) ([]Refusal, error) {
	if len(a.Names) == 0 {
		return nil, nil
	}
	ids := make([]identifier.Identifier, len(a.Names))
	for i, n := range a.Names {
		ids[i] = identifier.Identifier{Type: identifier.DNS, Value: n}
	}
	dec, err := d.MayHave(ctx, store.Account{Bound: true, ACMEID: a.ID, ACMEIDFQDN: a.FQDN, AnySuspended: true}, ids)
	return dec.Refused, err
}
