package issuance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

// atOnce bounds the requests that one order makes at the same time.
const atOnce = 8

// each runs f for 0 to n-1, some at the same time, and returns the first error by
// number.
func each(n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			errs[i] = f(i)
			<-slots
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// proof is an authorization that is to become valid.
type proof struct {
	acme.Authorization
	at     string // URL
	chosen acme.Challenge
}

// name is what the authorization is about, in the form of an order.
func (p *proof) name() string {
	name := nameOf(p.Identifier)
	if p.Wildcard {
		name = "*." + strings.TrimPrefix(name, "*.")
	}
	return name
}

// authorize proves control of the names that the CA has no proof of yet.
func (ca *CA) authorize(ctx context.Context, a Account, order *resource, r Request) (err error) {
	all := make([]*proof, len(order.Authorizations))
	err = each(len(all), func(i int) error {
		all[i] = &proof{at: order.Authorizations[i]}
		return ca.refresh(ctx, a, all[i])
	})
	if err != nil {
		return explain(ca.url, err)
	}
	var pending []*proof
	for _, p := range all {
		switch p.Status {
		case acme.Valid:
		case acme.Pending:
			if p.chosen, err = choose(p, r); err != nil {
				return err
			}
			pending = append(pending, p)
		default:
			return fmt.Errorf("the authorization of %s is %s: try again for a new one", p.name(), p.Status)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	// In the order of the request, which a person who follows instructions expects.
	place := func(p *proof) int {
		return slices.IndexFunc(r.Identifiers, func(id identifier.Identifier) bool { return id.Value == p.name() })
	}
	slices.SortStableFunc(pending, func(p, q *proof) int { return cmp.Compare(place(p), place(q)) })
	answers, err := ca.answers(a, pending)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Authenticator.Cleanup(context.WithoutCancel(ctx))) }()
	if err := r.patiently(func() error { return r.Authenticator.Present(ctx, answers) }); err != nil {
		return err
	}
	return r.patiently(func() error { return ca.validate(ctx, a, pending, r) })
}

// refresh fetches an authorization.
func (ca *CA) refresh(ctx context.Context, a Account, p *proof) error {
	r, err := ca.look(ctx, a, p.at)
	if err != nil {
		return err
	}
	return p.decode(r)
}

// lookPatience is how long a look at an authorization waits for an order that is being
// placed.
const lookPatience = 100 * time.Millisecond

// look fetches an authorization, when no order is being placed if that is soon: see
// [CA.ordering].
func (ca *CA) look(ctx context.Context, a Account, url string) (*reply, error) {
	patience := time.NewTimer(lookPatience)
	defer patience.Stop()
	select {
	case ca.ordering <- struct{}{}:
		<-ca.ordering
	case <-patience.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return ca.post(ctx, a, url, nil)
}

func (p *proof) decode(r *reply) error {
	p.Authorization = acme.Authorization{}
	return r.decode(&p.Authorization)
}

// choose picks the challenge to answer.
func choose(p *proof, r Request) (acme.Challenge, error) {
	if r.Authenticator == nil {
		return acme.Challenge{}, fmt.Errorf("the CA wants a proof of control of %s: choose how with --standalone, --webroot or a --dns-… authenticator", p.name())
	}
	types := r.Authenticator.Types()
	if len(r.Challenges) > 0 {
		types = slices.DeleteFunc(slices.Clone(r.Challenges), func(t string) bool { return !slices.Contains(types, t) })
	}
	var offered []string
	for _, c := range p.Challenges {
		offered = append(offered, oneLine(string(c.Type)))
	}
	for _, t := range types {
		for _, c := range p.Challenges {
			if string(c.Type) == t {
				return c, nil
			}
		}
	}
	if len(types) == 0 {
		return acme.Challenge{}, fmt.Errorf("the chosen authenticator answers %s only: change --preferred-challenges", strings.Join(r.Authenticator.Types(), ", "))
	}
	remedy := "choose another one"
	if slices.Contains(offered, string(acme.DNS01)) {
		remedy = "prove control by DNS, with --dns PROVIDER, one of the --dns-… options, or --manual"
	}
	return acme.Challenge{}, fmt.Errorf("the CA wants %s for %s, which the chosen authenticator cannot answer (it answers %s): %s",
		strings.Join(offered, " or "), p.name(), strings.Join(types, ", "), remedy)
}

// token is what one may be (RFC 8555 §8.3). It becomes a path, the name of a file, and
// an argument of hooks.
var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

// answers makes what the authenticator is to show.
func (ca *CA) answers(a Account, pending []*proof) ([]authenticator.Challenge, error) {
	thumb, err := Thumbprint(a.Key.Public())
	if err != nil {
		return nil, err
	}
	var out []authenticator.Challenge
	for _, p := range pending {
		id, err := identifier.ParseLocal(p.Identifier.Value)
		if err != nil {
			return nil, fmt.Errorf("the CA wants a proof for something else: %w", err)
		}
		if !token.MatchString(p.chosen.Token) && (p.chosen.Type != acme.DNSPersist01 || p.chosen.Token != "") {
			return nil, fmt.Errorf("the CA's token for %s is not base64url", p.name())
		}
		issuers, uris, err := ca.persistent(p.chosen, id.Base().Value, thumb, a.URL)
		if err != nil {
			return nil, fmt.Errorf("the challenge %s for %s is malformed: %w", p.chosen.Type, p.name(), err)
		}
		out = append(out, authenticator.Challenge{
			Identifier: id.Base(), Wildcard: p.Wildcard || id.Wildcard(),
			Type: string(p.chosen.Type), Token: p.chosen.Token, KeyAuthorization: p.chosen.Token + "." + thumb,
			Account: a.URL, Issuers: issuers, AccountURIs: uris,
		})
	}
	return out, nil
}

// validate asks the CA to look at the answers, all at the same time, and waits for
// what it finds.
func (ca *CA) validate(ctx context.Context, a Account, pending []*proof, r Request) error {
	err := each(len(pending), func(i int) error {
		got, err := ca.post(ctx, a, pending[i].chosen.URL, struct{}{})
		var p *acme.Problem
		if errors.As(err, &p) && (p.Status < 500 && got.repeated || ca.asked(ctx, a, pending[i])) {
			return nil
		}
		return err
	})
	if err != nil {
		return explain(ca.url, err)
	}
	err = each(len(pending), func(i int) error {
		p := pending[i]
		fetch := func(ctx context.Context) (*reply, error) { return ca.look(ctx, a, p.at) }
		err := ca.await(ctx, fetch, authorizationTimeout, func(r *reply) (bool, error) {
			err := p.decode(r)
			return p.Status != acme.Pending, err
		})
		if err != nil {
			return fmt.Errorf("waiting for the validation of %s: %w", p.name(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var failures []Failure
	for _, p := range pending {
		if p.Status != acme.Valid {
			failures = append(failures, p.failure())
		}
	}
	if len(failures) > 0 {
		return &AuthorizationError{failures, hintAbout(failures, r.Authenticator)}
	}
	return nil
}

// asked tells whether the CA looks, or has looked, at the answer to a challenge though
// it refused to, as when another order shares the authorization. (After an attempt whose
// answer was lost it is waited for anyway: some CAs show no sign of looking.)
func (ca *CA) asked(ctx context.Context, a Account, p *proof) bool {
	now := &proof{at: p.at}
	if ca.refresh(ctx, a, now) != nil {
		return false
	}
	return now.Status != acme.Pending || slices.ContainsFunc(now.Challenges, func(c acme.Challenge) bool {
		return c.URL == p.chosen.URL && c.Status == acme.Processing
	})
}

func (p *proof) failure() Failure {
	f := Failure{Name: p.name(), Type: "unknown", Detail: "the authorization is " + string(p.Status)}
	for _, c := range p.Challenges {
		if c.Error != nil && (c.Type == p.chosen.Type || f.Type == "unknown") {
			f.Type, f.Detail = oneLine(string(c.Error.Type)), oneLine(c.Error.Detail)
		}
	}
	return f
}

// authorizationTimeout bounds the wait for one validation; CAs look from several
// places and try again for about half a minute.
const authorizationTimeout = 2 * time.Minute

// giveBackWithin bounds the end of a trial, also of one that was interrupted.
const giveBackWithin = 30 * time.Second

// giveBack deactivates the authorizations of a trial (§7.5.2), so that it leaves no
// proof behind, nor one that is still to come.
func (ca *CA) giveBack(ctx context.Context, a Account, urls []string) {
	ctx, cancel := context.WithTimeout(ctx, giveBackWithin)
	defer cancel()
	err := each(len(urls), func(i int) error {
		p := &proof{at: urls[i]}
		if err := ca.refresh(ctx, a, p); err != nil || p.Status != acme.Valid && p.Status != acme.Pending {
			return err
		}
		_, err := ca.post(ctx, a, p.at, map[string]any{"status": acme.Deactivated})
		return err
	})
	if err != nil {
		ca.log.Info("an authorization cannot be deactivated", "error", err)
	}
}
