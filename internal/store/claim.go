package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Claim makes this the one server on a SQLite database, until [Store.Close] or the end of
// the process: nonces and validations are in its memory, and two would not know of each
// other. Those who only administer it claim nothing. With PostgreSQL it does nothing.
//
// The lock is on a file beside the database's, as to close that one would let go of
// SQLite's own locks on it (fcntl(2)). The file stays.
func (s *Store) Claim() error {
	if s.postgres != nil || s.claim != nil {
		return nil
	}
	f, err := os.OpenFile(s.path+"-server", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		who := make([]byte, 20)
		n, _ := f.ReadAt(who, 0) // it may not have been written yet
		return fmt.Errorf("another vidimusd%s serves the database %s; stop it first, or keep the records in PostgreSQL, on which several may be", process(who[:n]), s.path)
	}
	s.claim = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// process words the number of a process, if it is one.
func process(text []byte) string {
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
