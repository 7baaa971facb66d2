// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// ExportError is that a format cannot hold a patch.
type ExportError struct {
	Format Format
	Change int // which one, from 0; -1 for the patch as a whole
	Line   int // where it is in the file of the patch; 0 if it is in none
	Err    error
}

// Error says which change it is and why, on one line.
func (e *ExportError) Error() string {
	text := fmt.Sprintf("%v cannot hold the patch: ", e.Format)
	if e.Change >= 0 {
		text = fmt.Sprintf("%v cannot hold change %d", e.Format, e.Change+1)
		if e.Line != 0 {
			text += fmt.Sprintf(" (line %d)", e.Line)
		}
		text += ": "
	}
	return text + e.Err.Error()
}

// Unwrap returns Err.
func (e *ExportError) Unwrap() error { return e.Err }

// Export writes a patch for another tool. No format holds what the module must be, but for
// the checksums of BPS, nor comments. All but X64dbg need the original, from which old
// bytes come too where the patch has none. Module names the file of a patch for @exe. The
// error is an [*ExportError].
func Export(p *patch.Patch, f Format, o Options) ([]byte, error) {
	x := exporter{format: f, module: o.Module}
	if o.Original != nil {
		file, err := openOriginal(o)
		if err != nil {
			return nil, &ExportError{f, -1, 0, err}
		}
		x.original = file
	} else if f != X64dbg {
		return nil, &ExportError{f, -1, 0, errors.New("it counts from the front of a file, so the original is needed")}
	}
	for i, c := range p.Changes {
		if err := x.add(c); err != nil {
			return nil, &ExportError{f, i, c.Line, err}
		}
	}
	if len(p.Changes) == 0 {
		return nil, &ExportError{f, -1, 0, ErrNoDifference}
	}
	data, err := x.write(cmp.Or(p.Executable, o.Module))
	if err != nil {
		return nil, &ExportError{f, -1, 0, err}
	}
	return data, nil
}

type exporter struct {
	*original
	format Format
	module string // that the original is of; "" for the only one
	runs   []edit // the module is as an expression has it
}

func (x *exporter) add(c patch.Change) error {
	if c.At == nil {
		return errors.New("its place is that of a pattern")
	}
	module, at, ok := c.At.InModule()
	switch {
	case !ok:
		return fmt.Errorf("%v is not a module and an offset", c.At)
	case len(c.New) == 0:
		return errors.New("it has no new bytes")
	case slices.ContainsFunc(c.Mask, func(m byte) bool { return m != 0xff }):
		return errors.New("some bits of its old bytes do not matter")
	case x.format != X64dbg && len(x.runs) > 0 && module != x.runs[0].module:
		return fmt.Errorf("it is in %s, and the first one is in %s", module, x.runs[0].module)
	}
	e := edit{module: module, at: at, old: c.Old, new: c.New}
	if len(c.Old) == 0 {
		e.old = nil
	}
	if x.original != nil && (x.format != X64dbg || x.module == "" || module == moduleText(x.module)) {
		if err := x.inOriginal(&e); err != nil {
			return fmt.Errorf("%v: %w", c.At, err)
		}
	}
	if len(e.old) != len(e.new) && (x.format == X64dbg || x.format == IDA || x.format == FC) {
		return errors.New("it has no old bytes")
	}
	x.runs = append(x.runs, e)
	return nil
}

// inOriginal checks an edit of memory against the original, and gives it the place and the
// old bytes that the format needs.
func (x *exporter) inOriginal(e *edit) error {
	size := uint64(len(e.new))
	part, err := x.partAt(e.at, size)
	if err != nil {
		return err
	}
	in := e.at - part.At
	inFile := in < part.FileSize && size <= part.FileSize-in
	if x.format == X64dbg && (part.Perms&procmaps.Write != 0 || !inFile) {
		return nil // the process decides what is there
	}
	if !inFile {
		return errors.New("the file has nothing of it")
	}
	found, err := x.loaded(part, e.at, size)
	if err == nil {
		err = e.check(found)
	}
	if err != nil {
		return err
	}
	e.old = found
	if x.format != X64dbg {
		e.at = part.Offset + in
	}
	return nil
}

// write writes the runs, for a module of this name if they are for @exe.
func (x *exporter) write(exe string) ([]byte, error) {
	slices.SortStableFunc(x.runs, func(a, b edit) int { return cmp.Or(cmp.Compare(a.module, b.module), cmp.Compare(a.at, b.at)) })
	for i, e := range x.runs[1:] {
		if last := x.runs[i]; last.module == e.module && last.end() > e.at {
			return nil, fmt.Errorf("two changes lie over each other at %#x", e.at)
		}
	}
	switch x.format {
	case IPS, IPS32:
		return x.writeIPS()
	case BPS:
		return x.writeBPS()
	case X64dbg, IDA, FC:
		return x.writeText(exe)
	}
	return nil, errors.New("the format is not known")
}

