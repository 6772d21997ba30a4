package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
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

// TakeOver gives the caller the challenges of up to limit authorizations that have been
// processing for at least age, the longest first; they count as begun anew, so that nobody
// else takes them over meanwhile, and others have their turn before they have it again.
func (s *Store) TakeOver(ctx context.Context, age time.Duration, limit int) (all []Challenge, err error) {
	skip := ""
	if s.postgres != nil {
		skip = " FOR UPDATE SKIP LOCKED"
	}
	old := s.begunBefore(age)
	err = s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		authzs, err := collect(ctx, tx, scanAuthz, `UPDATE authz SET started_at = `+s.clock()+` WHERE id IN
				(SELECT id FROM authz WHERE started_at > 0 AND `+old+` ORDER BY started_at, id LIMIT $1`+skip+`) AND `+old+`
			RETURNING `+strings.TrimSuffix(authzColumns, " FROM authz"), limit)
		all = processing(authzs)
		return err
	})
	return all, err
}

// Abandoned tells whether there is anything for [Store.TakeOver].
func (s *Store) Abandoned(ctx context.Context, age time.Duration) (bool, error) {
	return one(ctx, s.read, func(row scanner) (yes bool, err error) { return yes, row.Scan(&yes) },
		`SELECT EXISTS (SELECT 1 FROM authz WHERE started_at > 0 AND `+s.begunBefore(age)+`)`)
}

func (s *Store) begunBefore(age time.Duration) string {
	return fmt.Sprintf(`started_at <= %s - %d`, s.clock(), age.Milliseconds())
}
