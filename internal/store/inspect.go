package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// Inspection is what is to be known of a database before a server opens it.
type Inspection struct {
	Program string        // and its version
	Tables  int64         // their version; 0 when there are none yet
	Newest  int64         // that this program knows
	Ahead   time.Duration // of PostgreSQL's clock before ours; negative when it is behind
	// Orphaned are the issuances that were cut short, by their issuers; Living are the
	// issuers of certificates that have not ended. Both are nil when the tables are not
	// those that this program knows.
	Orphaned map[string]int
	Living   []string
}

// minPostgres is the oldest PostgreSQL that will do, as server_version_num has it.
const minPostgres = 150000

// Inspect looks at a database and changes nothing. The error says in what way a server
// could not use it.
func Inspect(ctx context.Context, database string) (i Inspection, err error) {
	if i.Newest, err = newest(); err != nil {
		return i, err
	}
	s := new(Store)
	defer s.Close()
	if IsURL(database) {
		err = s.inspectPostgres(ctx, database, &i)
	} else {
		err = s.inspectSQLite(ctx, database, &i)
	}
	if err == nil && i.Tables == i.Newest {
		err = s.inspectIssuers(ctx, &i)
	}
	if err != nil {
		return i, fmt.Errorf("the database %s: %w", Redacted(database), err)
	}
	return i, nil
}

func (s *Store) inspectSQLite(ctx context.Context, path string, i *Inspection) (err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		i.Program = "SQLite"
		return unix.Access(filepath.Dir(path), unix.W_OK|unix.X_OK)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)"}}
	if s.read, err = openPool((&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String(), "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if i.Program, err = one(ctx, s.read, scanString, `SELECT 'SQLite ' || sqlite_version()`); err != nil {
		return err
	}
	if i.Tables, err = s.version(ctx); err != nil {
		return err
	}
	if i.Tables > i.Newest {
		return tablesAreNewer(i.Tables, i.Newest)
	}
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("it can't be written to: %w", err)
	}
	return tx.Rollback()
}

func (s *Store) inspectPostgres(ctx context.Context, database string, i *Inspection) error {
	c, err := parseURL(database)
	if err != nil {
		return err
	}
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	setDefault(c.ConnConfig.RuntimeParams, "statement_timeout", "10s")
	s.read = stdlib.OpenDB(*c.ConnConfig)
	s.postgres = &postgres{s.read}
	var number int64
	var commits string
	if err := s.read.QueryRowContext(ctx, `SELECT 'PostgreSQL ' || current_setting('server_version'), CAST(current_setting('server_version_num') AS BIGINT), current_setting('synchronous_commit')`).
		Scan(&i.Program, &number, &commits); err != nil {
		return err
	}
	switch {
	case number < minPostgres:
		return fmt.Errorf("%s is too old; version 15 or a later one is needed", i.Program)
	case commits == "off":
		return errNotDurable
	}
	before := time.Now()
	its, err := one(ctx, s.read, scanInt, `SELECT `+s.clock())
	if err != nil {
		return err
	}
	i.Ahead = time.UnixMilli(its).Sub(before.Add(time.Since(before) / 2))
	if i.Tables, err = s.version(ctx); err != nil {
		return err
	}
	if i.Tables > i.Newest {
		return tablesAreNewer(i.Tables, i.Newest)
	}
	if err := s.mayWrite(ctx, i.Tables > 0); err != nil {
		return err
	}
	if i.Tables < i.Newest {
		return s.mayMigrate(ctx)
	}
	return nil
}

// mayWrite tries to change no row.
func (s *Store) mayWrite(ctx context.Context, tables bool) error {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	query := `CREATE TEMPORARY TABLE nothing (id BIGINT)`
	if tables {
		query = `UPDATE audit_head SET position = position WHERE FALSE`
	}
	switch _, err := tx.ExecContext(ctx, query); {
	case code(err, "42501"):
		return fmt.Errorf("its role may not change its tables; have the role own them: %w", err)
	case code(err, "25006"):
		return fmt.Errorf("it is only for reading, as a standby is; name the primary: %w", err)
	case err != nil && !code(err, "42P01"): // there is no such table before version 6
		return err
	}
	return nil
}

// mayMigrate looks whether tables may be made, and those that are there changed.
func (s *Store) mayMigrate(ctx context.Context) error {
	may, err := one(ctx, s.read, scanBool, `SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE)
		AND NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'account' AND NOT pg_has_role(tableowner, 'USAGE'))`)
	if err == nil && !may {
		err = errMayNotCreate
	}
	return err
}

// inspectIssuers looks whom the records are of.
func (s *Store) inspectIssuers(ctx context.Context, i *Inspection) error {
	all, err := s.UnfinishedCertificates(ctx)
	if err != nil {
		return err
	}
	i.Orphaned = make(map[string]int)
	for _, c := range all {
		i.Orphaned[c.Issuer]++
	}
	i.Living, err = s.LivingIssuers(ctx, time.Now())
	return err
}

// LivingIssuers lists the issuers of certificates that have not ended.
func (s *Store) LivingIssuers(ctx context.Context, now time.Time) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT DISTINCT s.issuer FROM crl_shard s
		WHERE EXISTS (SELECT 1 FROM certificate c WHERE c.shard_id = s.id AND c.not_after > $1) ORDER BY s.issuer`, millis(now))
}
