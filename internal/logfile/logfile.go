// Package logfile opens the log of one run, letsencrypt.log in Certbot's
// --logs-dir, after moving those of earlier runs to letsencrypt.log.1, .2 and so on.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const name = "letsencrypt.log"

// Path is where the log of a run is.
func Path(dir string) string { return filepath.Join(dir, name) }

// File is the log of one run. What is written reaches the file within a fraction of a
// second, not at each line: a run over many lineages writes many.
type File struct {
	mu    sync.Mutex
	f     *os.File
	buf   []byte      // guarded by mu
	timer *time.Timer // runs while there is something in buf; guarded by mu
}

// A log is written when it has this many bytes or is this old.
const (
	most    = 32 << 10
	longest = 100 * time.Millisecond
)

// Write implements [io.Writer].
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	switch {
	case len(l.buf) >= most:
		l.flush()
	case l.timer == nil:
		l.timer = time.AfterFunc(longest, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.flush()
		})
	}
	return len(p), nil
}

// flush writes what is there; mu is held. A log that can't be written must not keep
// a certificate from its renewal.
func (l *File) flush() {
	_, _ = l.f.Write(l.buf)
	l.buf = l.buf[:0]
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// Close writes the rest. It does nothing to a nil one.
func (l *File) Close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	return l.f.Close()
}

// Open starts a log that only its owner may read. At most backups earlier ones are
// kept; with 0 there are none, and the one log grows.
func Open(dir string, backups int) (*File, error) {
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
	return &File{f: f}, f.Chmod(0o600)
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
