// Package lock keeps two programs from working on one directory at the same time,
// by the protocol of Certbot: an fcntl(2) lock on the file .certbot.lock in each
// directory, which is removed before it is let go. Certbot and Vidimus thus
// exclude each other. The lock belongs to the process, not to a goroutine.
package lock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fileName is Certbot's.
const fileName = ".certbot.lock"

// ErrHeld says that another process has the lock.
var ErrHeld = errors.New("Another instance of Certbot is already running.") //lint:ignore ST1005 Certbot's words, which scripts look for

// Dir is a locked directory.
type Dir struct {
	f *os.File
}

// Acquire locks dir, which must exist, without waiting. The error wraps [ErrHeld]
// when another process has it.
func Acquire(dir string) (*Dir, error) {
	path := filepath.Join(dir, fileName)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			f.Close()
			return nil, fmt.Errorf("%w It holds %s; wait until it has ended and try again", ErrHeld, path)
		}
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		if same(f, path) {
			return &Dir{f}, nil
		}
		// Its last holder removed the file after we had opened it: what we locked
		// has no name any more, and the next process would lock another file.
		f.Close()
	}
}

func same(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}

// Release removes the lock file and then lets go of the lock, in that order, so
// that nobody locks a file that is about to lose its name.
func (d *Dir) Release() {
	os.Remove(d.f.Name())
	d.f.Close()
}
