// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"strconv"

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
	if names := [...]string{"auto", "ioctl", "text"}; int(s) < len(names) {
		return names[s]
	}
	return "Source(" + strconv.Itoa(int(s)) + ")"
}

// Maps is an open hold on the mappings of one address space. It keeps to that
// address space: when the process exits or runs another program, each call
// returns [ErrGone]. It is safe for concurrent use, but for Close.
//
// The gate page [vsyscall] belongs to the kernel, not to the address space,
// and is not listed. The kernel's data [vvar] and [vvar_vclock] are listed without
// any permission, though the text shows r--: only the code of [vdso] in the process
// itself can read them, and the kernel refuses all others.
type Maps struct {
	source Source
	file   *os.File
	fd     int
	text   textFile
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
	m := &Maps{file: file, fd: int(file.Fd())}
	for _, option := range options {
		option(m)
	}
	if m.source == Auto {
		m.source, err = m.bestSource()
	} else {
		err = m.Alive()
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// bestSource returns what Auto stands for, and what Alive returns by that.
func (m *Maps) bestSource() (Source, error) {
	_, err := m.query(0, &linux.ProcmapQuery{}, nil)
	if err == nil || err == ErrGone {
		return Ioctl, err
	}
	return Text, m.aliveText()
}

// Close lets go of the address space. No other call may be under way.
func (m *Maps) Close() error {
	return m.file.Close()
}

// Alive returns nil while the address space that was opened has users, else
// [ErrGone]. It never says what the pid means now: a process that has exited, or
// runs another program, has left its old address space, but whoever is in the middle
// of a read of that (of /proc/PID/mem, say) is a user of it until the read ends.
func (m *Maps) Alive() error {
	if m.source == Text {
		return m.aliveText()
	}
	_, err := m.query(0, &linux.ProcmapQuery{}, nil)
	return err
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
		walk := m.rangeIoctl
		if m.source == Text {
			walk = m.rangeText
		}
		if err := walk(start, end, yield); err != nil {
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
	for start < end {
		span, found, err := m.nextIoctl(start)
		if err != nil || !found || span.Start >= end || !visit(span) {
			return err
		}
		start = span.End
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
	return m.nextIoctl(address)
}
