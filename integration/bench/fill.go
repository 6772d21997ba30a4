package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "modernc.org/sqlite"             // "sqlite"
)

// filler fills the database of a server that is stopped, with copies of what one issuance
// has left there: each row as long as a real one, in tables and indexes as the server has
// made them.
type filler struct {
	db       *sql.DB
	n        int64    // certificates
	random32 string   // SQL: 32 bytes, others in each row
	columns  string   // SQL: the columns of the table $1, in order, and ''
	indexes  string   // SQL: names and texts of the indexes that no constraint needs
	after    []string // SQL: what is done in the end
}

// What is filled in has these proportions.
const (
	perAccount = 20                   // certificates for each account
	perACMEID  = 200                  // certificates for each host with an ACME-ID
	perShard   = 10_000               // certificates for each CRL, as by default
	perRevoked = 100                  // certificates for one that is revoked
	horizon    = 400 * 24 * time.Hour // from the first to the last

	fillChunk = 50_000 // rows for each statement
)

// fillSQLite fills the file that a server had in dir.
func fillSQLite(ctx context.Context, dir string, n int64) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%s should have one database, not %d", dir, len(files))
	}
	// What is half filled is thrown away.
	db, err := sql.Open("sqlite", "file:"+files[0]+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-400000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	return (&filler{db: db, n: n, random32: `randomblob(32)`, columns: `SELECT name, '' FROM pragma_table_info($1) ORDER BY cid`,
		indexes: `SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name`}).fill(ctx)
}

// fillPostgres fills a database whose server is stopped, and leaves it stopped.
func fillPostgres(ctx context.Context, p *postgres, n int64) error {
	if err := p.launch(ctx, "fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB",
		"autovacuum=off", "maintenance_work_mem=512MB", "shared_buffers=512MB"); err != nil {
		return err
	}
	defer p.stop()
	db, err := sql.Open("pgx", p.url+"bench?sslmode=disable")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	after := []string{`VACUUM ANALYZE`, `CHECKPOINT`}
	for _, t := range []string{"account", "acme_id", "acme_order", "authz", "audit", "crl_shard"} {
		after = append(after, `SELECT setval(pg_get_serial_sequence('`+t+`', 'id'), (SELECT MAX(id) FROM `+t+`))`)
	}
	after = append(after, `SELECT pg_stat_reset()`) // see readThrough
	// No trigger looks for what a row refers to.
	if _, err := db.ExecContext(ctx, `SET session_replication_role = replica`); err != nil {
		return err
	}
	return (&filler{db: db, n: n, after: after,
		random32: `sha256(CAST(CAST(n.i AS TEXT) AS BYTEA))`,
		columns:  `SELECT column_name, '' FROM information_schema.columns WHERE table_name = $1 AND table_schema = 'public' ORDER BY ordinal_position`,
		indexes: `SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = 'public'
			AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname) ORDER BY i.indexname`}).fill(ctx)
}

// readThrough lists the tables of many rows that were read from end to end since they
// were filled, and how often.
func (p *postgres) readThrough(ctx context.Context) (list string, err error) {
	db, err := sql.Open("pgx", p.url+"bench?sslmode=disable")
	if err != nil {
		return "", err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, `SELECT COALESCE(string_agg(s.relname || ' (' || s.seq_scan || ')', ', '), 'none')
		FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid WHERE s.seq_scan > 0 AND c.reltuples >= 20000`).Scan(&list)
	return list, err
}

// copied are rows of a table of which copies are made.
type copied struct {
	table, alike string            // which: a condition
	per          int64             // certificates for each copy
	set          map[string]string // columns that differ, by SQL in n.i, the number of the copy's first certificate, and the row t
}

// fill makes the copies table by table, some at a time, and then the indexes anew that
// can be made when all is there.
func (f *filler) fill(ctx context.Context) error {
	of, err := f.newest(ctx)
	if err != nil {
		return err
	}
	var before, after []string
	if err := f.each(ctx, f.indexes, func(name, text string) {
		before, after = append(before, `DROP INDEX `+name), append(after, text)
	}); err != nil {
		return err
	}
	if err := f.exec(ctx, before); err != nil {
		return err
	}
	for _, c := range f.copies(of) {
		if err := f.copy(ctx, c); err != nil {
			return err
		}
	}
	after = append(after, `UPDATE audit_head SET position = (SELECT MAX(position) FROM audit)`,
		fmt.Sprintf(`INSERT INTO revocation (issuer, serial, shard_id, reason, revoked_at)
			SELECT issuer, serial, shard_id, 4, created_at FROM certificate WHERE order_id %% %d = 0`, perRevoked))
	return f.exec(ctx, append(after, f.after...))
}

