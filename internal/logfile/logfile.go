// Package logfile opens the log of one run, letsencrypt.log in Certbot's
// --logs-dir, after moving those of earlier runs to letsencrypt.log.1, .2 and so on.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const name = "letsencrypt.log"

// Path is where the log of a run is.
func Path(dir string) string { return filepath.Join(dir, name) }

// Open starts a log that only its owner may read. At most backups earlier ones are
// kept; with 0 there are none, and the one log grows.
func Open(dir string, backups int) (*os.File, error) {
	path := Path(dir)
	if backups > 0 {
		if err := rotate(path, backups); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return f, f.Chmod(0o600)
}

// rotate gives each log the number of the one before it, up to the first number
// that is free.
func rotate(path string, backups int) error {
	numbered := func(n int) string {
		if n == 0 {
			return path
		}
		return fmt.Sprintf("%s.%d", path, n)
	}
	free := 0
	for free < backups {
		if _, err := os.Lstat(numbered(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		free++
	}
	for n := free; n > 0; n-- {
		if err := os.Rename(numbered(n-1), numbered(n)); err != nil {
			return err
		}
	}
	return nil
}
