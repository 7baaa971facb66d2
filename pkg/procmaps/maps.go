package procmaps

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/poller"
	"golang.org/x/sys/unix"
)

// ErrGone means that the address space does not exist any more, because its
// process exited or ran another program. It wraps ESRCH.
var ErrGone = fmt.Errorf("the address space is gone: %w", unix.ESRCH)

// Source is what the mappings are read from. Both give the same answers.
type Source uint8

// What the mappings can be read from.
const (
	// Auto takes Ioctl where the kernel has it, else Text.
	Auto Source = iota
	// Ioctl asks with PROCMAP_QUERY (Linux 6.11).
	Ioctl
	// Text reads the lines of /proc/PID/maps, only as far as needed.
	Text
)

// String returns "auto", "ioctl" or "text".
func (s Source) String() string {
	switch s {
	case Auto:
		return "auto"
	case Ioctl:
		return "ioctl"
	case Text:
		return "text"
	}
	return "Source(" + strconv.Itoa(int(s)) + ")"
}

// Maps is an open hold on the mappings of one address space. It keeps to that
// address space: when the process exits or runs another program, each call
// returns [ErrGone]. It is safe for concurrent use, but for Close.
//
// The gate page [vsyscall] belongs to the kernel, not to the address space,
// and is not listed.
type Maps struct {
	pid    int
	file   *os.File
	fd     int
	source Source
	text   textFile
	probe  livenessProbe
}

// Option changes how [Open] opens.
type Option func(*Maps)

// WithSource forces one source of the mappings, which tests need.
func WithSource(s Source) Option { return func(m *Maps) { m.source = s } }

// Open opens /proc/PID/maps, for which the kernel asks for the right to read
// the process (PTRACE_MODE_READ_FSCREDS in ptrace(2)). The error wraps the
// errno: ENOENT when there is no such process, EACCES or EPERM without the
// right, [ErrGone] for a zombie or a kernel thread, ENOTTY when [Ioctl] is
// forced on a kernel that lacks it.
func Open(pid int, options ...Option) (*Maps, error) {
	file, err := poller.Open("/proc/"+strconv.Itoa(pid)+"/maps", unix.O_RDONLY)
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	m := &Maps{pid: pid, file: file, fd: int(file.Fd())}
	for _, option := range options {
		option(m)
	}
	if m.source == Auto {
		m.source = m.bestSource()
	}
	if err := m.askAlive(); err != nil {
		file.Close()
		return nil, err
	}
	return m, nil
}

// kernelSource remembers, for all Maps, which source Auto stands for.
var kernelSource atomic.Uint32

func (m *Maps) bestSource() Source {
	if s := Source(kernelSource.Load()); s != Auto {
		return s
	}
	best := Text
	switch err := m.query(0, &linux.ProcmapQuery{}, nil); err {
	case nil, unix.ENOENT, unix.ESRCH:
		best = Ioctl
	}
	kernelSource.Store(uint32(best))
	return best
}

// Close lets go of the address space. No other call may be under way.
func (m *Maps) Close() error {
	m.probe.close()
	return m.file.Close()
}

// Source returns what m reads: [Ioctl] or [Text].
func (m *Maps) Source() Source { return m.source }

// Find returns the mapping that address lies in; the bool is false when
// nothing is mapped there.
func (m *Maps) Find(address uint64) (Mapping, bool, error) {
	if address == math.MaxUint64 {
		return Mapping{}, false, m.Alive()
	}
	for mapping, err := range m.Range(address, address+1) {
		return mapping, err == nil, err
	}
	return Mapping{}, false, nil
}

// All yields every mapping in address order, and stops after an error.
func (m *Maps) All() iter.Seq2[Mapping, error] { return m.Range(0, math.MaxUint64) }

// Range yields the mappings that share a byte with start to end (exclusive),
// whole, in address order, and stops after an error. The mappings of a running
// process change while they are read: each is true at its own moment, and one
// that was joined with the one before it meanwhile overlaps that.
func (m *Maps) Range(start, end uint64) iter.Seq2[Mapping, error] {
	return func(yield func(Mapping, error) bool) {
		var err error
		if m.source == Text {
			err = m.eachLine(start, end, func(line []byte, _ Span) bool {
				mapping, lineErr := parseLine(line)
				return yield(mapping, lineErr) && lineErr == nil
			})
		} else {
			err = m.rangeIoctl(start, end, yield)
		}
		if err != nil {
			yield(Mapping{}, err)
		}
	}
}

// Walk calls visit with the spans that share a byte with start to end
// (exclusive), whole, in address order, until visit returns false. It is Range
// without the names, and allocates nothing.
func (m *Maps) Walk(start, end uint64, visit func(Span) bool) error {
	if m.source == Text {
		return m.eachLine(start, end, func(_ []byte, span Span) bool { return visit(span) })
	}
	var q linux.ProcmapQuery
	for start < end {
		if err := m.query(start, &q, nil); err == unix.ENOENT {
			return nil
		} else if err != nil {
			return queryError(err)
		}
		if q.VMAStart >= end || !visit(spanOf(&q)) {
			return nil
		}
		start = q.VMAEnd
	}
	return nil
}

// Next returns the span that address lies in, or the next above it; the bool is
// false when there is none. It allocates nothing.
func (m *Maps) Next(address uint64) (next Span, found bool, err error) {
	if m.source == Text {
		err = m.eachLine(address, math.MaxUint64, func(_ []byte, span Span) bool {
			next, found = span, true
			return false
		})
		return next, found, err
	}
	var q linux.ProcmapQuery
	switch err := m.query(address, &q, nil); err {
	case nil:
		return spanOf(&q), true, nil
	case unix.ENOENT:
		return Span{}, false, nil
	default:
		return Span{}, false, queryError(err)
	}
}

// query asks for the mapping at address or the next above it.
func (m *Maps) query(address uint64, q *linux.ProcmapQuery, name []byte) error {
	q.QueryAddr = address
	q.QueryFlags = linux.PROCMAP_QUERY_COVERING_OR_NEXT_VMA
	err := linux.QueryProcmap(m.fd, q, name)
	runtime.KeepAlive(m)
	return err
}

func queryError(err error) error {
	switch err {
	case nil:
		return nil
	case unix.ESRCH:
		return ErrGone
	}
	return fmt.Errorf("PROCMAP_QUERY: %w", err)
}
