// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
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
	fed  bool   // by another program, through a pipe
}

// partSize is how much of a long file is read, and written, at a time.
const partSize = 1 << 20

// openInput opens a file, "-" for standard input.
func openInput(s streams, name string) (*input, error) {
	in := &input{Reader: s.in, name: "standard input"}
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
		in.fed = true
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

// hold reads an input into memory, unless it is a long file that may be read while it
// is written.
func (j *job) hold() error {
	in := j.input
	if in == nil {
		return nil
	}
	if in.size > 0 && !j.atomic && !j.compares() {
		j.size = in.size
		return nil
	}
	limit, tooLong := in.size, error(nil)
	if limit > 0 {
		if err := j.checkRange(j.address, limit); err != nil {
			return err
		}
	} else if limit, tooLong = j.room(); limit == 0 && !j.allowEmpty {
		return tooLong
	}
	var data []byte
	err := j.gather(in, func() (err error) {
		data, err = in.hold(limit)
		return err
	})
	if err != nil {
		return err
	}
	if uint64(len(data)) > limit {
		return fmt.Errorf("%s is longer than the %s that can be written at %#x: %w", in.name, counted(limit, "byte"), j.address, tooLong)
	}
	j.input, j.changes[0].New, j.size = nil, data, uint64(len(data))
	j.modules().Refresh() // the process went on while the input came
	if err := j.locate(j.at); err != nil {
		return err
	}
	return j.confirmSize(in.name + " is empty")
}

// gather has f read an input to its end, which a signal ends. One that is for both
// sides of a pipe also ends the program that feeds it, and so the input: it counts
// first.
func (j *job) gather(in *input, f func() error) error {
	j.interrupted.begin.Do(j.interrupted.watch)
	err := j.make(j.interrupted, endsAtOnce, f)
	if err == nil && in.fed {
		const onItsWay = 5 * time.Millisecond
		select {
		case <-j.interrupted.first:
			err = errGivenUp
		case <-time.After(onItsWay):
		}
	}
	if errors.Is(err, errGivenUp) {
		return j.failure(j.address, 0, machcompat.KERN_ABORTED, fmt.Errorf("interrupted while %s was read; nothing was written", in.name))
	}
	return err
}

// room returns how many bytes can be written at the address, and the error for one
// more.
func (j *job) room() (uint64, error) {
	size := max(-machcompat.HostPageSize(), j.address+1) - j.address // to the end of all addresses
	err := j.checkRange(j.address, size)
	if e, ok := errors.AsType[*machcompat.Error](err); ok && e.Fault >= j.address {
		size = e.Fault - j.address
		e.Size = size + 1
		if size > 0 && e.Code == machcompat.KERN_PROTECTION_FAILURE { // what lies behind is not meant
			e.Hint = "write fewer bytes, or look whether the address is right: what can be written ends there"
		}
	} else if err != nil {
		size = 0
	}
	return size, err
}
