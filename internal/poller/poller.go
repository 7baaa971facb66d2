// SPDX-License-Identifier: Apache-2.0

// Package poller keeps the program alive where the limit of open files is reached.
// The Go runtime sets its poller of files up at its first timer or os.Open, which
// takes two files, and ends the program when it can't.
package poller

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

var ready atomic.Bool

// Ready has the runtime set its poller up while there is room for its files, so
// that timers and os.Open may be used. The error is that of the missing room.
func Ready() error {
	if ready.Load() {
		return nil
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	unix.Close(epoll)
	if err != nil {
		return err
	}
	unix.Close(event)
	time.AfterFunc(time.Hour, func() {}).Stop() // a timer with a channel would not do it
	ready.Store(true)
	return nil
}

// Open is os.OpenFile for a file that is not polled: it needs no poller.
func Open(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Read reads the front of a file into p by one read, which gives all of a file of /proc
// that is shorter than p and than a page.
func Read(path string, p []byte) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, p)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return n, nil
}

// ReadFile is os.ReadFile for a file that is not polled.
func ReadFile(path string) ([]byte, error) {
	file, err := Open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
