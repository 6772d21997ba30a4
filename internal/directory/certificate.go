package directory

import (
	"context"
	"slices"

	"vidimus/internal/identifier"
)

// Issued is what is to be known of a certificate to decide who may look at it, and revoke
// it.
type Issued struct {
	Names  []identifier.Identifier
	Own    bool   // who is asking had asked for it without ACME
	ACMEID string // FQDN of the ACME-ID to whose account it was issued; "" for none
}

func (c Issued) hosts() []string {
	fqdns := make([]string, len(c.Names))
	for i, id := range c.Names {
		fqdns[i] = id.Base().Value
	}
	return fqdns
}

// MaySeeCertificate decides whether e may look at a certificate.
func (d *Directory) MaySeeCertificate(ctx context.Context, e Editor, c Issued) (bool, error) {
	if e.SeesAll() {
		return true, nil
	}
	is, err := d.responsible(ctx, e, c.hosts())
	return err == nil && slices.ContainsFunc(c.hosts(), is), err
}

// Revocable is whether somebody may revoke a certificate, and whether because its key is
// compromised: then nobody gets a certificate for that key any more. Who has its names
// need not know of the key, and must not take it from its holder.
type Revocable struct {
	Any        bool
	Compromise bool
}

// MayRevoke decides whether e may revoke a certificate.
func (d *Directory) MayRevoke(ctx context.Context, e Editor, c Issued) (Revocable, error) {
	switch {
	case e.ChangesAll():
		return Revocable{true, true}, nil
	case e.Role == Auditor || len(c.Names) == 0:
		return Revocable{}, nil
	}
	hosts := c.hosts()
	is, err := d.responsible(ctx, e, append(hosts[:len(hosts):len(hosts)], c.ACMEID))
	if err != nil {
		return Revocable{}, err
	}
	for _, fqdn := range hosts {
		if !is(fqdn) {
			return Revocable{}, nil
		}
	}
	return Revocable{true, c.Own || c.ACMEID != "" && is(c.ACMEID)}, nil
}
