package acmehttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

const maxContacts = 10

func (r *request) accountURL(id int64) string { return fmt.Sprintf("%s/acct/%d", r.dir.base, id) }

// accountReply shows an account, with the binding that it was made by.
func (s *Server) accountReply(r *request, status int, a store.Account) (reply, error) {
	binding := string(a.Binding)
	if a.Bound && binding == "" {
		var err error
		if binding, err = s.Store.Binding(r.http.Context(), a.ID); err != nil {
			return reply{}, fmt.Errorf("reading the binding of account %d: %w", a.ID, err)
		}
	}
	return reply{status: status, location: r.accountURL(a.ID), body: acme.Account{
		Status: a.Status, Contact: a.Contact, Orders: r.accountURL(a.ID) + "/orders",
		ExternalAccountBinding: json.RawMessage(binding)}}, nil
}

// newAccount registers a key, or finds its account (RFC 8555 §7.3).
func (s *Server) newAccount(r *request) (reply, error) {
	var in acme.NewAccount
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	existing, err := s.Store.AccountByKey(r.http.Context(), r.dir.Name, r.signer.thumbprint)
	switch {
	case err == nil:
		r.account = existing
		if err := r.checkAccount(); err != nil {
			return reply{}, err
		}
		return s.accountReply(r, http.StatusOK, existing)
	case !errors.Is(err, store.ErrNotFound):
		return reply{}, fmt.Errorf("looking up an account: %w", err)
	case in.OnlyReturnExisting:
		return reply{}, acme.Problemf(acme.AccountDoesNotExist, "no account has this key")
	}
	if err := s.checkAccountKey(r, r.signer); err != nil {
		return reply{}, err
	}
	if err := checkContacts(in.Contact); err != nil {
		return reply{}, err
	}
	a := store.Account{Directory: r.dir.Name, Thumbprint: r.signer.thumbprint, Status: acme.Valid, Contact: in.Contact, Created: s.Now(),
		UserAgent: userAgent(r), Address: r.http.RemoteAddr}
	if a.JWK, err = r.signer.key.MarshalJSON(); err != nil {
		return reply{}, fmt.Errorf("encoding an account key: %w", err)
	}
	if terms := r.dir.Meta.TermsOfService; terms != "" {
		if !in.TermsOfServiceAgreed {
			return reply{links: []string{termsLink(terms)}},
				acme.Problemf(acme.UserActionRequired, "agree to the terms of service at %s first", terms)
		}
		a.Agreed, a.AgreedTo = s.Now(), terms
	}
	if err := s.recordAccount(r, &a, in.ExternalAccountBinding); err != nil {
		return reply{}, err
	}
	r.account = a
	return s.accountReply(r, http.StatusCreated, a)
}

// recordAccount stores a new account, bound to its ACME-ID where the directory
// wants that.
func (s *Server) recordAccount(r *request, a *store.Account, binding json.RawMessage) error {
	ctx := r.http.Context()
	var err error
	switch bound := len(binding) > 0 && string(binding) != "null"; {
	case r.dir.Open && bound:
		return acme.Problemf(acme.Malformed, "this directory takes no external account binding; to use EAB credentials, register at the issuer's other directory")
	case r.dir.Open:
		a.Staging = r.dir.Staging
		err = s.Store.NewAccount(ctx, a)
	case !bound:
		return acme.Problemf(acme.ExternalAccountRequired, "an account here needs the EAB credentials (key ID and HMAC key) of an ACME-ID; ask whoever runs %s for them", s.BaseURL)
	default:
		kid, aid, refused := s.checkBinding(r, binding)
		if refused != nil {
			return refused
		}
		a.ACMEID, a.ACMEIDFQDN = aid.ID, aid.FQDN
		if a.Binding, err = bare(binding); err != nil {
			return fmt.Errorf("keeping the binding: %w", err)
		}
		record := s.Store.NewBoundAccount
		if r.dir.Staging {
			record = s.Store.NewStagingAccount
		}
		if err = record(ctx, a, kid); errors.Is(err, store.ErrNotFound) {
			return bindingRefused(errors.New("these credentials were used by another request at the same time"))
		}
		if err == nil {
			s.Log.InfoContext(ctx, "registered", "account", a.ID, "acme_id", aid.FQDN, "kid", kid)
		}
	}
	if errors.Is(err, store.ErrConflict) {
		return acme.Problemf(acme.Malformed, "two requests register the same key at once; try again").WithStatus(http.StatusConflict)
	}
	if err != nil {
		return fmt.Errorf("recording an account: %w", err)
	}
	return nil
}

func checkContacts(contacts []string) error {
	if len(contacts) > maxContacts {
		return acme.Problemf(acme.InvalidContact, "%d contacts are too many; give at most %d", len(contacts), maxContacts)
	}
	for _, c := range contacts {
		address, ok := strings.CutPrefix(c, "mailto:")
		if !ok {
			return acme.Problemf(acme.UnsupportedContact, "the contact %q is not a mailto: URL", clip(c))
		}
		if strings.ContainsAny(address, "?,") || len(address) > 254 {
			return acme.Problemf(acme.InvalidContact, "the contact %q must be one e-mail address without header fields (RFC 8555 §7.3)", clip(c))
		}
		if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
			return acme.Problemf(acme.InvalidContact, "the contact %q is not an e-mail address", clip(c))
		}
	}
	return nil
}

