package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// input is what -f names. A regular file is read while it is written. The end of
// anything else must be known before the first byte is written, so it is held in
// memory, but never more of it than can be written.
type input struct {
	io.Reader
	name string
	size uint64 // of a regular file, from where it stands; 0 when that is not known
}

// openInput opens a file, "-" for standard input.
func openInput(s streams, name string) (*input, error) {
	in := &input{s.in, "standard input", 0}
	file, isFile := s.in.(*os.File)
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return nil, &fileError{err}
		}
		in.Reader, in.name, isFile = file, name, true
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
	case info.Mode().IsRegular(): // one of /proc says 0 bytes, and holds more
		if at, err := file.Seek(0, io.SeekCurrent); err == nil && at < info.Size() {
			in.size = uint64(info.Size() - at)
		}
	}
	return in, nil
}

func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// failed is the error for what could not be read.
func (in *input) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &fileError{fmt.Errorf("%s has become shorter while it was read", in.name)}
	}
	return &fileError{fmt.Errorf("reading %s: %w", in.name, err)}
}

// hold reads all into memory, but no more than limit bytes and one. Its blocks are
// of huge pages, where the kernel has some: faults of small ones would take most of
// the time on some machines.
func (in *input) hold(limit uint64) (blocks [][]byte, size uint64, err error) {
	from := in.Reader
	if in.size > 0 {
		from, limit = io.LimitReader(from, int64(in.size)), in.size
	}
	const first, further = 1 << 20, 64 << 20
	for length := uint64(first); err == nil && size <= limit; length = further {
		block, noMemory := unix.Mmap(-1, 0, int(min(length, limit-size+1)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if noMemory != nil {
			return nil, 0, &fileError{fmt.Errorf("memory to hold %s in: %w", in.name, noMemory)}
		}
		_ = unix.Madvise(block, unix.MADV_HUGEPAGE)
		var n int
		if n, err = io.ReadFull(from, block); n > 0 {
			blocks, size = append(blocks, block[:n]), size+uint64(n)
		}
	}
	switch {
	case size < in.size:
		return nil, 0, in.failed(err)
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return blocks, size, nil
	}
	return nil, 0, in.failed(err)
}

// peek returns the first bytes, which are read again with the rest.
func (in *input) peek() ([]byte, error) {
	front := make([]byte, min(in.size, shownBytes))
	if _, err := io.ReadFull(in, front); err != nil {
		return nil, in.failed(err)
	}
	in.Reader = io.MultiReader(bytes.NewReader(front), in.Reader)
	return front, nil
}

// partSize is how much of a regular file is read, and written, at a time.
const partSize = 1 << 20

// parts calls yield with each part of a regular file, and reads the next meanwhile.
// A part is valid until yield returns.
func (in *input) parts(yield func(part []byte, err error) bool) {
	type part struct {
		data []byte
		err  error
	}
	free, full := make(chan []byte, 2), make(chan part, 2)
	for range cap(free) {
		free <- make([]byte, min(in.size, partSize))
	}
	go func() {
		defer close(full)
		for left := in.size; left > 0; {
			buffer, wanted := <-free
			if !wanted {
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