// writeText writes lines that end as those of Windows do.
func (x *exporter) writeText(exe string) ([]byte, error) {
	var b bytes.Buffer
	last := ""
	for _, e := range x.runs {
		if e.module != last {
			name, err := fileName(e.module, exe)
			if err != nil {
				return nil, err
			}
			switch x.format {
			case X64dbg:
				fmt.Fprintf(&b, ">%s\r\n", name)
			case IDA:
				fmt.Fprintf(&b, "%screated by IDA\r\n\r\n%s\r\n", idaHeader+"has been ", name)
			case FC:
				fmt.Fprintf(&b, "Comparing files %s and %s.patched\r\n", name, name)
			}
			last = e.module
		}
		format := "%08X: %02X %02X\r\n"
		if x.format == X64dbg {
			format = "%016X:%02X->%02X\r\n"
		}
		for i := range e.new {
			fmt.Fprintf(&b, format, e.at+uint64(i), e.old[i], e.new[i])
		}
	}
	return b.Bytes(), nil
}

// fileName returns the name of a module that an expression has, for a line of its own.
func fileName(module, exe string) (string, error) {
	name := module
	if unquoted, err := strconv.Unquote(module); err == nil {
		name = unquoted
	}
	if strings.HasPrefix(module, "@") {
		if name = exe; exe == "" || exe == module {
			return "", fmt.Errorf("it needs the name of the file of %s", module)
		}
	}
	if strings.ContainsAny(name, "\r\n\x00") || strings.TrimSpace(name) != name || name == "" {
		return "", fmt.Errorf("%s cannot stand on a line of its own", address.Quote(name))
	}
	return name, nil
}

// writeIPS writes records of at most 65535 bytes.
func (x *exporter) writeIPS() ([]byte, error) {
	const most = 1<<16 - 1
	f := ipsOf(x.format)
	wide := len(f.end)
	out := []byte(f.header)
	for _, e := range x.joined() {
		for at := 0; at < len(e.new); {
			offset, data := e.at+uint64(at), e.new[at:min(at+most, len(e.new))]
			if (offset+uint64(len(data))-1)>>(8*wide) != 0 {
				return nil, fmt.Errorf("%#x is too far from the front of the file", offset)
			}
			at += len(data)
			if offset == bigEndian([]byte(f.end)) { // it would be taken for the end: begin a byte before
				previous := make([]byte, 1)
				if start := at - len(data); start > 0 {
					previous[0] = e.new[start-1]
				} else if _, err := x.ReadAt(previous, int64(offset)-1); err != nil {
					return nil, fmt.Errorf("reading the original: %w", err)
				}
				offset, data = offset-1, slices.Concat(previous, data)
				if len(data) > most {
					data = data[:most]
					at--
				}
			}
			number := binary.BigEndian.AppendUint64(nil, offset)
			out = append(out, number[8-wide:]...)
			out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
			out = append(out, data...)
		}
	}
	return append(out, f.end...), nil
}

// joined returns the runs with those side by side as one, of any length.
func (x *exporter) joined() (runs []edit) {
	for _, e := range x.runs {
		if n := len(runs); n > 0 && runs[n-1].end() == e.at {
			runs[n-1].new = slices.Concat(runs[n-1].new, e.new)
		} else {
			runs = append(runs, e)
		}
	}
	return runs
}

// writeBPS writes the new bytes, and that all others are those of the source.
func (x *exporter) writeBPS() ([]byte, error) {
	target, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()))
	if err != nil {
		return nil, fmt.Errorf("reading the original: %w", err)
	}
	out := []byte(bpsHeader)
	for _, n := range []int{len(target), len(target), 0} {
		out = appendNumber(out, uint64(n))
	}
	source, at := crc32.ChecksumIEEE(target), uint64(0)
	action := func(kind, length uint64) { out = appendNumber(out, (length-1)<<2|kind) }
	for _, e := range x.runs {
		if e.at > at {
			action(sourceRead, e.at-at)
		}
		action(targetRead, uint64(len(e.new)))
		out = append(out, e.new...)
		copy(target[e.at:], e.new)
		at = e.end()
	}
	if rest := uint64(len(target)) - at; rest > 0 {
		action(sourceRead, rest)
	}
	out = binary.LittleEndian.AppendUint32(out, source)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(target))
	return binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(out)), nil
}

// appendNumber appends a number as BPS has it.
func appendNumber(out []byte, n uint64) []byte {
	for ; n >= 0x80; n = n>>7 - 1 {
		out = append(out, byte(n&0x7f))
	}
	return append(out, byte(n)|0x80)
}
