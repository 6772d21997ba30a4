package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"vidimus/internal/audit"
)

// ErrBusy says that somebody else is at the same work.
var ErrBusy = errors.New("another process is at it")

// Source is a place that hosts, people and groups come from, and how it is with it.
type Source struct {
	Name      string        `json:"name"`
	Rank      int64         `json:"-"` // of two that have an entry, the one of the lower rank decides on it
	Settings  string        `json:"-"` // a hash of the configuration that Mark is of
	Mark      string        `json:"-"` // what it was read up to
	Tried     time.Time     `json:"tried,omitzero"`
	Synced    time.Time     `json:"synced,omitzero"`     // it was read, and what it said was done
	Full      time.Time     `json:"full,omitzero"`       // the same, from the beginning
	Asked     time.Time     `json:"asked,omitzero"`      // somebody wants it to be read, since then
	Problem   string        `json:"problem,omitempty"`   // why the last try failed; what it said before stands
	Skipped   []string      `json:"skipped,omitempty"`   // entries that made no sense, and why; the first of them
	Skips     int64         `json:"skips"`               // how many there were
	Hosts     int64         `json:"hosts"`               // that it has
	People    int64         `json:"people"`              //
	Groups    int64         `json:"groups"`              //
	Held      *SourceChange `json:"held,omitempty"`      // changes that wait for an operator
	HeldHash  string        `json:"held_id,omitempty"`   // of what would be lost by them
	Confirmed string        `json:"-"`                   // that hash, when an operator has confirmed it
	Settle    bool          `json:"-"`                   // the rank has changed, and what that means has not been done
	BusyUntil time.Time     `json:"busy_until,omitzero"` // while it is read
}

// SourceChange is what a reading of a source changes, by kind: host, person, group.
type SourceChange map[string]*KindChange

// KindChange is what changes of the entries of one kind. Of each sort the first few are
// named.
type KindChange struct {
	Before      int      `json:"before"`
	Added       int      `json:"added"`
	Changed     int      `json:"changed"`
	Removed     int      `json:"removed"`
	Emptied     int      `json:"emptied"` // of Changed, those that nobody is responsible for any more, or no member is in
	SomeAdded   []string `json:"some_added,omitempty"`
	SomeChanged []string `json:"some_changed,omitempty"`
	SomeRemoved []string `json:"some_removed,omitempty"`
	SomeEmptied []string `json:"some_emptied,omitempty"`
}

const sourceColumns = `SELECT name, rank, settings, mark, tried_at, synced_at, full_at, asked_at, problem, skipped, skips, hosts, people, groups,
	held, held_hash, confirmed, settle, held_until FROM source`

func scanSource(row scanner) (s Source, err error) {
	var held string
	var until int64
	err = row.Scan(&s.Name, &s.Rank, &s.Settings, &s.Mark, timeColumn{&s.Tried}, timeColumn{&s.Synced}, timeColumn{&s.Full}, timeColumn{&s.Asked},
		&s.Problem, jsonColumn{&s.Skipped}, &s.Skips, &s.Hosts, &s.People, &s.Groups, &held, &s.HeldHash, &s.Confirmed, &s.Settle, &until)
	if err == nil && held != "" {
		err = json.Unmarshal([]byte(held), &s.Held)
	}
	if until > 0 {
		s.BusyUntil = time.UnixMilli(until).UTC()
	}
	return s, err
}

// Sources lists all by rank.
func (s *Store) Sources(ctx context.Context) ([]Source, error) {
	return collect(ctx, s.read, scanSource, sourceColumns+` ORDER BY rank, name`)
}

// Source finds one by name.
func (s *Store) Source(ctx context.Context, name string) (Source, error) {
	return one(ctx, s.read, scanSource, sourceColumns+` WHERE name = $1`, name)
}

// LeaseSource lets holder alone read a source until a time, and returns what is on
// record of it; [ErrBusy] while somebody else does. The source is put on record, and gets
// its rank.
func (s *Store) LeaseSource(ctx context.Context, name, holder string, rank int, now, until time.Time) (x Source, err error) {
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO source (name, rank) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, rank); err != nil {
			return err
		}
		err := changeOne(ctx, tx, `UPDATE source SET holder = $1, held_until = $2, settle = settle OR rank <> $3, rank = $3, tried_at = $4
			WHERE name = $5 AND (held_until < $4 OR holder = $1)`, holder, millis(until), rank, millis(now), name)
		if errors.Is(err, ErrConflict) {
			return ErrBusy
		}
		if err != nil {
			return err
		}
		x, err = one(ctx, tx, scanSource, sourceColumns+` WHERE name = $1`, name)
		return err
	})
	return x, err
}

// hold keeps the lease, inside a transaction of who has it; [ErrBusy] when it is lost.
func hold(ctx context.Context, tx *sql.Tx, name, holder string, until time.Time) error {
	err := changeOne(ctx, tx, `UPDATE source SET held_until = $1 WHERE name = $2 AND holder = $3`, millis(until), name, holder)
	if errors.Is(err, ErrConflict) {
		return ErrBusy
	}
	return err
}

