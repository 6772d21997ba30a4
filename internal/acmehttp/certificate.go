package acmehttp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/issuer"
	"vidimus/internal/lint"
	"vidimus/internal/store"
)

// finalize issues the certificate of an order that is ready (RFC 8555 §7.4). The
// answer has it: the order is valid then.
func (s *Server) finalize(r *request) (reply, error) {
	if rep, err := r.checkAgreed(); err != nil {
		return rep, err
	}
	o, err := s.loadOrder(r)
	if err != nil {
		return reply{}, err
	}
	if o.Status != acme.Ready {
		return reply{location: r.orderURL(o.ID)}, acme.Problemf(acme.OrderNotReady, "the order is %s, not ready", o.Status)
	}
	profile, err := s.profileOf(r, o)
	if err != nil {
		return reply{location: r.orderURL(o.ID)}, err
	}
	csr, err := s.readRequest(r, o, profile)
	if err != nil {
		return reply{}, err
	}
	authzs, err := s.stillAuthorised(r, o)
	if err != nil {
		return reply{}, err
	}
	if err := s.checkCAA(r, o, authzs); err != nil {
		return reply{location: r.orderURL(o.ID)}, err
	}
	predecessor, err := s.predecessor(r, o.Replaces, o.Identifiers)
	if err != nil {
		return reply{}, err
	}
	c, err := r.dir.Issuer.Issue(r.http.Context(), issuer.Request{
		Identifiers: o.Identifiers, PublicKey: csr.PublicKey, SPKI: csr.RawSubjectPublicKeyInfo,
		Order: o.ID, Account: r.account.ID, Predecessor: predecessor,
		Profile: profile, Staple: issuer.AsksForStaple(csr), NotBefore: o.NotBefore, NotAfter: o.NotAfter,
	})
	if errors.Is(err, store.ErrConflict) {
		return reply{location: r.orderURL(o.ID)}, acme.Problemf(acme.OrderNotReady, "another request has finalized the order, or replaced its predecessor, at the same time")
	}
	var refusal *lint.Refusal
	if errors.As(err, &refusal) {
		return reply{location: r.orderURL(o.ID)}, told{acme.Problemf(acme.ServerInternal, "the certificate would break a rule that this CA keeps, "+
			"by no fault of the request; tell the server's operators, whose log has the rule"), err}
	}
	if err != nil {
		return reply{}, fmt.Errorf("issuing for order %d: %w", o.ID, err)
	}
	s.Log.InfoContext(r.http.Context(), "issued", "serial", c.Serial, "order", o.ID, "account", r.account.ID, "acme_id", r.account.ACMEIDFQDN,
		"names", o.Identifiers, "not_after", c.NotAfter)
	o.Status, o.Serial = acme.Valid, c.Serial
	return s.orderReply(r, http.StatusOK, o), nil
}

// readRequest reads the certificate request of a finalize payload and checks it
// against the order.
func (s *Server) readRequest(r *request, o store.Order, p *issuer.Profile) (*x509.CertificateRequest, error) {
	var in struct {
		CSR string `json:"csr"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	der, err := base64.RawURLEncoding.DecodeString(in.CSR)
	if err != nil || len(der) == 0 {
		return nil, acme.Problemf(acme.BadCSR, `"csr" must be a PKCS #10 request in DER, as base64url without padding`)
	}
	csr, problem := issuer.CheckRequest(der, o.Identifiers, p)
	if problem != nil {
		return nil, problem
	}
	account, err := r.signer.spki()
	if err != nil {
		return nil, err
	}
	if bytes.Equal(account, csr.RawSubjectPublicKeyInfo) {
		return nil, acme.Problemf(acme.BadCSR, "the certificate's key must not be the account's (RFC 8555 §11.1)")
	}
	err = s.checkBlocked(r, csr.RawSubjectPublicKeyInfo)
	if errors.As(err, &problem) {
		return nil, acme.Problemf(acme.BadCSR, "%s", problem.Detail)
	}
	return csr, err
}

// stillAuthorised asks the directory again, for hosts may have gone since the order,
// and, where the names are not granted by it, the authorizations, which it returns.
func (s *Server) stillAuthorised(r *request, o store.Order) ([]store.Authz, error) {
	granted, err := s.decide(r, o.Identifiers)
	if err != nil || granted {
		return nil, err
	}
	authzs := make([]store.Authz, len(o.Authzs))
	for i, id := range o.Authzs {
		a, err := s.loadAuthz(r, id)
		if err != nil {
			return nil, err
		}
		if a.Status != acme.Valid {
			problem := acme.Problemf(acme.Unauthorized, "the authorization for %s is %s; place a new order", a.Identifier, a.Status)
			if err := s.Store.InvalidateOrder(r.http.Context(), o.ID, acme.Ready, problem); err != nil {
				return nil, err
			}
			return nil, problem
		}
		authzs[i] = a
	}
	return authzs, nil
}

func certificateOf(c store.Certificate) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s on record: %w", c.Serial, err)
	}
	return leaf, nil
}

// revokeCert revokes a certificate for the account that it was issued to, for a
// bound account that may have all its names, or for the holder of its key (§7.6).
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
	if err := s.mayRevoke(r, c, cert); err != nil {
		return reply{}, err
	}
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

func (s *Server) mayRevoke(r *request, c store.Certificate, cert *x509.Certificate) error {
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
	d, err := s.Directory.MayHave(r.http.Context(), r.account, certificate.Identifiers(cert))
	if err != nil {
		return err
	}
	if !d.Preauthorised || len(d.Refused) > 0 {
		return acme.Problemf(acme.Unauthorized, "the certificate is another account's, and this one may not have all its names")
	}
	return nil
}

// renewalCheck is when a client should ask for renewal information again (RFC 9773
// §4.3).
const renewalCheck = 6 * time.Hour

// renewalInfo suggests when to renew a certificate (RFC 9773 §4.2): in a window that
// begins when a third of its life is left, or at once when it is revoked.
func (s *Server) renewalInfo(r *request) (reply, error) {
	c, err := s.byRenewalID(r, r.http.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	life := c.NotAfter.Sub(c.NotBefore)
	start := c.NotAfter.Add(-life / 3)
	w := acme.Window{Start: start, End: start.Add(max(life/45, time.Hour))} // two days of ninety
	if !c.Revoked.IsZero() {
		w = acme.Window{Start: c.Revoked.Add(-2 * time.Hour), End: c.Revoked.Add(-time.Hour)}
	}
	w.Start, w.End = *timePtr(w.Start), *timePtr(w.End)
	return reply{body: acme.RenewalInfo{SuggestedWindow: w}, retryAfter: renewalCheck}, nil
}

// byRenewalID finds a certificate of the request's issuer by its RFC 9773 identifier.
func (s *Server) byRenewalID(r *request, id string) (store.Certificate, error) {
	aki, serial, err := certificate.ParseRenewalID(id)
	if err != nil {
		return store.Certificate{}, acme.Problemf(acme.Malformed, "%q is no certificate identifier (RFC 9773 §4.1): %v", clip(id), err)
	}
	c, err := s.Store.Certificate(r.http.Context(), hex.EncodeToString(serial.Bytes()))
	if errors.Is(err, store.ErrNotFound) || err == nil && (c.DER == nil || c.Issuer != r.dir.Issuer.Name) || !hasKeyID(r, c, aki) {
		return c, notFound("this issuer has not issued a certificate %s", clip(id))
	}
	if err != nil {
		return c, fmt.Errorf("reading a certificate: %w", err)
	}
	return c, nil
}
