package lineage

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// most bounds the files of a lineage, in bytes.
const most = 1 << 20

// readFile reads a small regular file with three system calls, where [os.ReadFile]
// takes nine. A run over a hundred thousand lineages consists of little else.
func readFile(path string) ([]byte, error) {
	fail := func(op string, err error) ([]byte, error) { return nil, &fs.PathError{Op: op, Path: path, Err: err} }
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	for err == unix.EINTR {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 4096)
	for {
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fail("read", err)
		}
		buf = buf[:len(buf)+n]
		if len(buf) < cap(buf) {
			return buf, nil // a short read is the end of a regular file
		}
		if len(buf) >= most {
			return fail("read", unix.EFBIG)
		}
		buf = append(buf, 0)[:len(buf)]
	}
}
