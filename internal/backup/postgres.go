package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// dump copies a PostgreSQL database by its own pg_dump. What is not durable there, the
// nonces, is left out, so that none of them comes back.
func dump(ctx context.Context, database, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := postgres(ctx, database, f, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--no-unlogged-table-data"); err != nil {
		return err
	}
	return f.Sync()
}

// undump fills an empty PostgreSQL database, all or nothing.
func undump(ctx context.Context, database, from string, made, now time.Time) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := postgres(ctx, database, nil, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", f.Name()); err != nil {
		return fmt.Errorf("%w; the database must be empty", err)
	}
	return restored(ctx, database, made, now)
}

// postgres runs one of PostgreSQL's programs; the password goes by its environment.
func postgres(ctx context.Context, database string, out *os.File, program string, args ...string) error {
	u, err := url.Parse(database)
	if err != nil {
		return errors.New("the database's URL can't be read; run: vidimusd check")
	}
	if u.Query().Has("sslpassword") {
		return fmt.Errorf("the database's URL has an sslpassword, which others would see in the arguments of %s; use a key file without one", program)
	}
	env := os.Environ()
	if password, ok := u.User.Password(); ok {
		env = append(env, "PGPASSWORD="+password)
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	for name := range q {
		switch {
		case name == "password":
			env = append(env, "PGPASSWORD="+q.Get(name))
			q.Del(name)
		case strings.HasPrefix(name, "pool_"): // ours, which libpq doesn't know
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	cmd := exec.CommandContext(ctx, program, append([]string{"--dbname=" + u.String()}, args...)...)
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = env, &said
	if out != nil {
		cmd.Stdout = out
	}
	err = cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("there is no %s here; install postgresql-client, or back the database up by PostgreSQL's own means", program)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(said.String()))
	}
	return nil
}
