package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// DefaultConnections is how many connections to PostgreSQL there are at most, unless
// the URL says otherwise by pool_max_conns.
const DefaultConnections = 16

// IsURL tells whether a database is named by a URL, which is PostgreSQL's, rather than
// by the path of a SQLite file.
func IsURL(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Redacted is the name of a database for people to read: without a password.
func Redacted(database string) string {
	if !IsURL(database) {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return "postgres://…"
	}
	// Its parameters may hold passwords too.
	return (&url.URL{Scheme: u.Scheme, User: url.User(u.User.Username()), Host: u.Host, Path: u.Path}).Redacted()
}

// HasPassword tells whether a URL has a password in it, of a user or of a key file.
func HasPassword(database string) bool {
	u, err := url.Parse(database)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password") || u.Query().Has("sslpassword")
}

// CheckURL tells what is wrong with the URL of a PostgreSQL database, without its
// password. It opens the files that the URL names.
func CheckURL(database string) error {
	_, err := parseURL(database)
	return err
}

func parseURL(database string) (*pgxpool.Config, error) {
	if _, err := url.Parse(database); err != nil { // what it says may have a part of the password
		return nil, errors.New("it is no URL; write postgres://USER@HOST/DATABASE, and the password, if it must be there, percent-encoded")
	}
	c, err := pgxpool.ParseConfig(database)
	var pe *pgconn.ParseConfigError
	switch {
	case errors.As(err, &pe):
		pe.ConnString = ""
		return nil, errors.New(strings.TrimPrefix(pe.Error(), "cannot parse ``: "))
	case err != nil:
		return nil, err
	}
	u, err := url.Parse(database)
	if err == nil && !u.Query().Has("pool_max_conns") {
		c.MaxConns = DefaultConnections
	}
	return c, nil
}

// postgres makes changes in transactions that run side by side.
type postgres struct {
	db *sql.DB
}

func (s *Store) openPostgres(ctx context.Context, database string) error {
	c, err := parseURL(database)
	if err != nil {
		return err
	}
	conn := c.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 5 * time.Second
	}
	conn.DialFunc = dialer.DialContext
	if _, has := conn.RuntimeParams["statement_timeout"]; !has {
		conn.DialFunc = dialBounded
	}
	setDefault(conn.RuntimeParams, "application_name", "vidimusd")
	// What hangs does not hold others up for ever, nor its locks when it is we who hang.
	setDefault(conn.RuntimeParams, "statement_timeout", "30s")
	setDefault(conn.RuntimeParams, "idle_in_transaction_session_timeout", "30s")
	// That a connection is dead is seen when it is used; see [persist].
	neverPing := func(context.Context, stdlib.ShouldPingParams) bool { return false }
	db := sql.OpenDB(pipelined{stdlib.GetConnector(*conn, stdlib.OptionShouldPing(neverPing))})
	db.SetMaxOpenConns(int(c.MaxConns))
	db.SetMaxIdleConns(int(c.MaxConns))
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.read, s.postgres = db, &postgres{db}
	if err := s.openQueue(ctx, c); err != nil {
		return err
	}
	return mayNotCreate(s.migratePostgres(ctx, c))
}

func setDefault(params map[string]string, key, value string) {
	if _, has := params[key]; !has {
		params[key] = value
	}
}

// dialer finds out within half a minute that the other side is gone without a word.
var dialer = &net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	Control: func(network, _ string, c syscall.RawConn) (err error) {
		if network == "unix" {
			return nil
		}
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 25_000)
		})
		return errors.Join(cerr, err)
	},
}

// do runs fn in a transaction of its own, and again, from the start, when it had to give
// way to another or the connection was lost before the commit.
func (p *postgres) do(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	return persist(ctx, p.db, func(ctx context.Context) error { return p.once(ctx, fn) }, undone)
}

// alone is do for a statement that is a transaction by itself.
func (p *postgres) alone(ctx context.Context, fn func(ctx context.Context) error) error {
	return persist(ctx, p.db, func(ctx context.Context) error {
		err := fn(ctx)
		var connecting *pgconn.ConnectError
		if lost(err) && !errors.As(err, &connecting) && !pgconn.SafeToRetry(err) {
			return &unknownOutcome{err}
		}
		return taken(err)
	}, undone)
}

// undone tells of an error of a transaction that it is as if it had never been, and
// that another try may go well.
func undone(err error) bool {
	var unknown *unknownOutcome
	return !errors.As(err, &unknown) && (gaveWay(err) || lost(err))
}

func (p *postgres) once(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(ctx, tx); err != nil {
		return taken(err)
	}
	err = tx.Commit()
	if lost(err) && !pgconn.SafeToRetry(err) {
		return &unknownOutcome{err}
	}
	return taken(err)
}

// unknownOutcome says that the connection was lost while a change was committed: it is
// made, or it is not. As each change is a compare-and-set it may be asked for again; it
// then fails with [ErrConflict] if it was made.
type unknownOutcome struct{ err error }

func (u *unknownOutcome) Error() string {
	return "the database's answer to a commit was lost, so the change may or may not have been made: " + u.err.Error()
}

func (u *unknownOutcome) Unwrap() error { return u.err }

// persist runs try up to four times within about a second, while again wants it.
func persist(ctx context.Context, db *sql.DB, try func(context.Context) error, again func(error) bool) error {
	for wait := 20 * time.Millisecond; ; wait *= 5 {
		err := try(ctx)
		if err == nil {
			return nil
		}
		gone := lost(err)
		if gone {
			dropIdle(db)
		}
		if wait > time.Second || !again(err) {
			if gone || noRoom(err) || short(err) {
				return fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// dropIdle closes the connections that nobody uses now: what broke one, such as a restart
// of the database, has most likely broken all.
func dropIdle(db *sql.DB) {
	db.SetMaxIdleConns(-1)
	db.SetMaxIdleConns(db.Stats().MaxOpenConnections)
}

// Codes of PostgreSQL's errors, and classes of them (its documentation, appendix A).

// gaveWay tells whether a transaction was given up for another's sake.
func gaveWay(err error) bool { return code(err, "40001", "40P01") }

// lost tells whether the database is, or went, out of reach.
func lost(err error) bool {
	if err == nil {
		return false
	}
	if code(err, "08", "57P", "25006", "53300") { // 25006: what is a standby now
		return true
	}
	var ce *pgconn.ConnectError
	var ne net.Error
	return errors.As(err, &ce) || pgconn.SafeToRetry(err) || errors.As(err, &ne) && !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE)
}

// noRoom tells whether the database is short of disk, memory or time.
func noRoom(err error) bool { return code(err, "53", "58", "57014") }

// noText tells whether what was looked for is no text to PostgreSQL, as no row's is: it has
// a zero byte, or is no UTF-8.
func noText(err error) bool { return code(err, "22021") }

// taken makes [ErrConflict] of what two transactions made at once, and one may have.
func taken(err error) error {
	if code(err, "23505") {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

func code(err error, classes ...string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && slices.ContainsFunc(classes, func(c string) bool { return strings.HasPrefix(pe.Code, c) })
}
