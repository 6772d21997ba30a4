// Package durable writes files that must survive a kill at any instant. A reader
// sees a whole file or none; once a function here has returned nil, the file is on
// disk.
//
// The happy path of [WriteFile] is openat(O_CREAT|O_EXCL), write, fsync, rename,
// fsync of the directory; that of [CreateFile] is openat(O_TMPFILE), write, fsync,
// linkat, so that a file which is not complete never has a name, and a kill leaves
// nothing behind.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// WriteFile replaces the file at path, or creates it, with the mode perm exactly
// (the umask is not applied). An existing file's owner and group are kept where
// the process may set them. The temporary file stands beside path.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := fill(f, data, perm); err != nil {
		return named(err, path)
	}
	if old, err := os.Stat(path); err == nil {
		KeepOwner(f.Name(), old)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// CreateFile makes a new file at path with the mode perm exactly; it fails with
// [fs.ErrExist] when there is one. The directory entry itself is durable only after
// [SyncDir], so that several files of one directory cost one fsync of it.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	return CreateFileLike(path, data, perm, nil)
}

// CreateFileLike is [CreateFile] with the group of the file that like describes, as
// far as the process may set it: it has that group before it has a name. A nil like
// is no file.
func CreateFileLike(path string, data []byte, perm fs.FileMode, like fs.FileInfo) error {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EINVAL) {
			return createNamed(path, data, perm, like)
		}
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if like != nil {
		if st, ok := like.Sys().(*syscall.Stat_t); ok {
			_ = unix.Fchown(fd, -1, int(st.Gid))
		}
	}
	if err := fillDescriptor(fd, data, perm); err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	// Linking by /proc/self/fd needs no privilege, unlike AT_EMPTY_PATH (open(2)).
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return createNamed(path, data, perm, like) // no /proc here
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: path, Err: err}
	}
	return nil
}

// fillDescriptor is fill without the runtime's poller, which files have no use for:
// half of what a renewal computes is system calls for its files.
func fillDescriptor(fd int, data []byte, perm fs.FileMode) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return err
		}
		data = data[max(n, 0):]
	}
	if err := unix.Fchmod(fd, uint32(perm.Perm())); err != nil {
		return err
	}
	return sync(fd)
}

// sync is fsync(2), which a signal can interrupt.
func sync(fd int) error {
	for {
		if err := unix.Fsync(fd); err != unix.EINTR {
			return err
		}
	}
}

// createNamed is CreateFile for file systems without O_TMPFILE: a kill can leave a
// temporary file, whose name begins with a dot and ends in ".tmp".
func createNamed(path string, data []byte, perm fs.FileMode, like fs.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	keepGroup(f, like)
	if err := fill(f, data, perm); err != nil {
		return named(err, path)
	}
	return os.Link(f.Name(), path)
}

func keepGroup(f *os.File, like fs.FileInfo) {
	if like == nil {
		return
	}
	if st, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(-1, int(st.Gid))
	}
}

func fill(f *os.File, data []byte, perm fs.FileMode) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return f.Sync()
}

// named gives an error about a temporary file the path that the caller meant.
func named(err error, path string) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &fs.PathError{Op: pe.Op, Path: path, Err: pe.Err}
	}
	return err
}

// KeepOwner gives path, which this process has made, the owner and group that old has,
// as far as the process may.
func KeepOwner(path string, old fs.FileInfo) {
	if st, ok := old.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		_ = os.Lchown(path, int(st.Uid), int(st.Gid))
	}
}

// SyncDir makes the entries of dir durable.
func SyncDir(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	if err := sync(fd); err != nil && err != unix.EINVAL && err != unix.ENOTSUP {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	return nil
}

// Exchange swaps the names of two directory entries in one step
// (renameat2(RENAME_EXCHANGE)). It fails with [errors.ErrUnsupported] where the
// file system cannot.
func Exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("exchange %s and %s: %w", a, b, errors.ErrUnsupported)
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}