// account shows, changes or deactivates the account (§7.3.2, §7.3.6). Any other status
// that the client sends is ignored, as §7.3.2 wants.
func (s *Server) account(r *request) (reply, error) {
	if err := r.own(); err != nil {
		return reply{}, err
	}
	a, ctx := r.account, r.http.Context()
	if r.asGET() {
		return s.accountReply(r, http.StatusOK, a)
	}
	var in struct {
		Status  acme.Status `json:"status"`
		Contact *[]string   `json:"contact"`
		Agreed  bool        `json:"termsOfServiceAgreed"`
	}
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Contact != nil {
		if err := checkContacts(*in.Contact); err != nil {
			return reply{}, err
		}
	}
	if in.Agreed {
		if err := s.agree(r, &a); err != nil {
			return reply{}, meanwhile(err)
		}
	}
	switch {
	case in.Status == acme.Deactivated:
		if err := s.Store.DeactivateAccount(ctx, a.ID, &acme.Problem{Type: acme.Unauthorized, Detail: "the account was deactivated"}); err != nil {
			return reply{}, meanwhile(fmt.Errorf("deactivating account %d: %w", a.ID, err))
		}
		a.Status = acme.Deactivated
	case in.Contact != nil:
		if err := s.Store.SetContact(ctx, a.ID, *in.Contact); err != nil {
			return reply{}, meanwhile(fmt.Errorf("changing account %d: %w", a.ID, err))
		}
		a.Contact = *in.Contact
	}
	return s.accountReply(r, http.StatusOK, a)
}

// meanwhile words that a change of an account came too late.
func meanwhile(err error) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	return acme.Problemf(acme.Unauthorized, "another request has ended this account at the same time").WithStatus(http.StatusUnauthorized)
}

// own checks that the path names the account that signed.
func (r *request) own() error {
	id, err := r.id()
	if err != nil {
		return err
	}
	if id != r.account.ID {
		return acme.Problemf(acme.Unauthorized, "that is another account's")
	}
	return nil
}

// keyChange gives the account another key (§7.3.5).
func (s *Server) keyChange(r *request) (reply, error) {
	jws, header, err := parseJWS(r.payload, algorithms)
	if err != nil {
		return reply{}, err
	}
	inner := &request{http: r.http, dir: r.dir}
	if err := byNewKey(s, inner, header); err != nil {
		return reply{}, err
	}
	if header.Nonce != "" {
		return reply{}, acme.Problemf(acme.Malformed, "the inner JWS must have no nonce (RFC 8555 §7.3.5)")
	}
	if err := checkURL(header, s.BaseURL+r.http.URL.RequestURI()); err != nil {
		return reply{}, err
	}
	if inner.payload, err = jws.Verify(inner.signer.key.Key); err != nil {
		return reply{}, acme.Problemf(acme.Malformed, "the inner JWS is not signed by the new key")
	}
	var in struct {
		Account string          `json:"account"`
		OldKey  jose.JSONWebKey `json:"oldKey"`
	}
	if err := inner.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Account != r.accountURL(r.account.ID) || !sameKey(&in.OldKey, r.signer.key) {
		return reply{}, acme.Problemf(acme.Malformed, "the inner JWS names another account or another old key than signed the outer one")
	}
	if err := s.checkOwnKey(r); err != nil {
		return reply{}, err
	}
	if err := s.checkAccountKey(r, inner.signer); err != nil {
		return reply{}, err
	}
	jwk, err := inner.signer.key.MarshalJSON()
	if err != nil {
		return reply{}, fmt.Errorf("encoding an account key: %w", err)
	}
	err = s.Store.SetAccountKey(r.http.Context(), r.account, inner.signer.thumbprint, jwk)
	if errors.Is(err, store.ErrConflict) {
		rep := reply{}
		if other, err := s.Store.AccountByKey(r.http.Context(), r.dir.Name, inner.signer.thumbprint); err == nil {
			rep.location = r.accountURL(other.ID)
		}
		return rep, acme.Problemf(acme.Malformed, "the new key has an account already").WithStatus(http.StatusConflict)
	}
	if err != nil {
		return reply{}, fmt.Errorf("changing the key of account %d: %w", r.account.ID, err)
	}
	return s.accountReply(r, http.StatusOK, r.account)
}

// ordersPage is how many orders one page of the list has.
const ordersPage = 100

// orders lists the account's orders, newest first (§7.1.2.1).
func (s *Server) orders(r *request) (reply, error) {
	if err := r.own(); err != nil {
		return reply{}, err
	}
	var before int64
	if c := r.http.URL.Query().Get("before"); c != "" {
		var err error
		if before, err = strconv.ParseInt(c, 10, 64); err != nil || before <= 0 {
			return reply{}, acme.Problemf(acme.Malformed, "there is no such page of orders; begin at %s/orders", r.accountURL(r.account.ID))
		}
	}
	ids, err := s.Store.OrdersOf(r.http.Context(), r.account.ID, before, ordersPage+1) // one more tells whether there is a next page
	if err != nil {
		return reply{}, fmt.Errorf("listing orders: %w", err)
	}
	more := len(ids) > ordersPage
	ids = ids[:min(len(ids), ordersPage)]
	out := struct {
		Orders []string `json:"orders"`
	}{make([]string, len(ids))}
	for i, id := range ids {
		out.Orders[i] = r.orderURL(id)
	}
	rep := reply{body: out}
	if more {
		rep.links = []string{fmt.Sprintf(`<%s/orders?before=%d>;rel="next"`, r.accountURL(r.account.ID), ids[len(ids)-1])}
	}
	return rep, nil
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
