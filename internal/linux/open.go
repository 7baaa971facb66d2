package linux

import (
	"os"

	"golang.org/x/sys/unix"
)

// Open opens a file: open(2). Unlike that of os.Open it is not given to the
// runtime's poller, which ends the program when it can't be set up because the
// limit of open files is reached.
func Open(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
