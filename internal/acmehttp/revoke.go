package acmehttp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// revokeCert revokes a certificate for the account that it was issued to, for another
// account that may have all its names, or for the holder of its key (RFC 8555 §7.6).
func (s *Server) revokeCert(r *request) (reply, error) {
	var in struct {
		Certificate string                `json:"certificate"`
		Reason      acme.RevocationReason `json:"reason"`
	}
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	if _, ok := acme.Reasons[in.Reason]; !ok {
		return reply{}, acme.Problemf(acme.BadRevocationReason, "the reason %d is not accepted; use 0, 1, 3, 4, 5 or 9 (RFC 5280 §5.3.1)", in.Reason)
	}
	der, err := base64.RawURLEncoding.DecodeString(in.Certificate)
	if err != nil {
		return reply{}, acme.Problemf(acme.Malformed, `"certificate" must be a certificate in DER, as base64url without padding`)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return reply{}, acme.Problemf(acme.Malformed, "the certificate can't be read: %v", err)
	}
	c, err := s.Store.Certificate(r.http.Context(), hex.EncodeToString(cert.SerialNumber.Bytes()))
	if errors.Is(err, store.ErrNotFound) || err == nil && (!bytes.Equal(c.DER, der) || c.Issuer != r.dir.Issuer.Name) {
		return reply{}, notFound("this issuer has not issued that certificate")
	}
	if err != nil {
		return reply{}, err
	}
	if err := s.mayRevoke(r, c, cert, in.Reason); err != nil {
		return reply{}, err
	}
	// The key is blocked for its compromise also when the certificate is revoked already.
	err = s.Store.Revoke(r.http.Context(), c.Serial, in.Reason, s.Now())
	if errors.Is(err, store.ErrConflict) {
		return reply{}, acme.Problemf(acme.AlreadyRevoked, "the certificate was revoked before")
	}
	if err != nil {
		return reply{}, fmt.Errorf("recording a revocation: %w", err)
	}
	s.Log.InfoContext(r.http.Context(), "revoked", "serial", c.Serial, "account", r.account.ID, "reason", acme.Reasons[in.Reason])
	return reply{}, nil
}

func (s *Server) mayRevoke(r *request, c store.Certificate, cert *x509.Certificate, reason acme.RevocationReason) error {
	if r.account.ID == 0 {
		spki, err := r.signer.spki()
		if err != nil || !bytes.Equal(spki, cert.RawSubjectPublicKeyInfo) {
			return acme.Problemf(acme.Unauthorized, "the request is signed by neither an account nor the certificate's key")
		}
		return nil
	}
	if c.Account == r.account.ID {
		return nil
	}
	if missing, err := s.unauthorised(r, certificate.Identifiers(cert)); err != nil {
		return err
	} else if missing != "" {
		return acme.Problemf(acme.Unauthorized, "the certificate is another account's, and this one is not authorised for %s", missing)
	}
	// Who has the names need not know of the key, and must not take it from its holder.
	if reason == acme.KeyCompromise {
		return acme.Problemf(acme.BadRevocationReason, "only the account that the certificate was issued to, or its key, can say that the key is compromised; use 0, 3, 4, 5 or 9")
	}
	return nil
}

// unauthorised names an identifier that the account may not have now: that its ACME-ID
// does not grant, or, where control is proved by challenge, without a valid
// authorization. It is "" when the account may have them all.
func (s *Server) unauthorised(r *request, ids []identifier.Identifier) (string, error) {
	if len(ids) == 0 {
		return "a certificate without names", nil
	}
	d, err := s.Directory.MayHave(r.http.Context(), r.account, ids)
	switch {
	case err != nil:
		return "", err
	case len(d.Refused) > 0:
		return d.Refused[0].Identifier.String(), nil
	case d.Preauthorised:
		return "", nil
	}
	have, err := s.reusable(r, ids)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if a := covering(have, func(a *store.Authz) bool { return r.dir.covers(a, id) }); a == nil || a.Status != acme.Valid {
			return id.String(), nil
		}
	}
	return "", nil
}
