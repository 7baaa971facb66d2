// SPDX-License-Identifier: Apache-2.0

package machcompat_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

type (
	team  uint16
	point struct {
		X, Y float32
	}
	mixed struct { // the 8 bytes of F lie at 16, or with an alignment of 4 at 12
		A uint8
		B uint16
		D uint32
		E uint8
		F uint64
		G bool
	}
	linked struct {
		Flag uint8
		Next machcompat.Pointer
		Last [2]machcompat.Pointer
		Size uint16
	}
	spaced struct { // as a compiler of Windows lays it out, in 32 bits too
		A uint32
		_ [4]byte
		B uint64
		_ uint16
		C uint16
	}
	nested struct {
		Inner [2]struct {
			A uint16
			B uint8
		}
		Z uint8
	}
)

// valueCase is a value and its bytes in the target, in hex: first those of a target
// with pointers of 8 bytes, then those of one with 4 where they are others. Two dots
// are a byte that is not the value's.
type valueCase struct {
	name    string
	write   func(m machcompat.ValueMemory, address uint64) error
	confirm func(m machcompat.ValueMemory, address uint64) error // that the value is read again
	want    [2]string
}

func valueOf[T comparable](name string, value T, want ...string) valueCase {
	return valueCase{
		name:  name,
		write: func(m machcompat.ValueMemory, address uint64) error { return machcompat.WriteValue(m, address, value) },
		confirm: func(m machcompat.ValueMemory, address uint64) error {
			got, err := machcompat.ReadValue[T](m, address)
			if err == nil && got != value {
				err = errors.New("another value was read")
			}
			return err
		},
		want: [2]string{want[0], want[len(want)-1]},
	}
}

var valueCases = []valueCase{
	valueOf("bool", true, "01"),
	valueOf("int8", int8(-2), "fe"),
	valueOf("uint8", uint8(0xfe), "fe"),
	valueOf("int16", int16(-2), "feff"),
	valueOf("uint16", uint16(0x1234), "3412"),
	valueOf("int32", int32(-2), "feffffff"),
	valueOf("uint32", uint32(0x12345678), "78563412"),
	valueOf("int64", int64(-2), "feffffffffffffff"),
	valueOf("uint64", uint64(0x123456789abcdef0), "f0debc9a78563412"),
	valueOf("float32", float32(1.5), "0000c03f"),
	valueOf("float64", -2.5, "00000000000004c0"),
	valueOf("a named integer", team(7), "0700"),
	valueOf("a pointer", machcompat.Pointer(0x12345678), "7856341200000000", "78563412"),
	valueOf("the largest pointer of 32 bits", machcompat.Pointer(math.MaxUint32), "ffffffff00000000", "ffffffff"),
	valueOf("an array", [3]int16{1, -1, 2}, "0100ffff0200"),
	valueOf("an array of arrays", [2][2]uint8{{1, 2}, {3, 4}}, "01020304"),
	valueOf("an array of pointers", [2]machcompat.Pointer{1, 2}, "01000000000000000200000000000000", "0100000002000000"),
	valueOf("an array of nothing", [0]uint64{}, ""),
	valueOf("a struct without fields", struct{}{}, ""),
	valueOf("a struct without padding", point{1, 2}, "0000803f00000040"),
	valueOf("a struct with padding", mixed{1, 2, 4, 5, 6, true},
		"01..02000400000005..............060000000000000001",
		"01..02000400000005......060000000000000001"),
	valueOf("a struct with pointers", linked{1, 2, [2]machcompat.Pointer{3, 4}, 5},
		"01..............0200000000000000030000000000000004000000000000000500",
		"01......0200000003000000040000000500"),
	valueOf("a struct with blank fields", spaced{A: 1, B: 2, C: 3}, "01000000........0200000000000000....0300"),
	valueOf("a struct in an array in a struct", nested{Inner: [2]struct {
		A uint16
		B uint8
	}{{1, 2}, {3, 4}}, Z: 5}, "010002..030004..05"),
}

