package acmehttp

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"vidimus/internal/acme"
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
		Order: o.ID, Account: r.account.ID, Client: s.client(r), Predecessor: predecessor,
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
	s.issued.add(c)
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
	return csr, s.checkBoth(r, account, csr.RawSubjectPublicKeyInfo)
}

// checkBoth refuses a certificate when the account's key, or the one to be certified, is
// blocked; both are DER subject public key info.
func (s *Server) checkBoth(r *request, account, certified []byte) error {
	if !s.Blocked.Has(account) && !s.Blocked.Has(certified) {
		a, c := sha256.Sum256(account), sha256.Sum256(certified)
		if some, err := s.Store.AnyKeyBlocked(r.http.Context(), a[:], c[:]); err != nil || !some {
			return err
		}
	}
	if err := s.checkOwnKey(r); err != nil {
		return err
	}
	err := s.checkBlocked(r, certified)
	if problem := (*acme.Problem)(nil); errors.As(err, &problem) {
		return acme.Problemf(acme.BadCSR, "%s", problem.Detail)
	}
	return err
}

// checkOwnKey refuses what an account asks for whose key has been blocked since it was
// made: it may be another who asks.
func (s *Server) checkOwnKey(r *request) error {
	spki, err := r.signer.spki()
	if err != nil {
		return err
	}
	err = s.checkBlocked(r, spki)
	if problem := (*acme.Problem)(nil); errors.As(err, &problem) {
		return acme.Problemf(acme.Unauthorized, "the account's key is blocked, as others know it or may; register a new account with another key")
	}
	return err
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
			return nil, s.endOrder(r, o, problem)
		}
		authzs[i] = a
	}
	return authzs, nil
}

// endOrder makes an order that was ready invalid, unless another request has ended it at the
// same time. The error is the problem.
func (s *Server) endOrder(r *request, o store.Order, problem *acme.Problem) error {
	err := s.Store.InvalidateOrder(r.http.Context(), o.ID, acme.Ready, problem)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("ending order %d: %w", o.ID, err)
	}
	return problem
}

func certificateOf(c store.Certificate) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s on record: %w", c.Serial, err)
	}
	return leaf, nil
}
