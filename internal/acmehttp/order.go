package acmehttp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

const (
	defaultMaxIdentifiers = 100
	orderLife             = 24 * time.Hour // of an order, and of an authorization that is pending
)

func (r *request) orderURL(id int64) string { return fmt.Sprintf("%s/order/%d", r.dir.base, id) }
func (r *request) authzURL(id int64) string { return fmt.Sprintf("%s/authz/%d", r.dir.base, id) }

// newOrder asks for a certificate (RFC 8555 §7.4). An order whose names the host
// database grants is ready at once.
func (s *Server) newOrder(r *request) (reply, error) {
	if rep, err := r.checkAgreed(); err != nil {
		return rep, err
	}
	var in orderRequest
	if err := r.decode(&in); err != nil {
		return reply{}, err
	}
	ids, err := r.canonical(in.identifiers())
	if err != nil {
		return reply{}, err
	}
	profile, err := orderProfile(r, in.Profile, ids)
	if err != nil {
		return reply{}, err
	}
	notBefore, notAfter, err := askedPeriod(r, profile, in.NewOrder)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.predecessor(r, in.Replaces, ids); err != nil {
		return reply{}, err
	}
	granted, err := s.decide(r, ids)
	if err != nil {
		return reply{}, err
	}
	if !granted {
		if err := r.dir.provable(ids); err != nil {
			return reply{}, err
		}
	}
	above, err := r.ancestors(in)
	if err != nil {
		return reply{}, err
	}
	now := s.Now()
	o := store.Order{Account: r.account.ID, Identifiers: ids, Replaces: in.Replaces, Profile: profile.Name, Created: now, Expires: now.Add(orderLife),
		NotBefore: notBefore, NotAfter: notAfter}
	if err := s.recordOrder(r, &o, above, granted); err != nil {
		return reply{}, err
	}
	return s.orderReply(r, http.StatusCreated, o), nil
}

// canonical reads the identifiers of an order; each that is wrong gets a subproblem.
func (r *request) canonical(in []identifier.Identifier) ([]identifier.Identifier, error) {
	switch {
	case len(in) == 0:
		return nil, acme.Problemf(acme.Malformed, "an order needs at least one identifier")
	case len(in) > r.dir.MaxIdentifiers:
		return nil, acme.Problemf(acme.RejectedIdentifier, "an order of %d identifiers is too large; ask for at most %d in one certificate", len(in), r.dir.MaxIdentifiers)
	}
	ids := make([]identifier.Identifier, 0, len(in))
	var wrong []*acme.Problem
	for _, raw := range in {
		id, err := raw.Canonical()
		switch {
		case err == nil:
			ids = append(ids, id)
		case errors.Is(err, identifier.ErrType):
			wrong = append(wrong, acme.Problemf(acme.UnsupportedIdentifier, "%v", err).For(raw))
		default:
			wrong = append(wrong, acme.Problemf(acme.Malformed, "%v", err).For(raw))
		}
	}
	if len(wrong) > 0 {
		return nil, refusal(wrong)
	}
	return identifier.Sorted(ids), nil
}

// decide asks the directory whether the account may have ids, and whether without
// challenge.
func (s *Server) decide(r *request, ids []identifier.Identifier) (granted bool, err error) {
	d, err := s.Directory.MayHave(r.http.Context(), r.account, ids)
	if err != nil {
		return false, err
	}
	if len(d.Refused) == 0 {
		return d.Preauthorised, nil
	}
	subs := make([]*acme.Problem, len(d.Refused))
	for i, ref := range d.Refused {
		t := acme.RejectedIdentifier
		if ref.Unsupported {
			t = acme.UnsupportedIdentifier
		}
		subs[i] = acme.Problemf(t, "%s", ref.Reason).For(ref.Identifier)
	}
	return false, refusal(subs)
}

