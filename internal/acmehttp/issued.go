package acmehttp

import (
	"context"
	"sync"

	"vidimus/internal/store"
)

// maxIssued bounds how many certificates are remembered, at some 2 KiB each.
const maxIssued = 2048

// issuedCertificates remembers certificates from their issuance to their download, which
// comes at once. What is in a certificate doesn't change; whether it was revoked isn't
// asked here. The zero value remembers none.
type issuedCertificates struct {
	mu  sync.Mutex
	all map[string]store.Certificate // by serial number
}

func (i *issuedCertificates) add(c store.Certificate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all == nil || len(i.all) >= maxIssued {
		i.all = make(map[string]store.Certificate)
	}
	c.TBS = nil
	i.all[c.Serial] = c
}

// find gives a certificate, from the record where it is not remembered.
func (i *issuedCertificates) find(ctx context.Context, db *store.Store, serial string) (store.Certificate, error) {
	i.mu.Lock()
	c, ok := i.all[serial]
	delete(i.all, serial) // most are fetched once
	i.mu.Unlock()
	if ok {
		return c, nil
	}
	return db.Certificate(ctx, serial)
}
