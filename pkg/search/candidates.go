// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// Candidates are the matches of a search, in a file, with the bytes that were seen
// there last. Next narrows them. They are not safe for concurrent use.
//
// The file is a header, and then runs of candidates side by side in the order of their
// addresses. Its numbers are little-endian; the bytes are as they were in memory.
//
//	16 bytes  "vmwrite-search 1"
//	u64       how many candidates there are
//	u32       the process
//	u32       step: the distance between the candidates of a run
//	u16       size: bytes of a candidate
//	u16, u16  where | and $ of the pattern are, from the start of a match
//	u8        1 if there is a $
//	u8        the Type
//	u16       how long the identity is, and then the identity
//
// A run is the u64 address of its first candidate and the u32 number of them, and then
// the (number-1)*step + size bytes from there on, at most 64 KiB. If the highest bit of
// the number is set these are all zeros, and left out.
type Candidates struct {
	path string
	header
}

type header struct {
	count    uint64
	pid      uint32
	step     uint32
	size     int
	place    place
	kind     Type
	identity string
}

const (
	magic = "vmwrite-search 1"
	// maxRun is how many bytes a run has at most, and so what a reader must hold.
	maxRun   = 64 << 10
	allZeros = 1 << 31
	fixed    = len(magic) + 8 + 4 + 4 + 2 + 2 + 2 + 1 + 1 + 2 // of the header
)

// ErrOtherProcess means that the candidates are of another process, or of another run
// of the same program.
var ErrOtherProcess = errors.New("the candidates are of another process")

// FileError says what is wrong with a file of candidates.
type FileError struct {
	Path    string
	Offset  int64 // of the part that is wrong
	Message string
}

// Error returns the path, the offset and what is wrong there.
func (e *FileError) Error() string {
	return fmt.Sprintf("%s at byte %d: %s", e.Path, e.Offset, e.Message)
}

// Save makes a first search as [First] does, and keeps all its matches in a file, which
// it replaces once it is whole; one that holds no candidates is not replaced. Only this user can read it: it holds memory of the
// process. The identity is any text that tells this run of the process from others, as
// the time of its start; see [Load]. A Limit is kept.
func Save(ctx context.Context, path, identity string, m Memory, what Matcher, o Options) (*Candidates, Stats, error) {
	s := First(ctx, m, what, o)
	f := s.form
	if len(identity) > 1<<16-1 {
		return nil, Stats{}, fmt.Errorf("an identity of %d bytes is too long", len(identity))
	}
	h := header{
		pid: uint32(m.PID()), step: uint32(min(f.align, 1<<31)), size: f.size(), place: f.place, kind: f.kind, identity: identity,
	}
	h, err := replace(path, h, func(w *runWriter) error {
		for match, err := range s.All() {
			if err != nil {
				return err
			}
			if err := w.add(match.At, match.Bytes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.Stats(), err
	}
	return &Candidates{path, h}, s.Stats(), nil
}

// Load opens the candidates of a file. The error is a [*FileError] if it is not one of
// them, or is cut off, and [ErrOtherProcess] if the identity is not that of [Save].
func Load(path, identity string) (*Candidates, error) {
	r, err := openRuns(path)
	if err != nil {
		return nil, err
	}
	defer r.file.Close()
	if r.header.identity != identity {
		return nil, fmt.Errorf("%s: %w", path, ErrOtherProcess)
	}
	return &Candidates{path, r.header}, nil
}

// Count returns how many candidates there are.
func (c *Candidates) Count() uint64 { return c.count }

// Type returns what the bytes of the candidates stand for.
func (c *Candidates) Type() Type { return c.kind }

// Size returns the bytes of a candidate.
func (c *Candidates) Size() int { return c.size }

// PID returns the process that was searched.
func (c *Candidates) PID() int { return int(c.pid) }

// All yields the candidates with the bytes that were seen last, in the order of their
// addresses, and stops after an error.
func (c *Candidates) All() iter.Seq2[Match, error] {
	return func(yield func(Match, error) bool) {
		r, err := openRuns(c.path)
		if err != nil {
			yield(Match{}, err)
			return
		}
		defer r.file.Close()
		var one run
		for {
			err := r.next(&one)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Match{}, err)
				return
			}
			for i := range one.count {
				at := i * int(r.step)
				b := one.data[at : at+r.size : at+r.size]
				address := one.address + uint64(at)
				if !yield(Match{Address: r.place.of(address, b), At: address, Bytes: b}, nil) {
					return
				}
			}
		}
	}
}

// run is candidates side by side.
type run struct {
	address uint64
	count   int
	data    []byte
}

// runReader reads a file of candidates, of which it believes nothing.
type runReader struct {
	header
	path   string
	file   *os.File
	buffer *bufio.Reader
	offset int64
	seen   uint64 // candidates
	last   uint64 // the address behind the first byte of the last one
}

func openRuns(path string) (*runReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &runReader{path: path, file: file, buffer: bufio.NewReaderSize(file, 4*maxRun)}
	if err := r.readHeader(); err != nil {
		file.Close()
		return nil, err
	}
	return r, nil
}

func (r *runReader) fail(format string, args ...any) error {
	return &FileError{Path: r.path, Offset: r.offset, Message: fmt.Sprintf(format, args...)}
}

// read fills b; a file that ends before is cut off.
func (r *runReader) read(b []byte) error {
	n, err := io.ReadFull(r.buffer, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return r.fail("the file is cut off")
	}
	r.offset += int64(n)
	return err
}

func (r *runReader) readHeader() error {
	var b [fixed]byte
	if err := r.read(b[:]); err != nil {
		return err
	}
	if string(b[:len(magic)]) != magic {
		r.offset = 0
		return r.fail("this is no file of candidates")
	}
	n := b[len(magic):]
	r.header = header{
		count: binary.LittleEndian.Uint64(n), pid: binary.LittleEndian.Uint32(n[8:]), step: binary.LittleEndian.Uint32(n[12:]),
		size:  int(binary.LittleEndian.Uint16(n[16:])),
		place: place{offset: int(binary.LittleEndian.Uint16(n[18:])), rel: int(binary.LittleEndian.Uint16(n[20:])), follow: n[22] == 1},
		kind:  Type(n[23]),
	}
	h := &r.header
	if h.size == 0 || h.size > maxSize || h.size%h.kind.Size() != 0 || h.step == 0 || h.step > 1<<31 ||
		h.kind < Bytes || h.kind > lastType || n[22] > 1 || h.place.offset > h.size || (h.place.follow && h.place.rel+4 > h.size) {
		return r.fail("the header makes no sense")
	}
	identity := make([]byte, binary.LittleEndian.Uint16(n[24:]))
	if err := r.read(identity); err != nil {
		return err
	}
	h.identity = string(identity)
	return nil
}

// next reads a run, or returns io.EOF behind the last.
func (r *runReader) next(to *run) error {
	if r.seen == r.count {
		if _, err := r.buffer.ReadByte(); err != io.EOF {
			return r.fail("something stands behind the last candidate")
		}
		return io.EOF
	}
	var b [12]byte
	if err := r.read(b[:]); err != nil {
		return err
	}
	to.address = binary.LittleEndian.Uint64(b[:])
	count := binary.LittleEndian.Uint32(b[8:])
	zeros := count&allZeros != 0
	count &^= allZeros
	length := uint64(count-1)*uint64(r.step) + uint64(r.size)
	switch {
	case count == 0 || length > maxRun || (count > 1 && uint64(r.step) > uint64(r.size)):
		return r.fail("a run of %d candidates is not possible", count)
	case uint64(count) > r.count-r.seen:
		return r.fail("there are more than the %d candidates of the header", r.count)
	case to.address < r.last || to.address+length < to.address:
		return r.fail("the candidates are not in order")
	}
	r.seen += uint64(count)
	r.last = to.address + uint64(count-1)*uint64(r.step) + 1
	to.count = int(count)
	to.data = append(to.data[:0], make([]byte, length)...)
	if zeros {
		return nil
	}
	return r.read(to.data)
}

// runWriter writes candidates, and joins those that lie side by side.
type runWriter struct {
	header
	buffer *bufio.Writer
	run    run
}

// add writes a candidate behind those before it.
func (w *runWriter) add(address uint64, b []byte) error {
	r, step := &w.run, uint64(w.step)
	if r.count > 0 && step <= uint64(w.size) && address == r.address+uint64(r.count)*step && uint64(len(r.data))+step <= maxRun {
		r.data = append(r.data, b[w.size-int(step):]...)
		r.count++
		return nil
	}
	err := w.flush()
	r.address, r.count, r.data = address, 1, append(r.data[:0], b...)
	return err
}

func (w *runWriter) flush() error {
	r := &w.run
	if r.count == 0 {
		return nil
	}
	w.count += uint64(r.count)
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], r.address)
	count := uint32(r.count)
	zeros := isZero(r.data)
	if zeros {
		count |= allZeros
	}
	binary.LittleEndian.PutUint32(b[8:], count)
	_, err := w.buffer.Write(b[:])
	if err == nil && !zeros {
		_, err = w.buffer.Write(r.data)
	}
	r.count = 0
	return err
}