// SourceEnd is how a reading of a source ended.
type SourceEnd struct {
	Problem  string // why it failed; nothing else is changed then but the time
	Began    time.Time
	Now      time.Time
	Skipped  []string
	Skips    int
	Held     *SourceChange // it was held back; then nothing was done
	HeldHash string
	Full     bool // it was read from the beginning
	Settings string
	Mark     string
	Change   SourceChange // what was done
}

// EndSource puts on record how a reading ended, and gives up the lease.
func (s *Store) EndSource(ctx context.Context, name, holder string, e SourceEnd) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := hold(ctx, tx, name, holder, time.UnixMilli(0)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE source SET holder = '', problem = $1,
			asked_at = CASE WHEN asked_at <= $2 THEN NULL ELSE asked_at END WHERE name = $3`, e.Problem, millis(e.Began), name); err != nil || e.Problem != "" {
			return err
		}
		if err := changeOne(ctx, tx, `UPDATE source SET skipped = $1, skips = $2 WHERE name = $3`, toJSON(e.Skipped), e.Skips, name); err != nil {
			return err
		}
		if e.Held != nil {
			was, err := one(ctx, tx, scanString, `SELECT held_hash FROM source WHERE name = $1`, name)
			if err != nil {
				return err
			}
			if err := changeOne(ctx, tx, `UPDATE source SET held = $1, held_hash = $2, confirmed = '' WHERE name = $3`, toJSON(e.Held), e.HeldHash, name); err != nil || was == e.HeldHash {
				return err
			}
			return record(ctx, tx, audit.Event{Action: audit.SourceHeld, Object: name, Detail: audit.Detail{"changes": counts(*e.Held), "id": e.HeldHash}})
		}
		return endSynced(ctx, tx, name, e)
	})
}

// endSynced is for a reading that was done.
func endSynced(ctx context.Context, tx *sql.Tx, name string, e SourceEnd) error {
	if err := changeOne(ctx, tx, `UPDATE source SET held = '', held_hash = '', confirmed = '', settle = FALSE, settings = $1, mark = $2, synced_at = $3,
		hosts = (SELECT COUNT(*) FROM source_entry e WHERE e.source = $4 AND e.kind = 'host'),
		people = (SELECT COUNT(*) FROM source_entry e WHERE e.source = $4 AND e.kind = 'person'),
		groups = (SELECT COUNT(*) FROM source_entry e WHERE e.source = $4 AND e.kind = 'group') WHERE name = $4`,
		e.Settings, e.Mark, millis(e.Now), name); err != nil {
		return err
	}
	if e.Full {
		if err := changeOne(ctx, tx, `UPDATE source SET full_at = $1 WHERE name = $2`, millis(e.Now), name); err != nil {
			return err
		}
	}
	if e.Change.Nothing() {
		return nil
	}
	return record(ctx, tx, audit.Event{Action: audit.SourceSynced, Object: name, Detail: audit.Detail{"changes": counts(e.Change), "skipped": e.Skips}})
}

// Nothing tells whether nothing changes.
func (c SourceChange) Nothing() bool {
	for _, k := range c {
		if k.Added+k.Changed+k.Removed > 0 {
			return false
		}
	}
	return true
}

// counts is the change without names.
func counts(c SourceChange) SourceChange {
	all := make(SourceChange, len(c))
	for kind, k := range c {
		all[kind] = &KindChange{Before: k.Before, Added: k.Added, Changed: k.Changed, Removed: k.Removed, Emptied: k.Emptied}
	}
	return all
}

// ConfirmSource lets changes be done that are held back, if their hash still is this one,
// and asks for the source to be read. [ErrNotFound] when there is no such source,
// [ErrConflict] when no such changes are held back.
func (s *Store) ConfirmSource(ctx context.Context, name, hash string, now time.Time) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		x, err := one(ctx, tx, scanSource, sourceColumns+` WHERE name = $1`+s.lock(), name)
		if err != nil {
			return err
		}
		if x.Held == nil || x.HeldHash != hash {
			return ErrConflict
		}
		if err := changeOne(ctx, tx, `UPDATE source SET confirmed = $1, asked_at = $2 WHERE name = $3`, hash, millis(now), name); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.SourceConfirmed, Object: name, Detail: audit.Detail{"changes": counts(*x.Held), "id": hash}})
	})
}

// AskForSource asks for a source to be read soon; [ErrNotFound] when it was never read.
func (s *Store) AskForSource(ctx context.Context, name string, now time.Time) error {
	return missing(s.updateOne(ctx, `UPDATE source SET asked_at = $1 WHERE name = $2`, millis(now), name))
}

// ForgetSource forgets a source that has no entries any more, and that nobody came from
// who is still named by another; [ErrConflict] when it is otherwise.
func (s *Store) ForgetSource(ctx context.Context, name string) error {
	return s.updateOne(ctx, `DELETE FROM source WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM source_entry e WHERE e.source = source.name)
		AND NOT EXISTS (SELECT 1 FROM party y WHERE y.source <> '' AND y.source = source.name)`, name)
}
