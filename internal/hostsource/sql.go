package hostsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"vidimus/internal/config"
	"vidimus/internal/store"
)

type sqlReader struct {
	c    *config.SQL
	open func() (*sql.DB, error)
}

func openSQL(c *config.SQL) (Reader, error) {
	password := ""
	if c.PasswordFile != "" {
		var err error
		if password, err = secret(c.PasswordFile); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("sql.url is no URL")
	}
	if u.Scheme == "mysql" {
		m, err := mysqlConfig(u, c.CA, password)
		if err != nil {
			return nil, err
		}
		return &sqlReader{c, func() (*sql.DB, error) {
			conn, err := mysql.NewConnector(m)
			if err != nil {
				return nil, err
			}
			return sql.OpenDB(conn), nil
		}}, nil
	}
	p, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", store.Redacted(c.URL), store.CheckURL(c.URL))
	}
	if password != "" {
		p.Password = password
	}
	if p.ConnectTimeout == 0 {
		p.ConnectTimeout = dialTimeout
	}
	p.RuntimeParams["application_name"] = "vidimusd"
	// One query is asked once; and a pooler may stand between.
	p.DefaultQueryExecMode = pgx.QueryExecModeExec
	return &sqlReader{c, func() (*sql.DB, error) { return stdlib.OpenDB(*p), nil }}, nil
}

// mysqlConfig reads mysql://USER@HOST[:PORT]/DATABASE. It is TLS unless the host is this
// machine, or tls=false says otherwise; with tls=true it is TLS there too.
func mysqlConfig(u *url.URL, ca, password string) (*mysql.Config, error) {
	m := mysql.NewConfig()
	m.User, m.Passwd, m.DBName = u.User.Username(), password, strings.Trim(u.Path, "/")
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	m.Net, m.Addr = "tcp", net.JoinHostPort(u.Hostname(), port)
	if socket := u.Query().Get("socket"); socket != "" {
		m.Net, m.Addr = "unix", socket
	}
	m.Timeout, m.ReadTimeout, m.WriteTimeout = dialTimeout, requestTimeout, requestTimeout
	m.Logger = log.New(io.Discard, "", 0) // what goes wrong is in the errors too
	ip := net.ParseIP(u.Hostname())
	here := m.Net == "unix" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch want := u.Query().Get("tls"); {
	case want == "false" || want == "" && here && ca == "":
		return m, nil
	case want != "" && want != "true":
		return nil, fmt.Errorf("tls=%s in sql.url: there are true and false", want)
	}
	t, err := clientTLS(ca)
	if err != nil {
		return nil, err
	}
	t.ServerName = u.Hostname()
	m.TLS = t
	return m, nil
}

// Deltas implements [Reader].
func (*sqlReader) Deltas() bool { return false }

// Read implements [Reader]. All queries see the same moment, and may change nothing.
func (r *sqlReader) Read(ctx context.Context, _ string, to Sink) (Reading, error) {
	db, err := r.open()
	if err != nil {
		return Reading{}, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return Reading{}, fmt.Errorf("%s: %w", store.Redacted(r.c.URL), err)
	}
	defer tx.Rollback()
	for _, q := range [][2]string{{"people", r.c.People}, {"groups", r.c.Groups}, {"hosts", r.c.Hosts}} {
		if q[1] == "" {
			continue
		}
		if err := readQuery(ctx, tx, q[0], q[1], to); err != nil {
			return Reading{}, fmt.Errorf("the query for %s: %w", q[0], err)
		}
	}
	return Reading{}, nil
}

func readQuery(ctx context.Context, tx *sql.Tx, kind, query string, to Sink) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	head, err := rows.Columns()
	if err != nil {
		return err
	}
	t, err := newTable(kind, head, nil)
	if err != nil {
		return err
	}
	values, cells, into := make([]any, len(head)), make([]string, len(head)), make([]any, len(head))
	for i := range values {
		into[i] = &values[i]
	}
	for n := 1; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			cells[i] = cell(v)
		}
		if why := t.row(cells); why != nil {
			if err := to.Skip(fmt.Sprintf("row %d of the %s", n, kind), why); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return t.give(to)
}

// cell is the value of a column as text; of an array of PostgreSQL its elements with
// commas between them.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []byte:
		return array(string(v))
	case string:
		return array(v)
	case time.Time:
		return v.Format(time.RFC3339)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// array takes the braces off "{ada,bob}".
func array(s string) string {
	if inner, ok := strings.CutPrefix(s, "{"); ok && strings.HasSuffix(inner, "}") {
		return strings.ReplaceAll(strings.TrimSuffix(inner, "}"), `"`, "")
	}
	return s
}