func (h *header) encode() []byte {
	b := []byte(magic)
	b = binary.LittleEndian.AppendUint64(b, h.count)
	b = binary.LittleEndian.AppendUint32(b, h.pid)
	b = binary.LittleEndian.AppendUint32(b, h.step)
	for _, n := range []int{h.size, h.place.offset, h.place.rel} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	follow := byte(0)
	if h.place.follow {
		follow = 1
	}
	b = append(b, follow, byte(h.kind))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.identity)))
	return append(b, h.identity...)
}

// replace writes a file beside another and gives it its name once it is whole.
func replace(path string, h header, write func(*runWriter) error) (header, error) {
	if err := replaceable(path); err != nil {
		return h, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".vmwrite-search-*")
	if err != nil {
		return h, err
	}
	defer os.Remove(file.Name()) // fails once it has the other name
	defer file.Close()
	h.count = 0
	w := &runWriter{header: h, buffer: bufio.NewWriterSize(file, 4*maxRun)}
	if _, err := w.buffer.Write(h.encode()); err != nil {
		return h, err
	}
	if err := write(w); err != nil {
		return h, err
	}
	if err := w.flush(); err != nil {
		return h, err
	}
	if err := w.buffer.Flush(); err != nil {
		return h, err
	}
	if _, err := file.WriteAt(w.header.encode(), 0); err != nil {
		return h, err
	}
	if err := file.Close(); err != nil {
		return h, err
	}
	return w.header, os.Rename(file.Name(), path)
}

// replaceable returns an error if something is at a path that is not to be lost: a
// device as /dev/null would become a file, and another file would be lost by a slip of the pen.
func replaceable(path string) error {
	refused := func(why string) error {
		return &os.PathError{Op: "replace", Path: path, Err: errors.New(why)}
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return refused("it is no regular file")
	case info.Size() == 0:
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(file, begin); err != nil || string(begin) != magic {
		return refused("it is no file of candidates")
	}
	return nil
}

// isZero reports whether all bytes are 0.
func isZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
