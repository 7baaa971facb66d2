// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxAt bounds what a file counts to: no file or module is larger.
const maxAt = 1 << 62

var (
	errNotText = errors.New("this is not text")
	errSize    = errors.New("the two files are not of the same size, and a loaded file cannot grow or shrink")
)

// textOf returns the text of a file, which PowerShell writes as UTF-16.
func textOf(data []byte) (string, error) {
	if len(data) >= 2 && data[0] == 0xff && data[1] == 0xfe {
		units := make([]uint16, len(data)/2-1)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(data[2+2*i:])
		}
		return string(utf16.Decode(units)), nil
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if strings.ContainsRune(text, 0) {
		return text, errNotText
	}
	return text, nil
}

// change is a line that says of a byte what it was and what it is.
type change struct {
	at       uint64
	old, new byte
}

// parseByte reads a line as "0000ABCD: 75 EB", with what stands between the numbers.
// Half of a byte is none: a file may have been cut there.
func parseByte(line, afterPlace, afterOld string) (c change, ok bool) {
	place, rest, found := strings.Cut(line, afterPlace)
	before, after, found2 := strings.Cut(strings.TrimSpace(rest), afterOld)
	if before, after = strings.TrimSpace(before), strings.TrimSpace(after); !found || !found2 || len(before) != 2 || len(after) != 2 {
		return c, false
	}
	at, err := strconv.ParseUint(strings.TrimSpace(place), 16, 64)
	previous, err2 := strconv.ParseUint(before, 16, 8)
	next, err3 := strconv.ParseUint(after, 16, 8)
	return change{at, byte(previous), byte(next)}, err == nil && err2 == nil && err3 == nil && at < maxAt
}

// addByte adds the change of a line.
func (b *builder) addByte(module string, line int, c change) error {
	if err := b.add(edit{module, line, c.at, []byte{c.old}, []byte{c.new}}); err != nil {
		return b.at(line, err)
	}
	return nil
}

// at is an error in a line.
func (b *builder) at(line int, err error) error {
	return &Error{Format: b.format, Line: line, Err: err}
}

// quoted is a line as a message has it.
func quoted(line string) string {
	const most = 60
	if len(line) > most {
		return strconv.Quote(strings.ToValidUTF8(line[:most], "")) + "..."
	}
	return strconv.Quote(line)
}

// read1337 reads what x64dbg exports. Its own import ignores what stands before the first
// module, and stops at a line that it cannot read.
func (b *builder) read1337(data []byte) error {
	text, err := textOf(data)
	if err != nil {
		return err
	}
	module, number := "", 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, ">"); ok {
			if module = strings.TrimSpace(name); module == "" {
				return b.at(number, errors.New("a module without a name"))
			}
			continue
		}
		if line == "" {
			continue
		}
		c, ok := parseByte(line, ":", "->")
		if !ok {
			return b.at(number, fmt.Errorf("%s is not as 0000ABCD:75->EB", quoted(line)))
		}
		if module == "" {
			return b.at(number, errors.New("no line says which module this is in, as >game.exe"))
		}
		if err := b.addByte(module, number, c); err != nil {
			return err
		}
	}
	return nil
}

// idaHeader is what the first line of each version of IDA begins with: "This difference
// file has been created by IDA Pro", "... was created by IDA", "... is created by The
// Interactive Disassembler".
const idaHeader = "This difference file "

var (
	comparing = regexp.MustCompile(`^Comparing files (.+) and (.+?)\s*$`)
	// aChange is what is meant as a change, even where it is none.
	aChange = regexp.MustCompile(`^([0-9a-fA-F]{4,}\s*:|[0-9a-fA-F]{8,}\s)`)
)

// maxProse is how many lines may stand before the first change: IDA has its header and the
// name of the file, and fc one line in the language of the system.
const maxProse = 2

// readDifferences reads what IDA and "fc /b" write, which differ in what stands before the
// changes.
func (b *builder) readDifferences(data []byte) error {
	text, err := textOf(data)
	if err != nil {
		return err
	}
	number, prose, ida := 0, 0, false
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		c, ok := parseByte(line, ":", " ")
		files := comparing.FindStringSubmatch(line)
		switch {
		case ok:
			if err := b.addByte("", number, c); err != nil {
				return err
			}
		case line == "":
		case strings.HasPrefix(line, "FC: no differences"):
		case strings.HasPrefix(line, "FC:"): // that one is longer, in the language of the system
			return b.at(number, fmt.Errorf("%w: %s", errSize, quoted(line)))
		case files != nil && (prose > 0 || len(b.edits) > 0):
			return b.at(number, errors.New("the changes of another file begin, and a patch is for one"))
		case aChange.MatchString(line) || prose == maxProse || len(b.edits) > 0:
			return b.at(number, fmt.Errorf("%s is not as 0000ABCD: 75 EB", quoted(line)))
		default:
			if prose++; files != nil && strings.Count(line, " and ") == 1 {
				b.name = lastPart(files[1])
			} else if strings.HasPrefix(line, idaHeader) && prose == 1 {
				ida = true
			} else if ida {
				b.name = lastPart(line)
			}
		}
	}
	return nil
}

// lastPart returns the last part of a path of Windows or Linux.
func lastPart(path string) string { return path[strings.LastIndexAny(path, `/\`)+1:] }
