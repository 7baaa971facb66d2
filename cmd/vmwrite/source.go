package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// source is what is to be written.
type source struct {
	data    []byte
	mapping *sync.WaitGroup // of those that use data, if it is the mapping of a file
}

// readSource returns the bytes of a file, "-" for standard input. A regular file
// is mapped, not read, so that its size costs no memory; it may become shorter
// while it is written from.
func readSource(s streams, name string) (source, error) {
	file, isFile := s.in.(*os.File)
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return source{}, &fileError{err}
		}
		defer file.Close()
		isFile = true
	}
	if isFile {
		if size, ok := mappableSize(file); ok {
			return mapSource(file, size)
		}
	}
	from := s.in
	if name != "-" {
		from = file
	}
	return gather(from)
}

// gather returns what can be read until its end, which must be known before
// anything is written. It lies in a file of memory (memfd_create(2)), which grows
// without being copied and takes a pipe's pages as they are.
func gather(from io.Reader) (source, error) {
	fd, err := unix.MemfdCreate("vmwrite", unix.MFD_CLOEXEC)
	if err != nil {
		data, err := io.ReadAll(from)
		if err != nil {
			return source{}, &fileError{err}
		}
		return source{data: data}, nil
	}
	file := os.NewFile(uintptr(fd), "memory")
	defer file.Close()
	size, err := io.Copy(file, from)
	if err != nil {
		return source{}, &fileError{err}
	}
	if size == 0 {
		return source{}, nil
	}
	return mapSource(file, int(size))
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

func mapSource(file *os.File, size int) (source, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return source{}, &fileError{fmt.Errorf("map %s: %w", file.Name(), err)}
	}
	return source{data: data, mapping: new(sync.WaitGroup)}, nil
}

// done lets go of the memory of a part that is written, so that a long file
// never takes more than two chunks. That takes a tenth of the time of the write,
// which need not wait for it.
func (s source) done(part []byte) {
	if s.mapping != nil {
		s.mapping.Go(func() { _ = unix.Madvise(part, unix.MADV_DONTNEED) })
	}
}

func (s source) release() {
	if s.mapping != nil {
		s.mapping.Wait()
		_ = unix.Munmap(s.data)
	}
}
