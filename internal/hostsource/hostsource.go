// Package hostsource brings hosts, and the people and groups responsible for them, from
// where the organisation keeps them into the store: from LDAP, SQL, CSV and JSON.
//
// A source is read as a stream of entries, which are brought into one form and compared
// with what the source said the last time. Only what differs is written, in transactions
// of a few hundred entries each, so that the server goes on meanwhile. Of an entry that
// several sources have, the source of the highest priority decides; what was entered by
// hand is above them all.
//
// An entry that makes no sense is left out, and told of. A source that can't be read, or
// that comes to an end with an error, changes nothing. Nor does one that would take away
// more than its share of what it had (max_loss), until an operator has confirmed just
// that: it may be the source that has lost something, and not the organisation.
package hostsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vidimus/internal/config"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

// Host is what a source says of a host.
type Host struct {
	FQDN    string
	People  []string          // logins
	Groups  []string          // names
	Details map[string]string // the organisation's data, by its own names
}

// Person is what a source says of a person.
type Person struct {
	Login, Name, Email string
}

// Group is what a source says of a group.
type Group struct {
	Name, Title string
	Members     []string // logins
}

// Sink takes what a source says, in any order. An error that it returns ends the reading.
type Sink interface {
	Host(Host) error
	Person(Person) error
	Group(Group) error
	// Skip tells of an entry that makes no sense.
	Skip(what string, why error) error
}

// Reading is how far a source was read.
type Reading struct {
	Mark      string // where to go on the next time; "": from the beginning
	Unchanged bool   // nothing has changed since the mark, and the sink has got nothing
}

// Reader reads a source.
type Reader interface {
	// Read reads the source; with a mark what has changed since. Where [Reader.Deltas] is
	// false, it is then everything too, or nothing when nothing has changed.
	Read(ctx context.Context, mark string, to Sink) (Reading, error)
	// Deltas tells whether a reading from a mark on gives what has changed alone.
	Deltas() bool
}

// Open prepares the reading of a source.
func Open(c *config.Source) (Reader, error) {
	switch {
	case c.LDAP != nil:
		return openLDAP(c.LDAP)
	case c.SQL != nil:
		return openSQL(c.SQL)
	case c.CSV != nil:
		return openCSV(c.CSV)
	case c.JSON != nil:
		return openJSON(c.JSON)
	}
	return nil, errors.New("there is no such kind of source")
}

// Bounds of what is taken from a source.
const (
	maxName    = 256     // bytes of a login, a name or an address
	maxDetail  = 4096    // bytes of one of the details
	maxDetails = 64      // of them, of a host
	maxEntry   = 1 << 20 // bytes of an entry, as it is kept
)

// canonical brings entries into the form in which they are kept.
type canonical struct {
	team bool // the CA team is responsible for hosts for which nobody is named
}

func (c canonical) host(h Host) (key string, content []byte, err error) {
	id, err := identifier.ParseDNS(h.FQDN)
	if err != nil {
		return "", nil, err
	}
	if id.Wildcard() {
		return "", nil, fmt.Errorf("%q is a wildcard; a host has one name of its own", h.FQDN)
	}
	e := store.HostEntry{}
	if e.People, err = names(h.People); err != nil {
		return "", nil, fmt.Errorf("people: %w", err)
	}
	if e.Groups, err = names(h.Groups); err != nil {
		return "", nil, fmt.Errorf("groups: %w", err)
	}
	e.Team = c.team && len(e.People)+len(e.Groups) == 0
	for k, v := range h.Details {
		if k, v = strings.TrimSpace(k), strings.TrimSpace(v); k == "" || v == "" {
			continue
		}
		if err := text(k, maxName); err != nil {
			return "", nil, fmt.Errorf("the name of a detail: %w", err)
		}
		if err := text(v, maxDetail); err != nil {
			return "", nil, fmt.Errorf("%s: %w", k, err)
		}
		if e.Details == nil {
			e.Details = make(map[string]string, len(h.Details))
		}
		e.Details[k] = v
	}
	if len(e.Details) > maxDetails {
		return "", nil, fmt.Errorf("it has %d details, and %d are the most", len(e.Details), maxDetails)
	}
	content, err = bounded(e)
	return id.Value, content, err
}

func (canonical) person(p Person) (key string, content []byte, err error) {
	if key, err = name(p.Login); err != nil {
		return "", nil, fmt.Errorf("login: %w", err)
	}
	e := store.PersonEntry{Name: strings.TrimSpace(p.Name), Email: strings.TrimSpace(p.Email)}
	for _, s := range []string{e.Name, e.Email} {
		if err := text(s, maxName); err != nil {
			return "", nil, err
		}
	}
	content, err = bounded(e)
	return key, content, err
}

func (canonical) group(g Group) (key string, content []byte, err error) {
	if key, err = name(g.Name); err != nil {
		return "", nil, fmt.Errorf("name: %w", err)
	}
	e := store.GroupEntry{Title: strings.TrimSpace(g.Title)}
	if err := text(e.Title, maxDetail); err != nil {
		return "", nil, fmt.Errorf("title: %w", err)
	}
	if e.Members, err = names(g.Members); err != nil {
		return "", nil, fmt.Errorf("members: %w", err)
	}
	content, err = bounded(e)
	return key, content, err
}

func bounded(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err == nil && len(data) > maxEntry {
		err = fmt.Errorf("it is larger than %d bytes", maxEntry)
	}
	return data, err
}

// names are in order, each once, without those that are empty.
func names(list []string) (all []string, err error) {
	for _, s := range list {
		if strings.TrimSpace(s) == "" {
			continue
		}
		n, err := name(s)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func name(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", errors.New("it is empty")
	}
	return s, text(s, maxName)
}

func text(s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("it is longer than %d bytes", most)
	case !utf8.ValidString(s):
		return errors.New("it is not UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("it has control characters")
	}
	return nil
}
