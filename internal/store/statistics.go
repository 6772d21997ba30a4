package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vidimus/internal/acme"
)

// Statistics are the numbers of the operators' dashboard, as of some minutes ago.
type Statistics struct {
	At   time.Time     `json:"-"`
	Took time.Duration `json:"-"` // to count

	Days    []DayStatistics  `json:"days"`    // the last ones without a gap, today at the end; UTC
	Weeks   []WeekStatistics `json:"weeks"`   // the next ones, from At on
	Clients map[int64]string `json:"clients"` // User-Agents of those in Days

	Hosts        int64 `json:"hosts"`
	HostsWithout int64 `json:"hosts_without"` // that never had a certificate
	HostsEnded   int64 `json:"hosts_ended"`   // whose newest has ended

	ACMEIDs        int64 `json:"acme_ids"`         // that are valid
	ACMEIDsWaiting int64 `json:"acme_ids_waiting"` // of these, those whose credentials nobody has used
	Suspensions    int64 `json:"suspensions"`

	Valid   int64 `json:"valid"`   // certificates, revoked ones too
	Revoked int64 `json:"revoked"` // ever
}

// DayStatistics are what was done on one day.
type DayStatistics struct {
	Day      string           `json:"day"` // 2006-01-02, UTC
	Issued   int64            `json:"issued"`
	Revoked  int64            `json:"revoked,omitempty"`
	Clients  map[int64]int64  `json:"clients,omitempty"`  // certificates by client; 0: unknown, or without ACME
	Failures map[string]int64 `json:"failures,omitempty"` // orders by the type of the problem (RFC 8555 §6.7)
}

// WeekStatistics are the certificates that end in one week.
type WeekStatistics struct {
	Begin  time.Time `json:"begin"`
	Ending int64     `json:"ending"`
	Hosts  int64     `json:"hosts"` // whose newest certificate does: it has not been renewed
}

const (
	statisticsDays  = 90
	statisticsWeeks = 13
	// statisticsEvery is how old the numbers become, and statisticsRest how many times
	// longer than to count them, when things are done meanwhile.
	statisticsEvery = 3 * time.Minute
	statisticsRest  = 60

	dayLong  = 24 * time.Hour
	weekLong = 7 * dayLong
)

// Statistics reads what was counted last; [ErrNotFound] when nothing was yet.
func (s *Store) Statistics(ctx context.Context) (Statistics, error) {
	return one(ctx, s.read, func(row scanner) (st Statistics, err error) {
		var took int64
		err = row.Scan(timeColumn{&st.At}, &took, jsonColumn{&st})
		st.Took = time.Duration(took) * time.Millisecond
		return st, err
	}, `SELECT at, took, content FROM statistics WHERE id = 1`)
}

// StatisticsDue tells whether to count anew.
func (s *Store) StatisticsDue(ctx context.Context, now time.Time) (bool, error) {
	type state struct {
		at             time.Time
		took, position int64
	}
	last, err := one(ctx, s.read, func(row scanner) (x state, err error) { return x, row.Scan(timeColumn{&x.at}, &x.took, &x.position) },
		`SELECT at, took, position FROM statistics WHERE id = 1`)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	rest := max(statisticsEvery, statisticsRest*time.Duration(last.took)*time.Millisecond)
	switch age := now.Sub(last.at); {
	case age < 0 || last.at.Format(time.DateOnly) != now.UTC().Format(time.DateOnly):
		return true, nil
	case age < rest:
		return false, nil
	}
	head, err := s.AuditHead(ctx)
	return head.Position != last.position, err
}

