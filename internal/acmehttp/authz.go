package acmehttp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/store"
)

const (
	// pollAfter is when a client that found an object unchanged should ask again; in
	// the header field it is whole seconds (RFC 9110 §10.2.3).
	pollAfter = time.Second
	// holdPoll is how long the answer to a poll is held back while a validation runs:
	// the client hears of the result at once, and neither of us polls.
	holdPoll = 10 * time.Second
)

// holding is the context to hold an answer back with: it ends with the request, and
// when the server stops. done must be called.
func (s *Server) holding(r *request) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(r.http.Context())
	if s.Stopping == nil {
		return ctx, cancel
	}
	forget := context.AfterFunc(s.Stopping, cancel)
	return ctx, func() { forget(); cancel() }
}

// loadAuthz finds an authorization of the account, as it is on record now.
func (s *Server) loadAuthz(r *request, id int64) (store.Authz, error) {
	a, err := s.Store.Authz(r.http.Context(), id)
	return s.ownAuthz(r, id, a, err)
}

// recentAuthz is loadAuthz that may answer from memory, see [store.Store.RecentAuthz].
func (s *Server) recentAuthz(r *request, id int64, lag bool) (store.Authz, error) {
	a, err := s.Store.RecentAuthz(r.http.Context(), id, lag)
	return s.ownAuthz(r, id, a, err)
}

// ownAuthz is what was read of an authorization, when it is the account's.
func (s *Server) ownAuthz(r *request, id int64, a store.Authz, err error) (store.Authz, error) {
	if errors.Is(err, store.ErrNotFound) || err == nil && a.Account != r.account.ID {
		return a, notFound("there is no authorization %d of this account", id)
	}
	if err != nil {
		return a, fmt.Errorf("reading authorization %d: %w", id, err)
	}
	if !s.Now().Before(a.Expires) {
		switch a.Status {
		case acme.Pending:
			a.Status = acme.Invalid
		case acme.Valid:
			a.Status = acme.Expired
		}
	}
	return a, nil
}

// heldAuthz is loadAuthz that holds back while a validation runs.
func (s *Server) heldAuthz(r *request, id int64) (store.Authz, error) {
	ctx, done := s.holding(r)
	defer done()
	until := time.Now().Add(holdPoll)
	s.Runner.Hold(ctx, id, holdPoll)
	a, err := s.recentAuthz(r, id, false)
	if err != nil {
		return a, err
	}
	return s.awaitElsewhere(ctx, r, a, until)
}

// authz shows an authorization, or gives it up (RFC 8555 §7.5, §7.5.2).
func (s *Server) authz(r *request) (reply, error) {
	id, err := r.id()
	if err != nil {
		return reply{}, err
	}
	var a store.Authz
	if r.asGET() {
		a, err = s.heldAuthz(r, id)
	} else if a, err = s.loadAuthz(r, id); err == nil {
		a, err = s.deactivate(r, a)
	}
	if err != nil {
		return reply{}, err
	}
	return s.authzReply(r, a), nil
}

func (s *Server) authzReply(r *request, a store.Authz) reply {
	out := acme.Authorization{Identifier: a.Identifier, Status: a.Status, Expires: *timePtr(a.Expires), Wildcard: a.Wildcard,
		SubdomainAuthAllowed: a.Subdomains, Challenges: []acme.Challenge{}}
	rep := reply{}
	for _, c := range a.Challenges {
		// A final authorization shows the challenge that decided it (§7.1.4).
		if a.Status == acme.Pending || c.Status == acme.Valid || c.Status == acme.Invalid {
			out.Challenges = append(out.Challenges, r.challengeObject(c))
		}
		if c.Status == acme.Processing {
			rep.retryAfter = pollAfter
		}
	}
	rep.body = out
	return rep
}

