// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

func TestReadString(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	base := target.Address("layout rw-:2,gap:1")
	end := base + 2*pageSize
	long := strings.Repeat("long", int(pageSize)/4+1)
	const noError machcompat.KernReturn = 0
	for _, c := range []struct {
		name    string
		bytes   string
		address uint64
		limit   int
		read    func(machcompat.ValueMemory, uint64, int) (string, error)
		want    string
		code    machcompat.KernReturn
	}{
		{"up to its NUL", "abc\x00d", base, 100, machcompat.ReadString[byte], "abc", noError},
		{"an empty one", "\x00", base, 1, machcompat.ReadString[byte], "", noError},
		{"the NUL is the last unit of the limit", "abc\x00", base, 4, machcompat.ReadString[byte], "abc", noError},
		{"the NUL is behind the limit", "abc\x00", base, 3, machcompat.ReadString[byte], "abc", machcompat.KERN_FAILURE},
		{"no limit to speak of", "abc\x00", base, math.MaxInt, machcompat.ReadString[byte], "abc", noError},
		{"nothing within the limit", "abc\x00", base, 0, machcompat.ReadString[byte], "", machcompat.KERN_FAILURE},
		{"a limit below nothing", "abc\x00", base, math.MinInt, machcompat.ReadString[byte], "", machcompat.KERN_FAILURE},
		{"its NUL is the last byte that is mapped", "abc\x00", end - 4, 100, machcompat.ReadString[byte], "abc", noError},
		{"it runs into memory that is not mapped", "abc", end - 3, 100, machcompat.ReadString[byte], "", machcompat.KERN_INVALID_ADDRESS},
		{"the limit ends at memory that is not mapped", "abc", end - 3, 3, machcompat.ReadString[byte], "abc", machcompat.KERN_FAILURE},
		{"not mapped", "", end, 100, machcompat.ReadString[byte], "", machcompat.KERN_INVALID_ADDRESS},
		{"over the end of a page", "abcdef\x00", base + pageSize - 3, 100, machcompat.ReadString[byte], "abcdef", noError},
		{"longer than a page", long + "\x00", base + 1, 1 << 20, machcompat.ReadString[byte], long, noError},
		{"bytes that are not UTF-8", "a\xff\xc3\x00", base, 100, machcompat.ReadString[byte], "a\xff\xc3", noError},
		{"the last address", "", math.MaxUint64, 100, machcompat.ReadString[byte], "", machcompat.KERN_INVALID_ADDRESS},
		{"UTF-16", "a\x00\xe4\x00\x3d\xd8\x00\xde\x00\x00", base, 100, machcompat.ReadString[uint16], "aä😀", noError},
		{"UTF-16 with a zero in each half", "\x00a\x00\x01\x00\x00", base, 100, machcompat.ReadString[uint16], "愀Ā", noError},
		{"UTF-16 at an odd address over the end of a page", "a\x00b\x00c\x00\x00\x00", base + pageSize - 3, 100, machcompat.ReadString[uint16], "abc", noError},
		{"UTF-16 with half a pair", "\x3d\xd8a\x00\x00\x00", base, 100, machcompat.ReadString[uint16], "�a", noError},
		{"UTF-16 with its NUL behind the limit", "a\x00b\x00\x00\x00", base, 2, machcompat.ReadString[uint16], "ab", machcompat.KERN_FAILURE},
		{"UTF-16 before memory that is not mapped", "a\x00\x00\x00", end - 4, 100, machcompat.ReadString[uint16], "a", noError},
		{"UTF-16 with half a NUL before memory that is not mapped", "a\x00\x00", end - 3, 100, machcompat.ReadString[uint16], "", machcompat.KERN_INVALID_ADDRESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := task.Write(c.address, []byte(c.bytes)); err != nil {
				t.Fatal(err)
			}
			got, err := c.read(task, c.address, c.limit)
			if got != c.want || machcompat.CodeOf(err) != c.code || errors.Is(err, machcompat.ErrNoEnd) != (c.code == machcompat.KERN_FAILURE) {
				t.Errorf("ReadString = %q, %v; want %q, %s", got, err, c.want, c.code.String())
			}
		})
	}
}

