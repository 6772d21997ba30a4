package renewal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"vidimus/internal/authenticator"
	"vidimus/internal/authenticator/dns"
	"vidimus/internal/authenticator/manual"
	"vidimus/internal/authenticator/standalone"
	"vidimus/internal/authenticator/webroot"
	"vidimus/internal/settings"
)

// Provers makes authenticators. It holds what the orders of one run share: ports,
// directories, and a person.
type Provers struct {
	Out io.Writer // what hooks say
	Err io.Writer // what they say on standard error, and warnings
	Log *slog.Logger
	// Ask shows a person what to do and waits until it is done; nil when there is
	// nobody to ask.
	Ask     func(ctx context.Context, text string) error
	Environ []string // of hooks
	// Wrap puts something around each authenticator; nil for nothing.
	Wrap    func(authenticator.Authenticator) authenticator.Authenticator
	WorkDir string // Certbot's --work-dir
	Getenv  func(string) string

	ports   standalone.Ports
	made    webroot.Made
	once    sync.Once // sets made.Note
	session dns.Session
}

// Recover removes the DNS records and challenge files that a run left behind when it was
// killed.
func (p *Provers) Recover(ctx context.Context) error {
	return errors.Join(dns.Recover(ctx, p.records(), p.Log), webroot.Recover(p.files()))
}

// files is where files of --webroot that are still to be removed are noted.
func (p *Provers) files() string { return filepath.Join(p.WorkDir, "vidimus-webroot") }

// Close ends the programs that authenticators have started.
func (p *Provers) Close() { p.session.Close() }

// records is where DNS records that are still to be removed are noted.
func (p *Provers) records() string { return filepath.Join(p.WorkDir, "vidimus-dns") }

// For makes the authenticator that settings name, for one order. Nil, for no name, is
// good for a CA that wants no proof.
func (p *Provers) For(set *settings.Settings) (authenticator.Authenticator, error) {
	auth, err := p.plain(set)
	if err == nil && auth != nil && p.Wrap != nil {
		auth = p.Wrap(auth)
	}
	return auth, err
}

func (p *Provers) plain(set *settings.Settings) (authenticator.Authenticator, error) {
	switch name := set.Authenticator; name {
	case "":
		return nil, nil
	case "standalone":
		return &standalone.Server{Port: set.HTTP01Port, Address: set.HTTP01Address, Ports: &p.ports}, nil
	case "webroot":
		p.once.Do(func() { p.made.Note = p.files() })
		return &webroot.Webroot{Root: set.WebrootOf, Made: &p.made}, nil
	case "manual":
		m := &manual.Manual{AuthHook: set.PluginOption("manual_auth_hook"), CleanupHook: set.PluginOption("manual_cleanup_hook"),
			Ask: p.Ask, Out: p.Out, Err: p.Err, Log: p.Log, Environ: p.Environ}
		return m, m.Check()
	default:
		if slices.ContainsFunc(dns.Plugins(), func(known dns.Plugin) bool { return known.Name == name }) {
			return dns.New(dns.Config{Plugin: name, Option: set.PluginOption, StateDir: p.records(), Log: p.Log, Getenv: p.Getenv, Out: p.Out, Session: &p.session})
		}
		return nil, fmt.Errorf("the authenticator %q is not known here: choose one that 'plugins' lists, as with 'reconfigure --cert-name CERTNAME --webroot -w DIR'", name)
	}
}

// alone tells whether orders with this authenticator are to come one after another:
// hooks that were written for Certbot know nothing else, and a person does one thing
// at a time.
func alone(set *settings.Settings) bool { return set.Authenticator == "manual" }
