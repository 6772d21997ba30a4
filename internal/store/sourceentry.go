package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// The kinds of entries of a source.
const (
	KindPerson = "person"
	KindGroup  = "group"
	KindHost   = "host"
)

// HostEntry is what a source says of a host.
type HostEntry struct {
	People  []string          `json:"people,omitempty"` // logins
	Groups  []string          `json:"groups,omitempty"`
	Team    bool              `json:"team,omitempty"` // nobody is named, so the CA team is responsible
	Details map[string]string `json:"details,omitempty"`
}

// PersonEntry is what a source says of a person.
type PersonEntry struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

// GroupEntry is what a source says of a group.
type GroupEntry struct {
	Title   string   `json:"title,omitempty"`
	Members []string `json:"members,omitempty"` // logins
}

// EntryHash is that of an entry's content.
type EntryHash [16]byte

// SourceEntry is what a source says of one thing.
type SourceEntry struct {
	Key     string // FQDN, login or name of a group
	Hash    EntryHash
	Content []byte // JSON; nil when it says nothing any more
}

// SourceEntries tells all that a source said when it was read last.
func (s *Store) SourceEntries(ctx context.Context, source string, see func(kind, key string, hash EntryHash)) error {
	rows, err := s.read.QueryContext(ctx, `SELECT kind, key, hash FROM source_entry WHERE source = $1`, source)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, key string
		var hash sql.RawBytes
		if err := rows.Scan(&kind, &key, &hash); err != nil {
			return err
		}
		see(kind, key, EntryHash(hash))
	}
	return rows.Err()
}

// SourceEntriesOf tells what a source said of some things when it was read last.
func (s *Store) SourceEntriesOf(ctx context.Context, source, kind string, keys []string) (map[string]SourceEntry, error) {
	all := make(map[string]SourceEntry, len(keys))
	for chunk := range slices.Chunk(keys, 128) {
		list, args := listed([]any{source, kind}, chunk)
		some, err := collect(ctx, s.read, func(row scanner) (e SourceEntry, err error) {
			var hash []byte
			var content string
			err = row.Scan(&e.Key, &hash, &content)
			copy(e.Hash[:], hash)
			e.Content = []byte(content)
			return e, err
		}, `SELECT key, hash, content FROM source_entry WHERE source = $1 AND kind = $2 AND key IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			all[e.Key] = e
		}
	}
	return all, nil
}

// CountSourceEntries counts the entries of a source, by kind.
func (s *Store) CountSourceEntries(ctx context.Context, source string) (map[string]int, error) {
	all := make(map[string]int)
	for _, kind := range []string{KindPerson, KindGroup, KindHost} {
		n, err := one(ctx, s.read, scanID, `SELECT COUNT(*) FROM source_entry WHERE source = $1 AND kind = $2`, source, kind)
		if err != nil {
			return nil, err
		}
		all[kind] = int(n)
	}
	return all, nil
}

// ContestedEntries lists, in order, up to limit things behind a key of which a source and
// another one have something to say.
func (s *Store) ContestedEntries(ctx context.Context, source, kind, after string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT e.key FROM source_entry e WHERE e.source = $1 AND e.kind = $2 AND e.key > $3
		AND EXISTS (SELECT 1 FROM source_entry o WHERE o.kind = e.kind AND o.key = e.key AND o.source <> e.source)
		ORDER BY e.key LIMIT $4`, source, kind, after, limit)
}

// SourceLease is the right of one to change what is on record of a source.
type SourceLease struct {
	Source, Holder string
	Until          time.Time // it is prolonged to
	Now            time.Time
}

// ApplySource records what a source says of things of one kind, and does what follows for
// hosts, people, groups and who is responsible, in one transaction. [ErrBusy] means that
// the lease is lost, [ErrConflict] that another change came between, and that it may go
// well when tried again.
func (s *Store) ApplySource(ctx context.Context, l SourceLease, kind string, entries []SourceEntry) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.takeTurn(ctx, tx); err != nil {
			return err
		}
		if err := hold(ctx, tx, l.Source, l.Holder, l.Until); err != nil {
			return err
		}
		var rows [][]any
		keys := make([]string, len(entries))
		for i, e := range entries {
			keys[i] = e.Key
			if e.Content != nil {
				rows = append(rows, []any{l.Source, kind, e.Key, e.Hash[:], string(e.Content)})
				continue
			}
			if _, err := tx.ExecContext(unawaited(ctx), `DELETE FROM source_entry WHERE source = $1 AND kind = $2 AND key = $3`, l.Source, kind, e.Key); err != nil {
				return err
			}
		}
		if err := putEntries(ctx, tx, rows); err != nil {
			return err
		}
		return s.settle(ctx, tx, kind, keys, l.Now)
	})
}

