package hostsource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/store"
)

const (
	// someNamed is how many entries of each sort of change are named.
	someNamed = 20
	// someSkipped is how many of the entries that make no sense are.
	someSkipped = 50
	// mostEntries is how many entries of a kind a source may have.
	mostEntries = 2_000_000
	// fewLost is how many entries may be lost at once whatever the share.
	fewLost = 10
)

// kinds are in the order in which entries are added: what names others comes behind them.
var kinds = []string{store.KindPerson, store.KindGroup, store.KindHost}

// state is what is known of an entry.
type state struct {
	hash store.EntryHash
	was  bool // the source had it the last time
	is   bool // it has it now
}

// diff is a [Sink] that compares with what a source said the last time. What is as it was
// is not kept.
type diff struct {
	ctx    context.Context
	db     *store.Store
	source string
	form   canonical
	delta  bool // what the source doesn't tell of is as it was

	loaded  bool
	known   map[string]map[string]state             // by kind and key
	changed map[string]map[string]store.SourceEntry // the same
	skipped []string
	skips   int
	before  map[string]int
}

func newDiff(ctx context.Context, db *store.Store, source string, team, delta bool) *diff {
	d := &diff{ctx: ctx, db: db, source: source, form: canonical{team}, delta: delta, skipped: []string{}}
	d.known, d.changed = make(map[string]map[string]state), make(map[string]map[string]store.SourceEntry)
	for _, k := range kinds {
		d.known[k], d.changed[k] = make(map[string]state), make(map[string]store.SourceEntry)
	}
	return d
}

// load reads what is on record; of that a delta needs little, later.
func (d *diff) load() (err error) {
	if d.loaded {
		return nil
	}
	d.loaded = true
	if d.delta {
		d.before, err = d.db.CountSourceEntries(d.ctx, d.source)
		return err
	}
	err = d.db.SourceEntries(d.ctx, d.source, func(kind, key string, hash store.EntryHash) {
		d.known[kind][key] = state{hash: hash, was: true}
	})
	d.before = make(map[string]int)
	for _, k := range kinds {
		d.before[k] = len(d.known[k])
	}
	return err
}

// Skip implements [Sink].
func (d *diff) Skip(what string, why error) error {
	if d.skips++; d.skips <= someSkipped {
		line := []rune(fmt.Sprintf("%s: %v", what, why))
		d.skipped = append(d.skipped, string(line[:min(len(line), 500)]))
	}
	return d.ctx.Err()
}

// Host implements [Sink].
func (d *diff) Host(h Host) error {
	key, content, err := d.form.host(h)
	return d.take(store.KindHost, h.FQDN, key, content, err)
}

// Person implements [Sink].
func (d *diff) Person(p Person) error {
	key, content, err := d.form.person(p)
	return d.take(store.KindPerson, p.Login, key, content, err)
}

// Group implements [Sink].
func (d *diff) Group(g Group) error {
	key, content, err := d.form.group(g)
	return d.take(store.KindGroup, g.Name, key, content, err)
}

func (d *diff) take(kind, as, key string, content []byte, wrong error) error {
	if err := d.load(); err != nil {
		return err
	}
	if wrong != nil {
		return d.Skip(fmt.Sprintf("%s %q", kind, as), wrong)
	}
	s := d.known[kind][key]
	if s.is {
		return d.Skip(fmt.Sprintf("%s %q", kind, as), errors.New("it is there twice; the first one counts"))
	}
	if s.is = true; len(d.known[kind]) >= mostEntries && !s.was {
		return fmt.Errorf("it has more than %d entries of the kind %s", mostEntries, kind)
	}
	sum := sha256.Sum256(content)
	hash := store.EntryHash(sum[:16])
	if !s.was || hash != s.hash {
		d.changed[kind][key] = store.SourceEntry{Key: key, Hash: hash, Content: content}
	}
	d.known[kind][key] = s
	return d.ctx.Err()
}

// outcome is what is different, once the source has been read.
type outcome struct {
	change  store.SourceChange
	entries map[string][]store.SourceEntry // added or changed, by kind, in the order of their keys
	removed map[string][]store.SourceEntry
	lost    []string // by kind and key: removed, or without people or members now
}

func (d *diff) outcome() (o outcome, err error) {
	if err := d.load(); err != nil {
		return o, err
	}
	o = outcome{change: make(store.SourceChange), entries: make(map[string][]store.SourceEntry), removed: make(map[string][]store.SourceEntry)}
	for _, kind := range kinds {
		if err := d.compare(kind, &o); err != nil {
			return o, err
		}
	}
	return o, nil
}

// compare is outcome for one kind.
func (d *diff) compare(kind string, o *outcome) error {
	n := &store.KindChange{Before: d.before[kind]}
	o.change[kind] = n
	before, err := d.earlier(kind)
	if err != nil {
		return err
	}
	keys := make([]string, 0, len(d.changed[kind]))
	for key := range d.changed[kind] {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		e := d.changed[kind][key]
		old, was := before[key]
		if was && old.Hash == e.Hash {
			continue
		}
		o.entries[kind] = append(o.entries[kind], e)
		if !was && !d.known[kind][key].was {
			n.Added++
			n.SomeAdded = first(n.SomeAdded, key)
			continue
		}
		n.Changed++
		n.SomeChanged = first(n.SomeChanged, key)
		if empty(kind, e.Content) && !empty(kind, old.Content) {
			n.Emptied++
			n.SomeEmptied = first(n.SomeEmptied, key)
			o.lost = append(o.lost, kind+" emptied "+key)
		}
	}
	delete(d.changed, kind)
	if d.delta {
		return nil
	}
	for key, s := range d.known[kind] {
		if !s.is {
			o.removed[kind] = append(o.removed[kind], store.SourceEntry{Key: key})
		}
	}
	slices.SortFunc(o.removed[kind], func(a, b store.SourceEntry) int { return strings.Compare(a.Key, b.Key) })
	for _, e := range o.removed[kind] {
		n.Removed++
		n.SomeRemoved = first(n.SomeRemoved, e.Key)
		o.lost = append(o.lost, kind+" removed "+e.Key)
	}
	return nil
}

// earlier finds what the source said before of what has changed, where it matters: in a
// delta, and of what is empty now.
func (d *diff) earlier(kind string) (map[string]store.SourceEntry, error) {
	var keys []string
	for key, e := range d.changed[kind] {
		if d.delta || d.known[kind][key].was && empty(kind, e.Content) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return d.db.SourceEntriesOf(d.ctx, d.source, kind, keys)
}

func first(some []string, key string) []string {
	if len(some) < someNamed {
		some = append(some, key)
	}
	return some
}

// empty tells whether nobody is in an entry.
func empty(kind string, content []byte) bool {
	var e struct{ People, Groups, Members []string }
	if kind == store.KindPerson || json.Unmarshal(content, &e) != nil {
		return false
	}
	return len(e.People)+len(e.Groups)+len(e.Members) == 0
}

// lostHash names what would be lost: who confirms it confirms this and no more.
func (o *outcome) lostHash() string {
	h := sha256.New()
	for _, line := range o.lost {
		fmt.Fprintf(h, "%s\n", line)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// tooMuch tells whether more than a share, in percent, of the entries of a kind is lost.
func (o *outcome) tooMuch(percent int) bool {
	for _, n := range o.change {
		if lost := n.Removed + n.Emptied; lost > fewLost && lost*100 > percent*n.Before {
			return true
		}
	}
	return false
}
