package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/providers/dns"
)

// hello is the first message.
type hello struct {
	Protocol int               `json:"vidimus_dns"`
	Provider string            `json:"provider"`
	Settings map[string]string `json:"settings"`
	Resolver string            `json:"resolver"`
}

// request is each further one.
type request struct {
	ID               int64  `json:"id"`
	Do               string `json:"do"`
	Name             string `json:"name"`
	Value            string `json:"value"`
	Zone             string `json:"zone"`
	Domain           string `json:"domain"`
	KeyAuthorization string `json:"key_authorization"`
}

type reply struct {
	ID       int64  `json:"id"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
	Parallel int    `json:"parallel,omitempty"`
}

// parallel is how many requests may come at the same time; those for one zone take turns.
const parallel = 16

const maxLine = 1 << 20

// serve answers messages until the input ends.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	w := &writer{out: json.NewEncoder(out)}
	if !lines.Scan() {
		return lines.Err()
	}
	s, err := start(lines.Bytes())
	if err != nil {
		w.send(reply{Error: oneLine(err)})
		return nil
	}
	w.send(reply{OK: true, Parallel: parallel})
	var wg sync.WaitGroup
	defer wg.Wait()
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("reading a message: %w", err)
		}
		wg.Go(func() {
			answer := reply{ID: r.ID, OK: true}
			if err := s.do(r); err != nil {
				answer = reply{ID: r.ID, Error: oneLine(err)}
			}
			w.send(answer)
		})
	}
	return lines.Err()
}

type writer struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (w *writer) send(r reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Encode(r) // who started this has gone; the input ends, too
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// session is one provider with its settings.
type session struct {
	provider challenge.Provider
	leftover leftover // nil where it is not needed
	aliases  *aliases

	mu    sync.Mutex
	zones map[string]*sync.Mutex // guarded by mu
}

// start makes the provider. lego's providers read their settings from the environment.
func start(line []byte) (*session, error) {
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		return nil, fmt.Errorf("reading the first message: %w", err)
	}
	if h.Protocol != 1 {
		return nil, fmt.Errorf("vidimus speaks version %d of the protocol and vidimus-dns-lego version 1: install both from the same release", h.Protocol)
	}
	for name, value := range h.Settings {
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
	}
	provider, err := newProvider(h.Provider)
	if err != nil {
		return nil, err
	}
	a, err := serveAliases(h.Resolver)
	if err != nil {
		return nil, err
	}
	return &session{provider: provider, leftover: leftovers(h.Provider, os.Getenv), aliases: a, zones: make(map[string]*sync.Mutex)}, nil
}

func newProvider(name string) (challenge.Provider, error) {
	switch name {
	case "manual":
		return nil, errors.New("the provider manual of lego asks on a terminal: use vidimus --manual")
	case "gehirn":
		return newGehirn(os.Getenv)
	}
	provider, err := dns.NewDNSChallengeProviderByName(name)
	if err != nil && strings.Contains(err.Error(), "unrecognized DNS provider") {
		return nil, fmt.Errorf("lego has no DNS provider called %s: see https://go-acme.github.io/lego/dns/ for their names", name)
	}
	return provider, err
}

// do adds or removes one value. Many providers read all records of a name or zone and
// write them back, so there is one request for a zone at a time.
func (s *session) do(r request) error {
	if r.KeyAuthorization == "" {
		return errors.New("lego's providers can only add the answers to dns-01 and dns-account-01: use --preferred-challenges dns-01")
	}
	zone := s.zone(r.Zone)
	zone.Lock()
	defer zone.Unlock()
	// The second argument tells apart what was added, in the memory of some providers.
	token, _, _ := strings.Cut(r.KeyAuthorization, ".")
	s.aliases.set(r.Domain, r.Name)
	defer s.aliases.unset(r.Domain)
	switch r.Do {
	case "add":
		return s.provider.Present(r.Domain, token, r.KeyAuthorization)
	case "remove":
		err := s.provider.CleanUp(r.Domain, token, r.KeyAuthorization)
		if unknownRecord(err) && s.leftover != nil {
			return s.leftover(r.Zone, r.Name, r.Value)
		}
		return err
	}
	return fmt.Errorf("there is nothing called %q to do", r.Do)
}

func (s *session) zone(name string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.zones[name] == nil {
		s.zones[name] = new(sync.Mutex)
	}
	return s.zones[name]
}