// refusal is the answer to an order of which some identifiers are refused. It says of
// the first why, since many clients show their users no subproblems.
func refusal(subs []*acme.Problem) *acme.Problem {
	detail := subs[0].Detail
	if len(subs) > 1 {
		detail = fmt.Sprintf("%s (and %d more of the order's names)", detail, len(subs)-1)
	}
	return acme.PerIdentifier(detail, subs)
}

// newAuthz makes the authorization for one identifier of an order: valid when the
// host database grants it, otherwise pending with the challenges that can prove it.
func (s *Server) newAuthz(r *request, id identifier.Identifier, granted bool, now time.Time) *store.Authz {
	a := &store.Authz{Account: r.account.ID, Identifier: id.Base(), Wildcard: id.Wildcard(), Status: acme.Pending, Created: now, Expires: now.Add(orderLife)}
	if granted {
		a.Status = acme.Valid
		return a
	}
	a.Challenges = offer(r.dir.provers(id))
	return a
}

// predecessor finds the certificate that an order is to replace (RFC 9773 §5): of
// the same account, with a name in common, and not replaced yet. Its serial is ""
// when there is none to replace.
func (s *Server) predecessor(r *request, replaces string, ids []identifier.Identifier) (serial string, err error) {
	if replaces == "" {
		return "", nil
	}
	c, err := s.byRenewalID(r, replaces)
	if err != nil {
		return "", err
	}
	if c.Account != r.account.ID {
		return "", acme.Problemf(acme.Unauthorized, "the certificate to be replaced is another account's")
	}
	if c.ReplacedBy != 0 {
		return "", acme.Problemf(acme.AlreadyReplaced, "the certificate %s has been replaced already; order again without \"replaces\"", c.Serial)
	}
	old, err := certificateOf(c)
	if err != nil {
		return "", err
	}
	for _, id := range certificate.Identifiers(old) {
		for _, wanted := range ids {
			if id == wanted {
				return c.Serial, nil
			}
		}
	}
	return "", acme.Problemf(acme.Malformed, "the certificate to be replaced has no name in common with the order")
}

// loadOrder finds the order of the path, which must be the account's.
func (s *Server) loadOrder(r *request) (store.Order, error) {
	id, err := r.id()
	if err != nil {
		return store.Order{}, err
	}
	o, err := s.Store.Order(r.http.Context(), id)
	if errors.Is(err, store.ErrNotFound) || err == nil && o.Account != r.account.ID {
		return o, notFound("there is no order %d of this account", id)
	}
	if err != nil {
		return o, fmt.Errorf("reading order %d: %w", id, err)
	}
	if (o.Status == acme.Pending || o.Status == acme.Ready) && !s.Now().Before(o.Expires) {
		o.Status = acme.Invalid
		o.Error = acme.Problemf(acme.Malformed, "the order has expired; place a new one")
	}
	return o, nil
}

func (s *Server) order(r *request) (reply, error) {
	if !r.asGET() {
		return reply{}, acme.Problemf(acme.Malformed, "fetch an order by POST-as-GET, with an empty payload (RFC 8555 §6.3)")
	}
	o, err := s.loadOrder(r)
	if err != nil {
		return reply{}, err
	}
	return s.orderReply(r, http.StatusOK, o), nil
}

func (s *Server) orderReply(r *request, status int, o store.Order) reply {
	out := acme.Order{Status: o.Status, Expires: timePtr(o.Expires), Identifiers: o.Identifiers, Replaces: o.Replaces, Profile: o.Profile, Error: o.Error,
		NotBefore: timePtr(o.NotBefore), NotAfter: timePtr(o.NotAfter), Authorizations: []string{}, Finalize: r.orderURL(o.ID) + "/finalize"}
	for i, id := range o.Authzs {
		if !slices.Contains(o.Authzs[:i], id) {
			out.Authorizations = append(out.Authorizations, r.authzURL(id))
		}
	}
	rep := reply{status: status, location: r.orderURL(o.ID)}
	switch o.Status {
	case acme.Valid:
		out.Certificate = r.dir.base + "/cert/" + o.Serial
	case acme.Processing:
		rep.retryAfter = pollAfter
	}
	rep.body = out
	return rep
}
