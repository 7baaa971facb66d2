// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// input is what -f names. A long file is read while it is written. The end of
// anything else must be known before the first byte is written, so it is held in
// memory, but never more of it than can be written.
type input struct {
	io.Reader
	name string
	size uint64 // of a long file, from where it stands; else 0
}

// partSize is how much of a long file is read, and written, at a time.
const partSize = 1 << 20

// openInput opens a file, "-" for standard input.
func openInput(s streams, name string) (*input, error) {
	in := &input{s.in, "standard input", 0}
	file, isFile := s.in.(*os.File)
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return nil, &fileError{err}
		}
		in.Reader, in.name, isFile = file, procmaps.Printable(name), true
	}
	if !isFile {
		return in, nil
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, &fileError{err}
	case info.IsDir():
		return nil, &fileError{fmt.Errorf("%s is a directory", in.name)}
	case isTerminal(file):
		s.notef("reading from the terminal, until Ctrl-D")
	case info.Mode()&os.ModeNamedPipe != 0:
		// Half of the time would go into changing turns with who fills 64 KiB.
		_, _ = unix.FcntlInt(file.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	case info.Mode().IsRegular(): // a short one of /proc or /sys holds more than its size says, or less
		if at, err := file.Seek(0, io.SeekCurrent); err == nil && info.Size()-at > partSize {
			in.size = uint64(info.Size() - at)
		}
	}
	return in, nil
}

// failed is the error for what could not be read.
func (in *input) failed(err error) error {
	if isEnd(err) {
		return &fileError{fmt.Errorf("%s has become shorter while it was read", in.name)}
	}
	return &fileError{fmt.Errorf("reading %s: %w", in.name, err)}
}

// isEnd reports whether err is of io.ReadFull, at the end of what it reads.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// peek returns the first bytes, which are read again with the rest.
func (in *input) peek() ([]byte, error) {
	first := make([]byte, shownBytes)
	if _, err := io.ReadFull(in, first); err != nil {
		return nil, in.failed(err)
	}
	in.Reader = io.MultiReader(bytes.NewReader(first), in.Reader)
	return first, nil
}

// hold reads all into memory, but no more than limit bytes and one. The memory is
// that of huge pages, where the kernel has some, and grows without being copied:
// on some machines faults of small pages would take most of the time.
func (in *input) hold(limit uint64) ([]byte, error) {
	from := in.Reader
	if in.size > 0 {
		from, limit = io.LimitReader(from, int64(in.size)), in.size
	}
	memory, err := unix.Mmap(-1, 0, int(min(partSize, limit+1)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	for size := 0; err == nil; memory, err = unix.Mremap(memory, int(min(2*uint64(len(memory)), limit+1)), unix.MREMAP_MAYMOVE) {
		_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
		n, end := io.ReadFull(from, memory[size:])
		size += n
		switch {
		case end != nil && (!isEnd(end) || uint64(size) < in.size):
			return nil, in.failed(end)
		case end != nil || uint64(size) > limit:
			return memory[:size], nil
		}
	}
	return nil, &fileError{fmt.Errorf("memory to hold %s in: %w", in.name, err)}
}

// parts calls yield with each part of a long file, and reads the next meanwhile. A
// part is valid until yield returns.
func (in *input) parts(yield func(part []byte, err error) bool) {
	type part struct {
		data []byte
		err  error
	}
	free, full := make(chan []byte, 2), make(chan part, 2)
	for range cap(free) {
		free <- make([]byte, partSize)
	}
	go func() {
		defer close(full)
		for left := in.size; left > 0; {
			buffer, more := <-free
			if !more {
				return
			}
			data := buffer[:min(left, partSize)]
			if _, err := io.ReadFull(in, data); err != nil {
				full <- part{nil, in.failed(err)}
				return
			}
			full <- part{data, nil}
			left -= uint64(len(data))
		}
	}()
	defer close(free)
	for p := range full {
		if !yield(p.data, p.err) {
			return
		}
		free <- p.data[:cap(p.data)]
	}
}
