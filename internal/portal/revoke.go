package portal

import (
	"errors"
	"net/http"
	"slices"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

// reasons are those that people may give, in the order of a form, by the words of RFC 5280
// §5.3.1.
var reasons = []acme.RevocationReason{4, 5, 3, 1, 9, 0}

// revocable finds the certificate of a path, which the visitor may see, and fills the form
// to revoke it.
func (p *Portal) revocable(r *request) (c certificatePage, err error) {
	if c, err = p.found(r); err != nil {
		return c, err
	}
	switch {
	case !c.Revoked.IsZero():
		return c, &problem{http.StatusConflict, "revocation.before"}
	case !c.Revocable.Any:
		return c, &problem{http.StatusForbidden, "revocation.forbidden"}
	}
	for _, code := range reasons {
		switch {
		case code == acme.KeyCompromise && !c.Revocable.Compromise:
		case code == 9 && !r.visitor.Editor.ChangesAll(): // a privilege is withdrawn by the CA team
		default:
			c.Reasons = append(c.Reasons, acme.Reasons[code])
		}
	}
	return c, p.standing(r.Context(), &c)
}

// revocation is the second look before a certificate is revoked.
func (p *Portal) revocation(r *request) error {
	c, err := p.revocable(r)
	return r.orShow(err, "revocation", c)
}

// revoke revokes a certificate.
func (p *Portal) revoke(r *request) error {
	c, err := p.revocable(r)
	if err != nil {
		return err
	}
	var reason acme.RevocationReason
	chosen := false
	for _, code := range reasons {
		if word := acme.Reasons[code]; word == r.PostFormValue("reason") && slices.Contains(c.Reasons, word) {
			reason, chosen = code, true
		}
	}
	if !chosen {
		c.Wrong = r.t("revocation.no-reason")
		return r.showAs(http.StatusUnprocessableEntity, "revocation", c)
	}
	err = p.Store.Revoke(r.Context(), c.Serial, reason, p.Now())
	if errors.Is(err, store.ErrConflict) {
		return &problem{http.StatusConflict, "revocation.before"}
	}
	if err != nil {
		return err
	}
	p.Log.InfoContext(r.Context(), "revoked", "serial", c.Serial, "person", r.visitor.Person.Login, "reason", acme.Reasons[reason])
	return r.done("/portal/certificates/"+c.Serial, "revocation.done")
}