// CountStatistics counts anew. Of days that are over it keeps what was counted; hosts,
// certificates that are to end and ACME-IDs are read through, by indexes where there are.
func (s *Store) CountStatistics(ctx context.Context, now time.Time) error {
	begin := time.Now()
	head, err := s.AuditHead(ctx)
	if err != nil {
		return err
	}
	last, err := s.Statistics(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	st := Statistics{Clients: map[int64]string{}}
	for _, count := range []func(context.Context, *Statistics, time.Time) error{s.countWeeks, s.countHosts, s.countACMEIDs, s.countCertificates} {
		if err := count(ctx, &st, now); err != nil {
			return fmt.Errorf("counting for the dashboard: %w", err)
		}
	}
	if err := s.countDays(ctx, &st, last, now); err != nil {
		return fmt.Errorf("counting what was done each day: %w", err)
	}
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO statistics (id, at, took, position, content) VALUES (1, $1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET at = excluded.at, took = excluded.took, position = excluded.position, content = excluded.content`,
			millis(now), time.Since(begin).Milliseconds(), head.Position, toJSON(st))
		return err
	})
}

// countWeeks counts what ends, by the index that CRLs need.
func (s *Store) countWeeks(ctx context.Context, st *Statistics, now time.Time) error {
	counts, err := s.bucketed(ctx, `SELECT (c.not_after - $1) / $2, COUNT(*) FROM crl_shard s JOIN certificate c ON c.shard_id = s.id
		WHERE c.not_after > $1 AND c.not_after < $3 GROUP BY 1`, millis(now), weekLong.Milliseconds(), millis(now.Add(statisticsWeeks*weekLong)))
	for w := range int64(statisticsWeeks) {
		st.Weeks = append(st.Weeks, WeekStatistics{Begin: now.Add(time.Duration(w) * weekLong).UTC().Truncate(time.Second), Ending: counts[w]})
	}
	return err
}

// countHosts finds the newest certificate of each host: serial numbers are in the order
// of time.
func (s *Store) countHosts(ctx context.Context, st *Statistics, now time.Time) error {
	counts, err := s.bucketed(ctx, `SELECT CASE WHEN c.serial IS NULL THEN -2 WHEN c.not_after <= $1 THEN -1 ELSE (c.not_after - $1) / $2 END, COUNT(*)
		FROM host h LEFT JOIN certificate c ON c.serial = (SELECT MAX(n.serial) FROM certificate_name n WHERE n.value = h.fqdn) GROUP BY 1`,
		millis(now), weekLong.Milliseconds())
	for bucket, n := range counts {
		st.Hosts += n
		if bucket >= 0 && bucket < statisticsWeeks {
			st.Weeks[bucket].Hosts = n
		}
	}
	st.HostsWithout, st.HostsEnded = counts[-2], counts[-1]
	return err
}

func (s *Store) countACMEIDs(ctx context.Context, st *Statistics, _ time.Time) error {
	counts, err := s.bucketed(ctx, `SELECT CASE WHEN hmac_key IS NULL THEN 0 ELSE 1 END, COUNT(*) FROM acme_id WHERE invalid_at IS NULL GROUP BY 1`)
	st.ACMEIDs, st.ACMEIDsWaiting = counts[0]+counts[1], counts[1]
	if err == nil {
		st.Suspensions, err = one(ctx, s.read, scanInt, `SELECT COUNT(*) FROM suspension`)
	}
	return err
}

func (s *Store) countCertificates(ctx context.Context, st *Statistics, now time.Time) error {
	c, err := s.CountCertificates(ctx, now)
	st.Valid, st.Revoked = c.Valid, c.Revoked
	return err
}

// countDays counts what was done since the day before last.At, and keeps what was counted
// of the days before that.
func (s *Store) countDays(ctx context.Context, st *Statistics, last Statistics, now time.Time) error {
	today := now.UTC().Truncate(dayLong)
	kept := make(map[string]DayStatistics)
	sure := last.At.UTC().Truncate(dayLong).Add(-dayLong)
	for _, d := range last.Days {
		if at, err := time.Parse(time.DateOnly, d.Day); err == nil && at.Before(sure) {
			kept[d.Day] = d
		}
	}
	from := &firsts{store: s, at: map[string]int64{}}
	for n := range statisticsDays {
		day := today.Add(-dayLong * time.Duration(statisticsDays-1-n))
		d, have := kept[day.Format(time.DateOnly)]
		if !have {
			var err error
			if d, err = s.countDay(ctx, from, day); err != nil {
				return err
			}
		}
		for id := range d.Clients {
			st.Clients[id] = ""
		}
		st.Days = append(st.Days, d)
	}
	for id := range st.Clients {
		if id == 0 {
			delete(st.Clients, id)
			continue
		}
		name, err := one(ctx, s.read, scanString, `SELECT user_agent FROM client WHERE id = $1`, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		st.Clients[id] = name
	}
	return nil
}

func (s *Store) countDay(ctx context.Context, from *firsts, day time.Time) (d DayStatistics, err error) {
	d = DayStatistics{Day: day.Format(time.DateOnly), Failures: map[string]int64{}}
	if d.Clients, err = s.bucketed(ctx, `SELECT COALESCE(client_id, 0), COUNT(*) FROM certificate WHERE serial >= $1 AND serial < $2 GROUP BY 1`,
		serialsFrom(day), serialsFrom(day.Add(dayLong))); err != nil {
		return d, err
	}
	for _, n := range d.Clients {
		d.Issued += n
	}
	low, high, err := from.bounds(ctx, "revocation", "revoked_at", day)
	if err != nil {
		return d, err
	}
	if d.Revoked, err = one(ctx, s.read, scanInt, `SELECT COUNT(*) FROM revocation WHERE id >= $1 AND id < $2`, low, high); err != nil {
		return d, err
	}
	if low, high, err = from.bounds(ctx, "acme_order", "created_at", day); err != nil {
		return d, err
	}
	causes, err := collect(ctx, s.read, func(row scanner) (p acme.Problem, err error) { return p, row.Scan(jsonColumn{&p}) },
		`SELECT error FROM acme_order WHERE id >= $1 AND id < $2 AND status = 'invalid' AND error IS NOT NULL`, low, high)
	for _, p := range causes {
		d.Failures[string(p.Type)]++
	}
	return d, err
}

// bucketed reads counts by a number.
func (s *Store) bucketed(ctx context.Context, query string, args ...any) (map[int64]int64, error) {
	counts := map[int64]int64{}
	_, err := collect(ctx, s.read, func(row scanner) (_ struct{}, err error) {
		var key, n int64
		err = row.Scan(&key, &n)
		counts[key] = n
		return struct{}{}, err
	}, query, args...)
	return counts, err
}

// serialsFrom is the first serial number of those made from a time on (RFC 5280 §4.1.2.2
// leaves them to the CA, see package issuer): all begin with a byte and six of the time.
func serialsFrom(t time.Time) string { return fmt.Sprintf("56%012x", t.UnixMilli()) }

// firsts finds the first row from a time on, of tables whose numbers grow with the time
// and have no index of it.
type firsts struct {
	store *Store
	at    map[string]int64 // by table, where the day before ended
}

// bounds are the numbers of the rows of a day: from low to below high.
func (f *firsts) bounds(ctx context.Context, table, column string, day time.Time) (low, high int64, err error) {
	low, known := f.at[table]
	if !known {
		if low, err = f.first(ctx, table, column, 0, day); err != nil {
			return 0, 0, err
		}
	}
	high, err = f.first(ctx, table, column, low, day.Add(dayLong))
	f.at[table] = high
	return low, high, err
}

func (f *firsts) first(ctx context.Context, table, column string, from int64, t time.Time) (int64, error) {
	s := f.store
	end, err := one(ctx, s.read, scanInt, `SELECT COALESCE(MAX(id), 0) + 1 FROM `+table)
	if err != nil {
		return 0, err
	}
	type at struct{ id, at int64 }
	for low := from; low < end; {
		middle := low + (end-low)/2
		// Some numbers are of rows that are removed.
		row, err := one(ctx, s.read, func(row scanner) (x at, err error) { return x, row.Scan(&x.id, &x.at) },
			`SELECT id, `+column+` FROM `+table+` WHERE id >= $1 ORDER BY id LIMIT 1`, middle)
		switch {
		case errors.Is(err, ErrNotFound):
			end = middle
		case err != nil:
			return 0, err
		case row.at >= t.UnixMilli():
			end = middle
		default:
			low = row.id + 1
		}
		if low >= end {
			return low, nil
		}
	}
	return end, nil
}
