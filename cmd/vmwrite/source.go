package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readSource returns the bytes of a file, "-" for standard input. A regular file
// is mapped, so that the kernel copies from its page cache to the process. Those
// bytes must only go to system calls, or be looked at in lookAtSource: touched
// elsewhere, a file that has become shorter would end this program with SIGBUS.
func readSource(s streams, name string) (data []byte, release func(), err error) {
	release = func() {}
	file, isFile := s.in.(*os.File)
	if name != "-" {
		if file, err = os.Open(name); err != nil {
			return nil, release, &fileError{err}
		}
		defer file.Close()
		isFile = true
	}
	if isFile {
		if size, ok := mappableSize(file); ok {
			return mapSource(file, size)
		}
	}
	source := s.in
	if name != "-" {
		source = file
	}
	if data, err = io.ReadAll(source); err != nil {
		return nil, release, &fileError{err}
	}
	return data, release, nil
}

// mappableSize returns the size of a regular file that would be read from its
// front.
func mappableSize(file *os.File) (int, bool) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, false // files of /proc say 0 and hold more
	}
	at, err := file.Seek(0, io.SeekCurrent)
	return int(info.Size()), err == nil && at == 0
}

func mapSource(file *os.File, size int) ([]byte, func(), error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, func() {}, &fileError{fmt.Errorf("map %s: %w", file.Name(), err)}
	}
	return data, func() { unix.Munmap(data) }, nil
}
