// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// textFile guards the position that the kernel keeps for one open
// /proc/PID/maps. A read that goes on where the last one ended goes on by
// address, whatever was mapped meanwhile; a read elsewhere makes the kernel
// print all text before it again and count bytes, which may then cut a line.
// So a walk that finds that another one read since starts again at the front,
// and reads twice as far as it had come before it lets another one read: walks
// that disturb each other all get on, each after a few starts.
type textFile struct {
	sync.Mutex
	lastWalk *textWalk
}

// textWalk is one pass over the text.
type textWalk struct {
	buffer     []byte
	next, have int    // buffer[next:have] is read and not yet parsed
	offset     int64  // where in the text the next read begins
	ended      bool   // the text ends at offset
	passed     uint64 // mappings that end here or below are passed
}

// A seq_file gives at most a page per read, unless one line is longer.
const textBufferSize = 2 * 4096

var textWalks = sync.Pool{New: func() any { return &textWalk{buffer: make([]byte, textBufferSize)} }}

// eachLine calls visit with each line whose mapping shares a byte with start
// to end (exclusive), until visit returns false. The line is valid until visit
// returns.
func (m *Maps) eachLine(start, end uint64, visit func(line []byte, span Span) bool) error {
	if start >= end {
		return nil
	}
	w := textWalks.Get().(*textWalk)
	defer func() {
		if len(w.buffer) == textBufferSize {
			textWalks.Put(w)
		} else {
			w.buffer = nil // m.text may remember w for long
		}
	}()
	*w = textWalk{buffer: w.buffer, passed: start}
	for {
		line, err := m.line(w)
		if line == nil || err != nil {
			return err
		}
		span, rest, why := parseSpan(line)
		if why != "" {
			return &LineError{Line: string(line), Why: why}
		}
		if span.Perms == Read {
			var m Mapping
			if name, why := m.parseFile(rest); why == "" && isKernelData(bytes.TrimLeft(name, " "), m.Inode) {
				span.Perms = 0
			}
		}
		if span.End <= w.passed || isGate(line, span) {
			continue
		}
		if span.Start >= end || !visit(line, span) {
			return nil
		}
		w.passed = span.End
		if span.End >= end {
			return nil
		}
	}
}

// rangeText is Range through the text.
func (m *Maps) rangeText(start, end uint64, yield func(Mapping, error) bool) error {
	return m.eachLine(start, end, func(line []byte, span Span) bool {
		mapping, err := parseLine(line)
		if err == nil {
			mapping.Perms = span.Perms
		}
		return yield(mapping, err) && err == nil
	})
}

// isGate reports whether the line is [vsyscall], which lies in the kernel's
// half of the address space and which PROCMAP_QUERY does not know.
func isGate(line []byte, span Span) bool {
	return span.Start >= 1<<63 && bytes.HasSuffix(line, []byte(" [vsyscall]"))
}

// line returns the next line without its newline, nil at the end of the text.
func (m *Maps) line(w *textWalk) ([]byte, error) {
	for scanned := 0; ; {
		if i := bytes.IndexByte(w.buffer[w.next+scanned:w.have], '\n'); i >= 0 {
			line := w.buffer[w.next : w.next+scanned+i]
			w.next += len(line) + 1
			return line, nil
		}
		if w.ended {
			return nil, m.endOfText(w)
		}
		scanned = w.have - w.next
		restarted, err := m.readText(w)
		if err != nil {
			return nil, err
		}
		if restarted {
			scanned = 0
		}
	}
}

// readText reads more text behind what w has, or starts again at the front.
func (m *Maps) readText(w *textWalk) (restarted bool, err error) {
	m.text.Lock()
	defer m.text.Unlock()
	goal := w.offset + 1
	if restarted = m.text.lastWalk != w; restarted {
		m.text.lastWalk = w
		goal += w.offset
		w.next, w.have, w.offset = 0, 0, 0
	}
	for w.offset < goal && !w.ended {
		n, err := m.pread(w.room(), w.offset)
		if err != nil {
			return restarted, err
		}
		w.have += n
		w.offset += int64(n)
		w.ended = n == 0
	}
	return restarted, nil
}

// room returns the free end of the buffer, which is never empty.
func (w *textWalk) room() []byte {
	w.have = copy(w.buffer, w.buffer[w.next:w.have])
	w.next = 0
	if w.have == len(w.buffer) {
		w.buffer = append(w.buffer, make([]byte, len(w.buffer))...)
	}
	return w.buffer[w.have:]
}

// endOfText tells the end of the mappings from the end of the address space:
// both end the text.
func (m *Maps) endOfText(w *textWalk) error {
	if w.have != w.next {
		line := w.buffer[w.next:w.have]
		return &LineError{Line: string(line), Why: "no newline at its end"}
	}
	return m.aliveText()
}

// aliveText reads the front of the text: only a dead address space has none.
func (m *Maps) aliveText() error {
	m.text.Lock()
	defer m.text.Unlock()
	m.text.lastWalk = nil
	var first [1]byte
	n, err := m.pread(first[:], 0)
	if err == nil && n == 0 {
		return ErrGone
	}
	return err
}

// pread reads from the text with its errors typed.
func (m *Maps) pread(p []byte, offset int64) (int, error) {
	for {
		n, err := unix.Pread(m.fd, p, offset)
		runtime.KeepAlive(m)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.ESRCH:
			return 0, ErrGone
		default:
			return 0, fmt.Errorf("read %s: %w", m.file.Name(), err)
		}
	}
}