func (s *Server) deactivate(r *request, a store.Authz) (store.Authz, error) {
	var in struct {
		Status acme.Status `json:"status"`
	}
	if err := r.decode(&in); err != nil {
		return a, err
	}
	if in.Status != acme.Deactivated {
		return a, acme.Problemf(acme.Malformed, `the only status that a client may set is "deactivated"`)
	}
	problem := acme.Problemf(acme.Unauthorized, "the authorization for %s was deactivated", a.Identifier)
	problem.Status = 0
	for {
		if !acme.Authorizations.Allows(a.Status, acme.Deactivated) {
			return a, acme.Problemf(acme.Malformed, "the authorization is %s and can't be deactivated", a.Status)
		}
		err := s.Store.DeactivateAuthz(r.http.Context(), a.ID, a.Status, problem)
		if err == nil {
			a.Status = acme.Deactivated
			return a, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return a, fmt.Errorf("deactivating authorization %d: %w", a.ID, err)
		}
		if a, err = s.loadAuthz(r, a.ID); err != nil { // it has come further meanwhile; it can't for ever
			return a, err
		}
	}
}

// quickResult is how long the answer to a client that asks for a validation waits for the
// result. Most have it by then, and "processing" need not be put on record.
const quickResult = 20 * time.Millisecond

// challenge shows a challenge, or starts its validation (§7.5.1).
func (s *Server) challenge(r *request) (reply, error) {
	id, err := r.id()
	if err != nil {
		return reply{}, err
	}
	// A validation that another server has had done meanwhile is found out when its result
	// is to be recorded.
	a, c, err := s.loadChallenge(r, id, !r.asGET())
	if err != nil {
		return reply{}, err
	}
	if r.asGET() && c.Status == acme.Processing {
		return s.heldChallenge(r, c)
	}
	if !r.asGET() && c.Status == acme.Pending && a.Status == acme.Pending {
		var in struct{}
		if err := r.decode(&in); err != nil {
			return reply{}, err
		}
		if c, err = s.validate(r, a, c); err != nil {
			return reply{}, err
		}
	}
	return r.challengeReply(c), nil
}

// heldChallenge answers a poll of a challenge whose validation runs: some clients poll
// that, and not the authorization.
func (s *Server) heldChallenge(r *request, c store.Challenge) (reply, error) {
	a, err := s.heldAuthz(r, c.Authz)
	if err != nil {
		return reply{}, err
	}
	for _, now := range a.Challenges {
		if now.ID == c.ID {
			c = now
		}
	}
	return r.challengeReply(c), nil
}

func (r *request) challengeReply(c store.Challenge) reply {
	rep := reply{body: r.challengeObject(c), links: []string{fmt.Sprintf(`<%s>;rel="up"`, r.authzURL(c.Authz))}}
	if c.Status == acme.Processing {
		rep.retryAfter = pollAfter
	}
	return rep
}

// loadChallenge finds a challenge of the account, with its authorization, see recentAuthz.
func (s *Server) loadChallenge(r *request, id int64, lag bool) (store.Authz, store.Challenge, error) {
	missing := notFound("there is no challenge %d of this account", id)
	authz, place := store.AuthzOf(id)
	a, err := s.recentAuthz(r, authz, lag)
	var p *acme.Problem
	switch {
	case errors.As(err, &p):
		return a, store.Challenge{}, missing
	case err != nil:
		return a, store.Challenge{}, err
	case place >= len(a.Challenges):
		return a, store.Challenge{}, missing
	}
	return a, a.Challenges[place], nil
}

// validate has a challenge validated that is pending. What has no result soon is put on
// record as processing, for whatever becomes of this process, before the client hears of
// it.
func (s *Server) validate(r *request, a store.Authz, c store.Challenge) (store.Challenge, error) {
	if s.Runner.Try(a, r.account, c.ID) {
		s.Runner.Hold(r.http.Context(), a.ID, quickResult)
		var err error
		if a, c, err = s.loadChallenge(r, c.ID, false); err != nil || c.Status != acme.Pending || a.Status != acme.Pending {
			return c, err
		}
	}
	switch err := s.Store.StartChallenge(r.http.Context(), c.ID); {
	case err == nil:
		c.Status = acme.Processing
		s.Runner.Start(c) // unless it runs already
		return c, nil
	case errors.Is(err, store.ErrConflict): // there is a result now, or it was asked for twice at once
		_, c, err := s.loadChallenge(r, c.ID, false)
		return c, err
	default:
		return c, fmt.Errorf("starting challenge %d: %w", c.ID, err)
	}
}