// over returns bytes of which those in hex are replaced, and those with dots are kept.
func over(t *testing.T, before []byte, text string) []byte {
	t.Helper()
	after := []byte(string(before))
	for i := 0; i < len(text); i += 2 {
		if text[i] == '.' {
			continue
		}
		if _, err := hex.Decode(after[i/2:], []byte(text[i:i+2])); err != nil {
			t.Fatal(err)
		}
	}
	return after
}

func TestValues(t *testing.T) {
	eachWordSize(t, func(t *testing.T, target *testtarget.Target, goarch string) {
		task := taskFor(t, target.PID)
		if got := task.PointerSize(); goarch == "386" && got != 4 || goarch == "amd64" && got != 8 {
			t.Errorf("PointerSize of %s = %d", goarch, got)
		}
		testValues(t, target, task)
	})
}

// narrow is a task that is said to be of 32 bits, which not every kernel can run.
type narrow struct{ *machcompat.Task }

func (narrow) PointerSize() int { return 4 }

func TestValuesOfA32BitTask(t *testing.T) {
	target := testtarget.Start(t)
	testValues(t, target, narrow{taskFor(t, target.PID)})
}

func testValues(t *testing.T, target *testtarget.Target, m machcompat.ValueMemory) {
	for _, c := range valueCases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want[0]
			if m.PointerSize() == 4 {
				want = c.want[1]
			}
			if m.PointerSize() == 4 && strings.HasPrefix(runtime.GOARCH, "arm") && c.name == "a struct with padding" {
				want = c.want[0] // 32-bit Arm aligns 8 bytes to 8
			}
			for _, offset := range []uint64{64, 67} { // addresses need no alignment
				page := target.Address("layout rw-:1")
				before := target.Bytes(page, 256)
				if err := c.write(m, page+offset); err != nil {
					t.Fatal(err)
				}
				after := over(t, before, strings.Repeat("..", int(offset))+want)
				if got := target.Bytes(page, 256); string(got) != string(after) {
					t.Errorf("the memory is\n%x; want\n%x", got, after)
				}
				if err := c.confirm(m, page+offset); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestValuesInAStop(t *testing.T) {
	target := testtarget.Start(t)
	address := target.Address("layout rw-:1")
	task := taskFor(t, target.PID)
	err := task.Stopped(context.Background(), func(s *machcompat.Stopped) error {
		if s.PID() != target.PID || s.PointerSize() != task.PointerSize() {
			t.Errorf("PID %d and PointerSize %d in the stop", s.PID(), s.PointerSize())
		}
		for _, c := range valueCases {
			if err := errors.Join(c.write(s, address), c.confirm(s, address)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// refusal is a call that must be refused before anything is read or written.
type refusal struct {
	name string
	call func(m machcompat.ValueMemory, address uint64) error
	want error
}

func typeRefused[T any](name string) refusal {
	return refusal{name, func(m machcompat.ValueMemory, address uint64) error {
		var value T
		_, err := machcompat.ReadValue[T](m, address)
		if !errors.Is(err, machcompat.ErrType) {
			return err
		}
		return machcompat.WriteValue(m, address, value)
	}, machcompat.ErrType}
}

var refusals = []refusal{
	typeRefused[int]("int"),
	typeRefused[uint]("uint"),
	typeRefused[uintptr]("uintptr"),
	typeRefused[string]("a string"),
	typeRefused[[]byte]("a slice"),
	typeRefused[*int32]("a pointer of Go"),
	typeRefused[any]("an interface"),
	typeRefused[error]("an error"),
	typeRefused[map[int32]int32]("a map"),
	typeRefused[func()]("a function"),
	typeRefused[chan int32]("a channel"),
	typeRefused[complex64]("a complex number"),
	typeRefused[[2]int]("an array of int"),
	typeRefused[[0]int]("an array of no int"),
	typeRefused[struct{ A, B int }]("a struct of int"),
	typeRefused[struct{ a int32 }]("a field that is not exported"),
	typeRefused[struct {
		A int32
		_ []byte
	}]("a blank field without a size"),
	{"a string with a NUL", func(m machcompat.ValueMemory, address uint64) error {
		return machcompat.WriteString[byte](m, address, "a\x00b")
	}, machcompat.ErrValue},
	{"a string of uint16 with a NUL", func(m machcompat.ValueMemory, address uint64) error {
		return machcompat.WriteString[uint16](m, address, "\x00")
	}, machcompat.ErrValue},
	{"a string of uint16 that is not UTF-8", func(m machcompat.ValueMemory, address uint64) error {
		return machcompat.WriteString[uint16](m, address, "a\xff")
	}, machcompat.ErrValue},
}

func TestValuesThatAreRefused(t *testing.T) {
	target := testtarget.Start(t)
	address := target.Address("layout rw-:1")
	before := target.Bytes(address, 64)
	task := taskFor(t, target.PID)
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			err := c.call(task, address)
			if e := wantError(t, err, machcompat.KERN_INVALID_ARGUMENT); !errors.Is(err, c.want) || e.PID != target.PID || e.Address != address {
				t.Errorf("the error is %#v; want one of %#x that wraps %v", e, address, c.want)
			}
		})
	}
	if got := target.Bytes(address, 64); string(got) != string(before) {
		t.Error("memory was changed")
	}
}

func TestPointerWiderThanTheTargets(t *testing.T) {
	target := testtarget.Start(t)
	address := target.Address("layout rw-:1")
	before := target.Bytes(address, 64)
	task := narrow{taskFor(t, target.PID)}
	for _, err := range []error{
		machcompat.WriteValue(task, address, machcompat.Pointer(1<<32)),
		machcompat.WriteValue(task, address, linked{Flag: 1, Last: [2]machcompat.Pointer{1, 1 << 63}}),
	} {
		if wantError(t, err, machcompat.KERN_INVALID_ARGUMENT); !errors.Is(err, machcompat.ErrValue) {
			t.Errorf("the error is %v; want ErrValue", err)
		}
	}
	if got := target.Bytes(address, 64); string(got) != string(before) {
		t.Error("memory was changed")
	}
}

// A value of several runs is written whole or not at all, whichever run fails, and
// none of it at the lowest addresses when it would wrap.
func TestValueThatCannotBeMoved(t *testing.T) {
	target := testtarget.Start(t)
	page := target.Address("layout rw-:1,gap:1")
	before := target.Bytes(page, int(pageSize))
	task := taskFor(t, target.PID)
	value := mixed{1, 2, 4, 5, 6, true}
	for _, c := range []struct {
		name    string
		address uint64
		want    machcompat.KernReturn
	}{
		{"the last run is not mapped", page + pageSize - 12, machcompat.KERN_INVALID_ADDRESS},
		{"nothing is mapped", page + pageSize, machcompat.KERN_INVALID_ADDRESS},
		{"it wraps between two runs", math.MaxUint64 - 7, machcompat.KERN_INVALID_ADDRESS},
		{"it wraps at its first byte", math.MaxUint64, machcompat.KERN_INVALID_ADDRESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, machcompat.WriteValue(task, c.address, value), c.want)
			got, err := machcompat.ReadValue[mixed](task, c.address)
			if wantError(t, err, c.want); got != (mixed{}) {
				t.Errorf("%v was read", got)
			}
		})
	}
	if got := target.Bytes(page, int(pageSize)); string(got) != string(before) {
		t.Error("memory was changed")
	}
}

func TestValuesOfATaskThatIsClosed(t *testing.T) {
	task := taskFor(t, testtarget.Start(t).PID)
	task.Close()
	var none *machcompat.Task
	for _, m := range []*machcompat.Task{task, none, {}} {
		_, err := machcompat.ReadValue[int32](m, 0)
		_, textErr := machcompat.ReadString[byte](m, 0, 1)
		for _, err := range []error{err, textErr, machcompat.WriteValue(m, 0, int32(1)), machcompat.WriteString[byte](m, 0, "")} {
			if !errors.Is(err, machcompat.ErrClosed) {
				t.Errorf("the error is %v; want ErrClosed", err)
			}
		}
	}
}
