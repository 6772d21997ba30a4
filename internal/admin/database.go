package admin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"vidimus/internal/store"
)

// databaseVariable names the environment variable with the URL of a database, for who gives
// neither option.
const databaseVariable = "VIDIMUS_DATABASE"

// maxURLFile bounds what is read of a file with a URL, in bytes.
const maxURLFile = 16 << 10

// databaseFlags are the ways to name a PostgreSQL database on a command line, where a
// password would be seen by all who may list processes.
type databaseFlags struct{ url, file string }

// add adds the options; empty is what there is without.
func (d *databaseFlags) add(f *pflag.FlagSet, what, empty string) {
	f.StringVar(&d.url, "database", "", "the postgres:// `URL` of "+what+", without a password (default: that in "+databaseVariable+"; without it, "+empty+")")
	f.StringVar(&d.file, "database-file", "", "a `FILE` with that URL, which may have a password in it")
}

// read finds the URL; "" when none is given.
func (d *databaseFlags) read() (string, error) {
	switch {
	case d.url != "" && d.file != "":
		return "", usageError{errors.New("give --database or --database-file, not both")}
	case store.HasPassword(d.url):
		return "", usageError{errors.New("a password in an argument is seen by others; put the URL into a file for --database-file or into " + databaseVariable +
			", or the password into a file that PGPASSFILE names")}
	case d.file != "":
		return readURL(d.file)
	case d.url != "":
		return d.url, nil
	}
	return os.Getenv(databaseVariable), nil
}

func readURL(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxURLFile))
	if err != nil {
		return "", err
	}
	url := strings.TrimSpace(string(data))
	switch {
	case !store.IsURL(url) || strings.ContainsAny(url, " \t\r\n"):
		return "", fmt.Errorf("%s is not one postgres:// URL", path) // what it is may be a password
	case store.HasPassword(url) && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("the URL in %s has a password, and others may read the file (mode %04o); run: chmod 600 %[1]s", path, info.Mode().Perm())
	}
	return url, nil
}
