// SPDX-License-Identifier: Apache-2.0

// Package convert makes patches of what other tools write, writes patches for them, and
// finds out what two files, or a file and the memory it was loaded into, differ in.
//
// Most formats count from the front of a file. Such an offset becomes a place in memory
// through the program headers or sections of the original, and is skipped where nothing
// loads it, or where a loader changes what it loads: the bytes in memory are others there.
package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/patch"
)

// Format is a format of other tools.
type Format uint8

// The formats. All but X64dbg count from the front of the file.
const (
	X64dbg Format = iota + 1 // .1337 of x64dbg: old and new bytes, counted from the base of a module
	IDA                      // .dif of IDA: old and new bytes
	FC                       // what "fc /b" of Windows prints: old and new bytes
	IPS                      // new bytes in the first 16 MiB of a file
	IPS32                    // new bytes in the first 4 GiB
	BPS                      // how to make one whole file of another, with the checksums of both
)

var formats = []string{X64dbg: "1337", IDA: "dif", FC: "fc", IPS: "ips", IPS32: "ips32", BPS: "bps"}

// String returns "1337", "dif", "fc", "ips", "ips32" or "bps".
func (f Format) String() string {
	if f >= X64dbg && int(f) < len(formats) {
		return formats[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// ParseFormat returns the format that String gives a name.
func ParseFormat(name string) (Format, error) {
	for f, known := range formats {
		if known == name && known != "" {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("%q is not a format: they are %s", name, strings.Join(formats[X64dbg:], ", "))
}

// Detect returns the format of a file by what it begins with, and only then by its name,
// which may be "".
func Detect(data []byte, name string) (Format, bool) {
	for prefix, f := range map[string]Format{"PATCH": IPS, "IPS32": IPS32, "BPS1": BPS} {
		if bytes.HasPrefix(data, []byte(prefix)) {
			return f, true
		}
	}
	const enough = 4 << 10
	text, _ := textOf(data[:min(len(data), enough)])
	first := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(first, ">"):
		return X64dbg, true
	case strings.HasPrefix(first, idaHeader):
		return IDA, true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".1337":
		return X64dbg, true
	case ".dif":
		return IDA, true
	}
	for line := range strings.Lines(text) {
		if _, ok := parseByte(strings.TrimSpace(line), ": ", " "); ok || comparing.MatchString(line) {
			return FC, true
		}
	}
	return 0, false
}

// Options say what a file of another tool does not.
type Options struct {
	// Name is that of the patch; "" for one made of the module's.
	Name string
	// Module is what the patch calls the module: the last part of its path, or @exe. It is
	// "" for what the file names. Of a file that names several, it is the one that the
	// other options tell of.
	Module string
	// Original is the file on disk, as it was before it was changed. All formats but X64dbg
	// need it. Old bytes are checked against it, or come from it.
	Original *io.SectionReader
	// BuildID and SHA256 are what the module must be. With Original they must be its own,
	// and one of them is taken from it where both are "".
	BuildID, SHA256 string
	// Partial lets the rest be a patch when something was skipped.
	Partial bool
}

// Skipped is what did not become a part of the patch.
type Skipped struct {
	Line   int    // of the file, from 1; 0 if it has no lines
	Offset uint64 // as the format counts; of DiffModule, from the base of the module
	Size   uint64 // in bytes
	Reason string
}

// String returns the line, the place and the reason, on one line.
func (s Skipped) String() string {
	unit := "bytes"
	if s.Size == 1 {
		unit = "byte"
	}
	text := fmt.Sprintf("%d %s at %#x: %s", s.Size, unit, s.Offset, s.Reason)
	if s.Line != 0 {
		text = fmt.Sprintf("line %d: %s", s.Line, text)
	}
	return text
}

// SkippedError is that something was skipped, and [Options] did not allow it or nothing
// was left.
type SkippedError struct {
	Skipped []Skipped // at least one
}

// Error returns the first that was skipped, and how many there are.
func (e *SkippedError) Error() string {
	text := "skipped " + e.Skipped[0].String()
	if more := len(e.Skipped) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Error is that a file cannot be imported, or files not be compared.
type Error struct {
	Format Format // 0 if there is none
	Line   int    // of the file, from 1; 0 if that does not matter or the file has no lines
	Offset int    // in the file, of a format without lines
	Err    error
}

// Error says where in the file what is wrong, on one line.
func (e *Error) Error() string {
	switch {
	case e.Format == 0:
		return e.Err.Error()
	case e.Line != 0:
		return fmt.Sprintf("%v, line %d: %v", e.Format, e.Line, e.Err)
	case e.Offset != 0:
		return fmt.Sprintf("%v, byte %#x: %v", e.Format, e.Offset, e.Err)
	}
	return fmt.Sprintf("%v: %v", e.Format, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

var (
	// ErrOriginal is that the original is not the file that something was made for: other
	// bytes are there, or its checksum or build id is another one.
	ErrOriginal = errors.New("the original is another file")
	// ErrNoDifference is that nothing is changed.
	ErrNoDifference = errors.New("there is no difference")
)

// Import makes a patch of a file of another tool. What it skipped is listed whether or not
// that made it fail. The error is an [*Error] or a [*SkippedError].
//
// The patch has at most 100,000 changes of 16 MiB together. Bytes side by side are one
// change of at most 4096, which makes memory writable where the original says that it is
// not, or where no original tells.
func Import(data []byte, f Format, o Options) (*patch.Patch, []Skipped, error) {
	p, skipped, err := importers(data, f, o)
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok && !errors.As(err, new(*SkippedError)) {
			err = &Error{Format: f, Err: err}
		}
		return nil, skipped, err
	}
	return p, skipped, nil
}

func importers(data []byte, f Format, o Options) (*patch.Patch, []Skipped, error) {
	var file *original
	if o.Original != nil {
		var err error
		if file, err = openOriginal(o); err != nil {
			return nil, nil, err
		}
	} else if f != X64dbg {
		return nil, nil, errors.New("the format counts from the front of a file, so the original is needed")
	}
	b := &builder{Options: o, original: file, format: f}
	var err error
	switch f {
	case X64dbg:
		err = b.read1337(data)
	case IDA, FC:
		err = b.readDifferences(data)
	case IPS, IPS32:
		err = b.readIPS(data)
	case BPS:
		err = b.readBPS(data)
	default:
		err = errors.New("the format is not known")
	}
	if err != nil {
		return nil, nil, err
	}
	return b.build()
}
