// Package dns answers challenges with TXT records: dns-01 (RFC 8555 §8.4), and where the
// CA offers them dns-account-01 (draft-ietf-acme-dns-account-label-03) and
// dns-persist-01 (draft-ietf-acme-dns-persist-02).
//
// A value is noted on disk before it is made, so that it is removed after a crash too
// ([Recover]); it is added beside the values that are there; and the CA is told to look
// when all authoritative name servers show it (package authority), not after a sleep.
// The providers are packages below and programs called vidimus-dns-NAME (package
// external).
package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vidimus/internal/authenticator"
	"vidimus/internal/authenticator/dns/authority"
	"vidimus/internal/authenticator/dns/provider"
)

// Config is what an order needs.
type Config struct {
	Plugin string // "dns-rfc2136", …, or [Generic]
	// Option gives the options of the plugin by the name that Certbot has for them in
	// files, such as dns_rfc2136_credentials, and "" for those that nobody chose. The
	// generic plugin has dns_provider, dns_credentials and dns_propagation_seconds.
	Option   func(name string) string
	StateDir string // for the notes of records still to be removed; "" keeps none
	Log      *slog.Logger
	Getenv   func(string) string
	Out      io.Writer // progress for a person; nil for nobody
	// Resolver is a recursive resolver, HOST:PORT; "" is what VIDIMUS_DNS_RESOLVER names
	// in the environment, else those of /etc/resolv.conf.
	Resolver string
	// Session is what the orders of a run share; nil shares nothing. Orders that run at
	// the same time must share one when they may have names in common.
	Session *Session

	// For tests: the port of authoritative servers, how patient to be with silent ones,
	// and the address of Cloudflare's API.
	AuthorityPort string
	Patience      time.Duration
	Cloudflare    string

	resolvers []string
}

// Authenticator answers the challenges of one order.
type Authenticator struct {
	config Config
	option string        // the name on the command line of the bound
	bound  time.Duration // for the servers to show the values
	blind  time.Duration // the same where none can be asked
	chosen chosen
	finder *authority.Finder

	own    bool   // the session is of this order alone
	unlock func() // of the names that the order has for itself
	note   *note  // of the values that are to be removed
}

var _ authenticator.Authenticator = (*Authenticator)(nil)

// New checks options and credentials, and starts the program of the provider where it
// has one.
func New(c Config) (authenticator.Authenticator, error) {
	own := c.Session == nil
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	a := &Authenticator{config: c, own: own, option: "--" + c.Plugin + "-propagation-seconds"}
	if a.bound, a.blind, err = boundsOf(c); err != nil {
		return nil, err
	}
	if a.chosen, err = choose(c, c.Session); err != nil {
		return nil, err
	}
	a.finder = c.Session.finder(c)
	return a, nil
}

// complete fills in what may be left out.
func (c Config) complete() (Config, error) {
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Session == nil {
		c.Session = NewSession()
	}
	if c.Resolver == "" {
		c.Resolver = c.Getenv("VIDIMUS_DNS_RESOLVER")
	}
	if c.Resolver != "" {
		if _, _, err := net.SplitHostPort(c.Resolver); err != nil {
			c.Resolver = net.JoinHostPort(strings.Trim(c.Resolver, "[]"), "53")
		}
		c.resolvers = []string{c.Resolver}
		return c, nil
	}
	var err error
	c.resolvers, err = authority.FromSystem()
	return c, err
}

// blindBound is how long the resolver is asked where no authoritative server can be, when
// nobody says otherwise. It is about what Certbot waits.
const blindBound = time.Minute

// boundsOf reads how long the name servers may take.
func boundsOf(c Config) (bound, blind time.Duration, err error) {
	name := dest(c.Plugin, "propagation-seconds")
	text, def := c.Option(name), defaultBound
	if k, ok := find(c.Plugin); ok && k.bound != "" {
		def = k.bound
	}
	seconds, err := strconv.ParseUint(cmp.Or(text, def), 10, 31)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %q is no number of seconds", name, text)
	}
	bound = time.Duration(seconds) * time.Second
	if text == "" || text == def {
		return bound, blindBound, nil
	}
	return bound, bound, nil
}

// Types implements [authenticator.Authenticator]. What dns-01 leaves behind is nothing,
// so it comes first.
func (a *Authenticator) Types() []string { return []string{dns01, dnsAc, dnsPe} }

// Hint implements [authenticator.Authenticator].
func (a *Authenticator) Hint() string {
	by := "--" + a.config.Plugin
	if a.config.Plugin == Generic {
		by = "--dns " + a.chosen.options["dns_provider"]
	}
	return "The Certificate Authority failed to verify the DNS TXT records created by " + by + ". The authoritative name servers that answer " +
		"here all showed them before: ensure that the CA sees the same servers (split views, a delegation that names others, DNSSEC), " +
		"and that no CAA record keeps it from issuing."
}

// answer is one TXT value and where it goes.
type answer struct {
	challenge authenticator.Challenge
	place     *authority.Place
	record    provider.Record
}

// Present implements [authenticator.Authenticator]: find where the values go, note them,
// add them, wait until all servers show them.
func (a *Authenticator) Present(ctx context.Context, challenges []authenticator.Challenge) error {
	answers, err := a.locate(ctx, challenges)
	if err == nil {
		answers, err = a.missing(ctx, answers)
	}
	if err != nil {
		return prefixed(challenges, err)
	}
	if err := a.addAndWait(ctx, answers); err != nil {
		return prefixed(challenges, errors.Join(err, a.Cleanup(context.WithoutCancel(ctx))))
	}
	return nil
}