// SettleSource does what follows for things of one kind from what the sources say, after
// their ranks have changed.
func (s *Store) SettleSource(ctx context.Context, l SourceLease, kind string, keys []string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.takeTurn(ctx, tx); err != nil {
			return err
		}
		if err := hold(ctx, tx, l.Source, l.Holder, l.Until); err != nil {
			return err
		}
		return s.settle(ctx, tx, kind, keys, l.Now)
	})
}

// takeTurn waits until no other transaction decides on entries of sources. With PostgreSQL
// each statement is planned for its values until [Store.plan] says otherwise: a plan that was made while
// the tables were small, as at the first reading, would be kept when they are large.
func (s *Store) takeTurn(ctx context.Context, tx *sql.Tx) error {
	if err := s.plan(ctx, tx, "force_custom_plan"); err != nil {
		return err
	}
	_, err := one(ctx, tx, scanID, `SELECT id FROM source_turn WHERE id = 1`+s.lock())
	return err
}

// plan says how PostgreSQL plans the statements that follow in a transaction.
func (s *Store) plan(ctx context.Context, tx *sql.Tx, mode string) error {
	if s.postgres == nil {
		return nil
	}
	_, err := tx.ExecContext(unawaited(ctx), `SET LOCAL plan_cache_mode = `+mode)
	return err
}

func putEntries(ctx context.Context, tx *sql.Tx, rows [][]any) error {
	for chunk := range slices.Chunk(rows, maxTogether) {
		if _, err := tx.ExecContext(unawaited(ctx), `INSERT INTO source_entry (source, kind, key, hash, content) VALUES `+rowsOf(len(chunk), "", "", "", "", "")+
			` ON CONFLICT (source, kind, key) DO UPDATE SET hash = excluded.hash, content = excluded.content`, slices.Concat(chunk...)...); err != nil {
			return err
		}
	}
	return nil
}

// said is what the source that decides says of a thing.
type said struct {
	key, source, content string
}

func (x said) read(v any) error {
	if err := json.Unmarshal([]byte(x.content), v); err != nil {
		return fmt.Errorf("the entry %s of source %s on record: %w", x.key, x.source, err)
	}
	return nil
}

// decisive finds, by key, the entries of the sources of the lowest rank.
func decisive(ctx context.Context, tx *sql.Tx, kind string, keys []string) (map[string]said, error) {
	type ranked struct {
		source string
		rank   int64
	}
	sources, err := collect(ctx, tx, func(row scanner) (x ranked, err error) { return x, row.Scan(&x.source, &x.rank) }, `SELECT name, rank FROM source`)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sources, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.source, b.source)) })
	place := make(map[string]int, len(sources))
	for i, x := range sources {
		place[x.source] = i
	}
	all := make(map[string]said, len(keys))
	err = inChunks(keys, func(chunk []string) error {
		// Not by a join: it might go through all that a source says.
		list, args := listed([]any{kind}, chunk)
		some, err := collect(ctx, tx, func(row scanner) (x said, err error) { return x, row.Scan(&x.key, &x.source, &x.content) },
			`SELECT key, source, content FROM source_entry WHERE kind = $1 AND key IN (`+list+`)`, args...)
		for _, x := range some {
			if before, is := all[x.key]; !is || place[x.source] < place[before.source] {
				all[x.key] = x
			}
		}
		return err
	})
	return all, err
}

// inChunks gives fn keys in parts that one query may name.
func inChunks[T any](keys []T, fn func([]T) error) error {
	for chunk := range slices.Chunk(keys, 128) {
		if err := fn(chunk); err != nil {
			return err
		}
	}
	return nil
}
