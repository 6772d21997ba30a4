package store

import (
	"context"
	"database/sql"
	"time"
)

// Stats are counts of what this process did, and the state of its connections.
type Stats struct {
	Changes int64 // transactions that are durable, or that a commit with others made so
	Commits int64 // what that took; with PostgreSQL as many
	Pool    sql.DBStats
}

// Stats reads the counts; it asks nothing of the database.
func (s *Store) Stats() Stats {
	st := Stats{Changes: s.changes.Load(), Commits: s.writes.commits.Load(), Pool: s.read.Stats()}
	if s.postgres != nil {
		st.Commits = st.Changes
	}
	return st
}

// counted is the result of a commit, which counts when it is good.
func (w *writer) counted(err error) error {
	if err == nil {
		w.commits.Add(1)
	}
	return err
}

// CertificateCounts are how many certificates there are.
type CertificateCounts struct {
	Valid      int64 // signed or about to be, and not expired; revoked ones too
	Revoked    int64 // ever
	Unfinished int64 // on record as to be signed, and not known to be
	CRLsLate   int64 // CRLs that should have been signed a minute ago
}

// CountCertificates counts by index; it takes about a second for ten million.
func (s *Store) CountCertificates(ctx context.Context, now time.Time) (c CertificateCounts, err error) {
	for _, q := range []struct {
		to    *int64
		query string
		args  []any
	}{
		{&c.Valid, `SELECT COALESCE(SUM((SELECT COUNT(*) FROM certificate c WHERE c.shard_id = s.id AND c.not_after > $1)), 0)
			+ (SELECT COUNT(*) FROM certificate WHERE shard_id IS NULL AND not_after > $1) FROM crl_shard s`, []any{millis(now)}},
		{&c.Revoked, `SELECT COUNT(*) FROM revocation`, nil},
		{&c.Unfinished, `SELECT COUNT(*) FROM certificate WHERE der IS NULL`, nil},
		{&c.CRLsLate, `SELECT COUNT(*) FROM crl_shard WHERE due_at <= $1 AND taken_at <= $1`, []any{millis(now.Add(-time.Minute))}},
	} {
		if *q.to, err = one(ctx, s.read, scanInt, q.query, q.args...); err != nil {
			return c, err
		}
	}
	return c, nil
}
