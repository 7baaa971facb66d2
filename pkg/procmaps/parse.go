// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrMalformed is what a [*LineError] wraps.
var ErrMalformed = errors.New("malformed line of /proc/PID/maps")

// LineError is a line that is none of /proc/PID/maps. It wraps [ErrMalformed].
type LineError struct {
	Line string // the whole line, without the newline
	Why  string // which part of it is wrong
}

// Error shows the first 200 bytes of the line.
func (e *LineError) Error() string {
	const shown = 200
	if len(e.Line) > shown {
		return fmt.Sprintf("%v: %s: %q and %d more bytes", ErrMalformed, e.Why, e.Line[:shown], len(e.Line)-shown)
	}
	return fmt.Sprintf("%v: %s: %q", ErrMalformed, e.Why, e.Line)
}

// Unwrap returns [ErrMalformed].
func (e *LineError) Unwrap() error { return ErrMalformed }

// Parse reads the text of /proc/PID/maps and yields its lines in order, each
// of any length. It stops after the first error: that of r, or a [*LineError].
func Parse(r io.Reader) iter.Seq2[Mapping, error] {
	return func(yield func(Mapping, error) bool) {
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			if err != nil && err != io.EOF {
				yield(Mapping{}, fmt.Errorf("reading maps: %w", err))
				return
			}
			m, err := parseLine(bytes.TrimSuffix(line, []byte{'\n'}))
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// parseLine parses one line without its newline.
func parseLine(line []byte) (Mapping, error) {
	span, rest, why := parseSpan(line)
	m := Mapping{Start: span.Start, End: span.End, Perms: span.Perms, Shared: span.Shared}
	if why == "" {
		rest, why = m.parseFile(rest)
	}
	if why != "" {
		return Mapping{}, &LineError{Line: string(line), Why: why}
	}
	// The kernel pads the name with spaces, and no name begins with one.
	m.Path = string(bytes.TrimLeft(rest, " "))
	return m, nil
}

// parseSpan parses the addresses and the protection at the front of a line.
// It allocates nothing, because a text walk before a write goes through it.
func parseSpan(line []byte) (s Span, rest []byte, why string) {
	var ok bool
	if s.Start, rest, ok = number(line, 16, '-'); !ok {
		return s, nil, "start address"
	}
	if s.End, rest, ok = number(rest, 16, ' '); !ok {
		return s, nil, "end address"
	}
	if s.Start >= s.End {
		return s, nil, "the end is not above the start"
	}
	if len(rest) < 5 || rest[4] != ' ' {
		return s, nil, "protection"
	}
	for i, bit := range [3]Perms{Read, Write, Execute} {
		switch rest[i] {
		case "rwx"[i]:
			s.Perms |= bit
		case '-':
		default:
			return s, nil, "protection"
		}
	}
	if rest[3] != 's' && rest[3] != 'p' {
		return s, nil, "protection"
	}
	s.Shared = rest[3] == 's'
	return s, rest[5:], ""
}

// parseFile parses offset, device and inode, and returns what is behind them.
func (m *Mapping) parseFile(text []byte) (rest []byte, why string) {
	var major, minor uint64
	var ok bool
	if m.Offset, text, ok = number(text, 16, ' '); !ok {
		return nil, "offset"
	}
	if major, text, ok = number(text, 16, ':'); !ok || major > 1<<32-1 {
		return nil, "device"
	}
	if minor, text, ok = number(text, 16, ' '); !ok || minor > 1<<32-1 {
		return nil, "device"
	}
	m.Dev = Dev{Major: uint32(major), Minor: uint32(minor)}
	if end := bytes.IndexByte(text, ' '); end < 0 {
		// Only text that was trimmed by someone ends right behind the inode.
		text = append(text[:len(text):len(text)], ' ')
	}
	if m.Inode, text, ok = number(text, 10, ' '); !ok {
		return nil, "inode"
	}
	return text, ""
}

// number parses the digits of base 10 or 16 before the first end byte, and
// returns what is behind that byte. Capitals are refused: the kernel prints
// none.
func number(text []byte, base uint64, end byte) (value uint64, rest []byte, ok bool) {
	for i, c := range text {
		digit := uint64(c - '0')
		switch {
		case c == end:
			return value, text[i+1:], i > 0
		case c >= '0' && c <= '9':
		case base == 16 && c >= 'a' && c <= 'f':
			digit = uint64(c-'a') + 10
		default:
			return 0, nil, false
		}
		if value > (1<<64-1-digit)/base {
			return 0, nil, false
		}
		value = value*base + digit
	}
	return 0, nil, false
}