func TestWriteString(t *testing.T) {
	target := testtarget.Start(t)
	task := taskFor(t, target.PID)
	for _, c := range []struct {
		name  string
		write func(machcompat.ValueMemory, uint64, string) error
		read  func(machcompat.ValueMemory, uint64, int) (string, error)
		text  string
		want  string // in hex
	}{
		{"bytes", machcompat.WriteString[byte], machcompat.ReadString[byte], "aä\xff", "61c3a4ff00"},
		{"no bytes", machcompat.WriteString[byte], machcompat.ReadString[byte], "", "00"},
		{"UTF-16", machcompat.WriteString[uint16], machcompat.ReadString[uint16], "aä😀", "6100e4003dd800de0000"},
		{"UTF-16 of nothing", machcompat.WriteString[uint16], machcompat.ReadString[uint16], "", "0000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := target.Address("layout rw-:1,gap:1")
			address := base + pageSize - uint64(len(c.want)/2) // up to the last byte that is mapped
			before := target.Bytes(base, int(pageSize))
			if err := c.write(task, address, c.text); err != nil {
				t.Fatal(err)
			}
			want := over(t, before, strings.Repeat("..", int(address-base))+c.want)
			if got := target.Bytes(base, int(pageSize)); string(got) != string(want) {
				t.Errorf("the page ends in %x; want %s", got[address-base:], c.want)
			}
			if got, err := c.read(task, address, 100); got != c.text || err != nil {
				t.Errorf("ReadString = %q, %v", got, err)
			}
			// One byte of it has no room.
			err := c.write(task, address+1, c.text)
			wantError(t, err, machcompat.KERN_INVALID_ADDRESS)
			if got := target.Bytes(base, int(pageSize)); string(got) != string(want) {
				t.Errorf("the page ends in %x after a write that was refused", got[address-base:])
			}
		})
	}
}

// textMemory is a little memory that begins at an address.
type textMemory struct {
	*machcompat.Task
	start uint64
	data  []byte
}

func (m textMemory) ReadBatch(segments []machcompat.Segment) error {
	for _, s := range segments {
		at := s.Address - m.start
		if s.Address < m.start || at > uint64(len(m.data)) || copy(s.Data, m.data[at:]) < len(s.Data) {
			return &machcompat.Error{Code: machcompat.KERN_INVALID_ADDRESS}
		}
	}
	return nil
}

// Any memory, address and limit give what a look at each unit gives.
func FuzzReadString(f *testing.F) {
	f.Add([]byte("text\x00"), uint64(0), 10)
	f.Add([]byte("t\x00e\x00\x00\x00"), pageSize-3, 3)
	f.Add([]byte{}, uint64(math.MaxUint64), 1)
	f.Fuzz(func(t *testing.T, data []byte, offset uint64, limit int) {
		offset %= pageSize
		// It ends with a page, and without a NUL if there is none in data.
		data = append(data, bytes.Repeat([]byte("x"), int(pageSize-(offset+uint64(len(data)))%pageSize))...)
		address := 16*pageSize + offset
		m := textMemory{start: address, data: data}
		checkString(t, m, limit, 1, machcompat.ReadString[byte])
		checkString(t, m, limit, 2, machcompat.ReadString[uint16])
	})
}

func checkString(t *testing.T, m textMemory, limit, size int, read func(machcompat.ValueMemory, uint64, int) (string, error)) {
	t.Helper()
	var units []uint16
	want := machcompat.KERN_FAILURE
	for at := 0; len(units) < limit; at += size {
		if at+size > len(m.data) {
			want = machcompat.KERN_INVALID_ADDRESS
			break
		}
		unit := uint16(m.data[at])
		if size == 2 {
			unit = binary.NativeEndian.Uint16(m.data[at:])
		}
		if unit == 0 {
			want = machcompat.KERN_SUCCESS
			break
		}
		units = append(units, unit)
	}
	text := string(utf16.Decode(units))
	if size == 1 {
		var b []byte
		for _, unit := range units {
			b = append(b, byte(unit))
		}
		text = string(b)
	}
	if want == machcompat.KERN_INVALID_ADDRESS {
		text = ""
	}
	if got, err := read(m, m.start, limit); got != text || machcompat.CodeOf(err) != want {
		t.Errorf("ReadString of %d bytes each = %q, %v; want %q, %s", size, got, err, text, want.String())
	}
}
