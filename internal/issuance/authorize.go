package issuance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/authenticator"
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
	if p.Wildcard {
		return "*." + p.Identifier.Value
	}
	return p.Identifier.Value
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
	answers, err := answers(a, pending)
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
	r, err := ca.post(ctx, a, p.at, nil)
	if err != nil {
		return err
	}
	return p.decode(r)
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
		offered = append(offered, string(c.Type))
	}
	for _, t := range types {
		if i := slices.Index(offered, t); i >= 0 {
			return p.Challenges[i], nil
		}
	}
	if len(types) == 0 {
		return acme.Challenge{}, fmt.Errorf("the chosen authenticator answers %s only: change --preferred-challenges", strings.Join(r.Authenticator.Types(), ", "))
	}
	return acme.Challenge{}, fmt.Errorf("the CA wants %s for %s, which the chosen authenticator cannot answer (it answers %s)",
		strings.Join(offered, " or "), p.name(), strings.Join(types, ", "))
}

// answers makes what the authenticator is to show.
func answers(a Account, pending []*proof) ([]authenticator.Challenge, error) {
	thumb, err := Thumbprint(a.Key.Public())
	if err != nil {
		return nil, err
	}
	var out []authenticator.Challenge
	for _, p := range pending {
		id, err := p.Identifier.Canonical()
		if err != nil {
			return nil, fmt.Errorf("the CA wants a proof for %w", err)
		}
		out = append(out, authenticator.Challenge{
			Identifier: id.Base(), Wildcard: p.Wildcard || id.Wildcard(),
			Type: string(p.chosen.Type), Token: p.chosen.Token, KeyAuthorization: p.chosen.Token + "." + thumb,
			Account: a.URL, Issuers: p.chosen.Issuers,
		})
	}
	return out, nil
}

// validate asks the CA to look at the answers, all at the same time, and waits for
// what it finds.
func (ca *CA) validate(ctx context.Context, a Account, pending []*proof, r Request) error {
	err := each(len(pending), func(i int) error {
		got, err := ca.post(ctx, a, pending[i].chosen.URL, struct{}{})
		if err != nil && got != nil && got.repeated {
			return nil // it may have been taken by an attempt whose answer was lost: look
		}
		return err
	})
	if err != nil {
		return explain(ca.url, err)
	}
	err = each(len(pending), func(i int) error {
		p := pending[i]
		err := ca.await(ctx, a, p.at, authorizationTimeout, func(r *reply) (bool, error) {
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
		return &AuthorizationError{failures, r.Authenticator.Hint()}
	}
	return nil
}

func (p *proof) failure() Failure {
	f := Failure{Name: p.name(), Type: "unknown", Detail: "the authorization is " + string(p.Status)}
	for _, c := range p.Challenges {
		if c.Error != nil && (c.Type == p.chosen.Type || f.Type == "unknown") {
			f.Type, f.Detail = string(c.Error.Type), oneLine(c.Error.Detail)
		}
	}
	return f
}

// authorizationTimeout bounds the wait for one validation; CAs look from several
// places and try again for about half a minute.
const authorizationTimeout = 2 * time.Minute

// giveBack deactivates the valid authorizations of a trial (§7.5.2), so that it
// leaves no proof behind.
func (ca *CA) giveBack(ctx context.Context, a Account, urls []string) {
	err := each(len(urls), func(i int) error {
		p := &proof{at: urls[i]}
		if err := ca.refresh(ctx, a, p); err != nil || p.Status != acme.Valid {
			return err
		}
		_, err := ca.post(ctx, a, p.at, map[string]any{"status": acme.Deactivated})
		return err
	})
	if err != nil {
		ca.log.Info("an authorization cannot be deactivated", "error", err)
	}
}