func (a *Authenticator) addAndWait(ctx context.Context, answers []answer) (err error) {
	if a.chosen.alone {
		if a.unlock, err = a.config.Session.names.lock(ctx, names(answers)); err != nil {
			return err
		}
	}
	if a.note, err = writeNote(a.config, a.chosen.options, passing(answers)); err != nil {
		return err
	}
	if err := each(answers, func(an answer) error { return a.chosen.Add(ctx, an.record) }); err != nil {
		return err
	}
	return a.wait(ctx, answers)
}

// prefixed says which challenge an error is about.
func prefixed(challenges []authenticator.Challenge, err error) error {
	if len(challenges) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", challenges[0].Type, err)
}

func names(answers []answer) (names []string) {
	for _, an := range answers {
		names = append(names, an.record.Name)
	}
	return names
}

// passing are the records that are removed in the end.
func passing(answers []answer) (records []provider.Record) {
	for _, an := range answers {
		if an.challenge.Type != dnsPe {
			records = append(records, an.record)
		}
	}
	return records
}

// parallel bounds how much of one order is done at the same time.
const parallel = 16

// each does something for all elements, several at the same time, and joins the errors.
func each[T any](list []T, do func(T) error) error {
	errs := make([]error, len(list))
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, e := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(e)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// locate finds out which value goes where.
func (a *Authenticator) locate(ctx context.Context, challenges []authenticator.Challenge) ([]answer, error) {
	answers := make([]answer, len(challenges))
	var all []*answer
	for i, c := range challenges {
		answers[i].challenge = c
		all = append(all, &answers[i])
	}
	err := each(all, func(an *answer) error {
		c := an.challenge
		owner, err := ownerOf(c)
		if err != nil {
			return err
		}
		an.record = provider.Record{Value: digest(c.KeyAuthorization), Domain: c.Identifier.Value, KeyAuthorization: c.KeyAuthorization}
		if c.Type == dnsPe {
			an.record.KeyAuthorization = ""
			if an.record.Value, err = persistent(c); err != nil {
				return err
			}
		}
		if an.place, err = a.finder.Find(ctx, owner); err != nil {
			return err
		}
		an.record.Name, an.record.Zone = an.place.Name, an.place.Zone
		if an.record.Name != owner {
			a.config.Log.Info("following an alias to where the TXT value goes", "from", owner, "to", an.record.Name)
		}
		return nil
	})
	return answers, err
}

// missing leaves out what need not be added: lasting values that are there, and the
// plain one where the one for a wildcard, which holds for both, is added.
func (a *Authenticator) missing(ctx context.Context, answers []answer) ([]answer, error) {
	var out []answer
	for _, an := range answers {
		if an.challenge.Type == dnsPe {
			there, err := a.finder.Values(ctx, an.place)
			if err != nil {
				return nil, err
			}
			permit := func(v string) bool { return permits(v, an.challenge, time.Now()) }
			covered := func(o answer) bool {
				return o.challenge.Type == dnsPe && o.challenge.Wildcard && !an.challenge.Wildcard && o.record.Name == an.record.Name
			}
			if slices.ContainsFunc(there, permit) || slices.ContainsFunc(answers, covered) {
				continue
			}
			a.config.Log.Warn("adding a TXT value that lets this account have certificates for the name until somebody removes it",
				"name", an.record.Name, "value", an.record.Value)
		}
		out = append(out, an)
	}
	return out, nil
}

// tellAfter is how long a wait may be before a person is told of it.
const tellAfter = 2 * time.Second

// wait waits until all servers of each name show all of its values.
func (a *Authenticator) wait(ctx context.Context, answers []answer) error {
	places := make(map[string]*authority.Place)
	values := make(map[string][]string)
	for _, an := range answers {
		places[an.record.Name] = an.place
		values[an.record.Name] = append(values[an.record.Name], an.record.Value)
	}
	if len(places) == 0 {
		return nil
	}
	if a.config.Out != nil {
		timer := time.AfterFunc(tellAfter, func() {
			fmt.Fprintf(a.config.Out, "Waiting until all name servers of %s show the DNS changes, %v at most\n", zonesOf(places), a.bound)
		})
		defer timer.Stop()
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range places {
			if !yield(n) {
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() { errs[i] = a.finder.Wait(ctx, places[n], values[n], a.bound, a.blind) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	var lag *authority.LagError
	if errors.As(err, &lag) {
		err = fmt.Errorf("%w: see why this server does not follow the others, or give it longer with %s", err, a.option)
	}
	return err
}

// zonesOf lists the zones of places, or of one whose zone is hidden its name.
func zonesOf(places map[string]*authority.Place) string {
	var zones []string
	for _, p := range places {
		if zone := cmp.Or(p.Zone, p.Name); !slices.Contains(zones, zone) {
			zones = append(zones, zone)
		}
	}
	slices.Sort(zones)
	if len(zones) > 3 {
		return fmt.Sprintf("%s and %d more zones", strings.Join(zones[:2], ", "), len(zones)-2)
	}
	return strings.Join(zones, ", ")
}

// Cleanup implements [authenticator.Authenticator]. What cannot be removed is no reason
// to give up a certificate: it stays noted, and the next run tries again.
func (a *Authenticator) Cleanup(ctx context.Context) error {
	if a.own {
		defer a.config.Session.Close()
	}
	if a.unlock != nil {
		defer func() { a.unlock(); a.unlock = nil }()
	}
	if a.note == nil {
		return nil
	}
	n := a.note
	a.note = nil
	if err := n.settle(ctx, a.chosen, a.finder); err != nil {
		a.config.Log.Warn("TXT values are left over; the next run tries to remove them again", "error", err)
	}
	return nil
}