func (f *filler) exec(ctx context.Context, statements []string) error {
	for _, s := range statements {
		if _, err := f.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// issuance is what the newest issuance has left, which went by http-01.
type issuance struct {
	serial, name                         string
	order, account, authz, shard, acmeID int64
	host                                 string
	events                               []int64 // rows of the audit log
	sealed                               int64   // the end of that
}

func (f *filler) newest(ctx context.Context) (i issuance, err error) {
	err = f.db.QueryRowContext(ctx, `SELECT c.serial, n.value, c.order_id, c.account_id, oa.authz_id, c.shard_id,
			(SELECT MAX(acme_id) FROM acme_id_name), (SELECT MAX(fqdn) FROM host), (SELECT MAX(position) FROM audit)
		FROM certificate c JOIN certificate_name n ON n.serial = c.serial JOIN order_authz oa ON oa.order_id = c.order_id
		ORDER BY c.created_at DESC LIMIT 1`).Scan(&i.serial, &i.name, &i.order, &i.account, &i.authz, &i.shard, &i.acmeID, &i.host, &i.sealed)
	if err != nil {
		return i, fmt.Errorf("finding an issuance to copy: %w", err)
	}
	rows, err := f.db.QueryContext(ctx, `SELECT id FROM audit WHERE object = $1 OR object = $2 ORDER BY id`, i.serial, i.name)
	if err != nil {
		return i, err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return i, err
		}
		i.events = append(i.events, id)
	}
	return i, rows.Err()
}

// copies says what is copied of an issuance.
func (f *filler) copies(of issuance) []copied {
	const base = 10_000_000 // all numbers have as many digits
	number := func(per int64) string { return fmt.Sprintf(`(%d + (n.i - 1) / %d)`, base, per) }
	id := number(1)
	text := func(number string) string { return `CAST(` + number + ` AS TEXT)` }
	serial := fmt.Sprintf(`('55' || CAST(1000000000000000 + n.i AS TEXT) || '%s')`, of.serial[18:])
	name := fmt.Sprintf(`('h' || %s || '.%s')`, text(id), of.name)
	host := `('host' || ` + text(number(perACMEID)) + ` || '.big.bench.test')`
	step := max(1, horizon.Milliseconds()/f.n)
	earlier := func(set map[string]string, columns ...string) map[string]string {
		for _, c := range columns {
			set[c] = fmt.Sprintf(`t.%s - (%d - n.i) * %d`, c, f.n, step)
		}
		return set
	}
	replaced := func(column string) string {
		return fmt.Sprintf(`replace(replace(t.%s, '%s', %s), '%s', %s)`, column, of.serial, serial, of.name, name)
	}
	events, rank := make([]string, len(of.events)), `CASE t.id`
	for i, e := range of.events {
		events[i] = strconv.FormatInt(e, 10)
		rank += fmt.Sprintf(` WHEN %d THEN %d`, e, i)
	}
	// The copies of a row of the log are one behind the other, as the rows are.
	place := fmt.Sprintf(`(n.i - 1) * %d + %s END`, len(events), rank)
	return []copied{
		{"host", `fqdn = '` + of.host + `'`, perACMEID, map[string]string{"fqdn": host}},
		{"acme_id", is("id", of.acmeID), perACMEID, map[string]string{"id": number(perACMEID), "fqdn": host, "kid": `'kid-' || ` + text(number(perACMEID)),
			"hmac_key": `NULL`}},
		{"acme_id_name", is("acme_id", of.acmeID), perACMEID, map[string]string{"acme_id": number(perACMEID), "fqdn": host}},
		{"account", is("id", of.account), perAccount, map[string]string{"id": number(perAccount),
			"thumbprint": `'thumbprint-of-the-account-' || ` + text(number(perAccount))}},
		{"crl_shard", is("id", of.shard), perShard, map[string]string{"id": number(perShard), "path": `t.path || '/' || ` + text(number(perShard)),
			"taken": strconv.Itoa(perShard)}},
		{"authz", is("id", of.authz), 1, earlier(map[string]string{"id": id, "account_id": number(perAccount), "value": name}, "created_at", "expires_at")},
		{"acme_order", is("id", of.order), 1, earlier(map[string]string{"id": id, "account_id": number(perAccount), "identifiers": replaced("identifiers"),
			"authzs": `'[' || ` + text(id) + ` || ']'`, "serial": serial}, "created_at", "expires_at")},
		{"order_authz", is("authz_id", of.authz) + " AND " + is("order_id", of.order), 1, map[string]string{"authz_id": id, "order_id": id}},
		{"certificate", `serial = '` + of.serial + `'`, 1, earlier(map[string]string{"serial": serial, "order_id": id, "account_id": number(perAccount),
			"spki": f.random32, "shard_id": number(perShard)}, "not_before", "not_after", "created_at", "issued_at")},
		{"certificate_name", `value = '` + of.name + `' AND serial = '` + of.serial + `'`, 1, map[string]string{"serial": serial, "value": name}},
		{"audit", `id IN (` + strings.Join(events, ", ") + `)`, 1, earlier(map[string]string{"id": fmt.Sprintf(`%d + %s`, base, place),
			"object": replaced("object"), "detail": replaced("detail"), "position": fmt.Sprintf(`%d + %s`, of.sealed+1, place),
			"hash": `'` + strings.Repeat("0a", 32) + `'`}, "at")},
	}
}

func is(column string, value int64) string { return fmt.Sprintf(`%s = %d`, column, value) }

// copy makes all copies of some rows of a table.
func (f *filler) copy(ctx context.Context, c copied) error {
	var columns, values []string
	if err := f.each(ctx, f.columns, func(name, _ string) {
		value, differs := c.set[name]
		if !differs {
			value = "t." + name
		}
		columns, values = append(columns, name), append(values, value)
	}, c.table); err != nil {
		return err
	}
	for from := int64(1); from <= f.n; from += fillChunk * c.per {
		query := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT CAST(%d AS BIGINT) UNION ALL SELECT i + %d FROM n WHERE i + %d <= %d)
			INSERT INTO %s (%s) SELECT %s FROM n CROSS JOIN (SELECT * FROM %s WHERE %s) t`,
			from, c.per, c.per, min(f.n, from+fillChunk*c.per-1), c.table, strings.Join(columns, ", "), strings.Join(values, ", "), c.table, c.alike)
		if _, err := f.db.ExecContext(ctx, query); err != nil {
			return fmt.Errorf("filling %s: %w", c.table, err)
		}
	}
	return nil
}

// each calls fn for the rows of a query, which have two texts.
func (f *filler) each(ctx context.Context, query string, fn func(a, b string), args ...any) error {
	rows, err := f.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b string
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		fn(a, b)
	}
	return rows.Err()
}
