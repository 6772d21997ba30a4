package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// clock is the database's own time in Unix milliseconds, in SQL: the clocks of the
// servers on it may differ.
func (s *Store) clock() string {
	if s.postgres != nil {
		return `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`
	}
	return `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
}

// TakeOver gives the caller up to limit challenges that have been processing for at
// least age; they count as begun anew, so that nobody else takes them over meanwhile.
func (s *Store) TakeOver(ctx context.Context, age time.Duration, limit int) (all []Challenge, err error) {
	skip := ""
	if s.postgres != nil {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	old := fmt.Sprintf(`status = 'processing' AND started_at <= %s - %d`, s.clock(), age.Milliseconds())
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ids, err := collect(ctx, tx, func(row scanner) (id int64, err error) { return id, row.Scan(&id) },
			`UPDATE challenge SET started_at = `+s.clock()+` WHERE id IN
				(SELECT id FROM challenge WHERE `+old+` ORDER BY id LIMIT $1`+skip+`) AND `+old+` RETURNING id`, limit)
		if err != nil {
			return err
		}
		all = make([]Challenge, len(ids))
		for i, id := range ids {
			if all[i], err = one(ctx, tx, scanChallenge, `SELECT `+challengeColumns+` WHERE id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}
