// SPDX-License-Identifier: Apache-2.0

package machcompat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
)

// ErrType is what the error of a type wraps that has no one layout in the target.
var ErrType = errors.New("the type has no fixed layout in the target")

// ErrValue is what the error of a value wraps that the target's memory can't hold:
// a [Pointer] wider than the target's, or a string that its NUL would cut.
var ErrValue = errors.New("the value cannot be held by the target")

// ValueMemory is where values are read and written: a [*Task], or a [*Stopped].
type ValueMemory interface {
	PID() int
	PointerSize() int
	ReadBatch(segments []Segment) error
	WriteBatch(segments []Segment) error
}

// ReadValue reads the value of type T at address. T is a bool, an integer of a
// fixed size, a float, a [Pointer], an array of such, or a struct whose fields are
// such and exported. It is laid out as a C compiler lays it out for the target: in
// the target's byte order and with the padding that its ABI puts between fields.
// (For a 32-bit program of x86 System V that is a field of 8 bytes at a multiple of
// 4. Where a compiler does otherwise, as those of Windows do there, blank fields
// give the padding.) The bytes of padding and of blank fields are not read.
//
// The error is that of [Task.ReadBatch], its Segment counted in runs of bytes
// between padding; or an [*Error] with KERN_INVALID_ARGUMENT that wraps [ErrType]
// for any other T, int, uint and uintptr too, whose size is Go's and not the
// target's.
func ReadValue[T any](m ValueMemory, address uint64) (T, error) {
	var value T
	l, err := layoutOf(reflect.TypeFor[T](), m.PointerSize())
	if err != nil {
		return value, valueError(m, opRead, address, err)
	}
	if l.size > 0 && rangeWraps(address, l.size) {
		return value, wrapError(m, opRead, address, l.size)
	}
	packed := make([]byte, l.packed)
	if err := m.ReadBatch(l.segments(address, packed)); err != nil {
		return value, err
	}
	for _, at := range l.narrow {
		binary.NativeEndian.PutUint64(packed[at:], uint64(binary.NativeEndian.Uint32(packed[at:])))
	}
	if _, err := binary.Decode(packed, binary.NativeEndian, &value); err != nil {
		return value, valueError(m, opRead, address, fmt.Errorf("%w: %w", ErrType, err))
	}
	return value, nil
}

// WriteValue writes value at address, laid out as by [ReadValue], and no byte but
// the value's own: padding and blank fields keep what the target has there. All
// of it is written, or nothing.
//
// The error is that of [Task.WriteBatch], its Segment counted in runs of bytes
// between padding; or an [*Error] with KERN_INVALID_ARGUMENT that wraps [ErrType]
// or, for a [Pointer] beyond the target's pointers, [ErrValue].
func WriteValue[T any](m ValueMemory, address uint64, value T) error {
	l, err := layoutOf(reflect.TypeFor[T](), m.PointerSize())
	if err != nil {
		return valueError(m, opWrite, address, err)
	}
	if l.size > 0 && rangeWraps(address, l.size) {
		return wrapError(m, opWrite, address, l.size)
	}
	packed, err := binary.Append(make([]byte, 0, l.packed), binary.NativeEndian, &value)
	if err != nil {
		return valueError(m, opWrite, address, fmt.Errorf("%w: %w", ErrType, err))
	}
	for _, at := range l.narrow {
		pointer := binary.NativeEndian.Uint64(packed[at:])
		if pointer > math.MaxUint32 {
			return valueError(m, opWrite, address, fmt.Errorf("%w: pointer %#x is wider than 32 bits", ErrValue, pointer))
		}
		binary.NativeEndian.PutUint32(packed[at:], uint32(pointer))
	}
	return m.WriteBatch(l.segments(address, packed))
}

func valueError(m ValueMemory, op string, address uint64, err error) error {
	return &Error{Op: op, PID: m.PID(), Address: address, Code: KERN_INVALID_ARGUMENT, Err: err}
}

// wrapError refuses a value whose last bytes would lie at the lowest addresses.
func wrapError(m ValueMemory, op string, address, size uint64) error {
	return &Error{Op: op, PID: m.PID(), Address: address, Size: size, Code: KERN_INVALID_ADDRESS, Fault: address}
}

// valueLayout is how a type lies in the target, and in the form that encoding/binary
// gives it: field behind field without padding, a Pointer as 8 bytes.
type valueLayout struct {
	size   uint64 // in the target, padding at the end included
	align  uint64
	packed int
	runs   []run // in the order of their addresses
	narrow []int // where in the packed form a Pointer stands for 4 bytes in the target
}

// run is bytes that lie side by side in the target and in the packed form.
type run struct {
	offset uint64 // in the target
	packed int
	size   int
}

func (l *valueLayout) segments(address uint64, packed []byte) []Segment {
	segments := make([]Segment, len(l.runs))
	for i, r := range l.runs {
		segments[i] = Segment{Address: address + r.offset, Data: packed[r.packed : r.packed+r.size]}
	}
	return segments
}

// add puts a member behind the last one.
func (l *valueLayout) add(member *valueLayout, blank bool) {
	l.align = max(l.align, member.align)
	start := alignUp(l.size, member.align)
	if !blank {
		for _, r := range member.runs {
			l.addRun(run{start + r.offset, l.packed + r.packed, r.size})
		}
		for _, at := range member.narrow {
			l.narrow = append(l.narrow, l.packed+at)
		}
	}
	l.size = start + member.size
	l.packed += member.packed
}

func (l *valueLayout) addRun(r run) {
	if n := len(l.runs); n > 0 {
		last := &l.runs[n-1]
		if last.offset+uint64(last.size) == r.offset && last.packed+last.size == r.packed {
			last.size += r.size
			return
		}
	}
	l.runs = append(l.runs, r)
}

func alignUp(n, align uint64) uint64 { return (n + align - 1) / align * align }

// isX86 tells the one ABI with pointers of 4 bytes that aligns 8 bytes to 4 (System V
// i386) from others, as that of 32-bit Arm, which align them to 8.
const isX86 = runtime.GOARCH == "386" || runtime.GOARCH == "amd64"

type layoutKey struct {
	reflect.Type
	pointerSize int
}

var layouts sync.Map // of layoutKey to *valueLayout

// layoutOf returns the layout of a type, which is found out once.
func layoutOf(t reflect.Type, pointerSize int) (*valueLayout, error) {
	key := layoutKey{t, pointerSize}
	if l, ok := layouts.Load(key); ok {
		return l.(*valueLayout), nil
	}
	l, err := newLayout(t, pointerSize)
	if err == nil {
		layouts.Store(key, l)
	}
	return l, err
}

func newLayout(t reflect.Type, pointerSize int) (*valueLayout, error) {
	l := &valueLayout{align: 1}
	switch kind := t.Kind(); kind {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		l.packed = int(t.Size())
		l.size = uint64(t.Size())
		if t == reflect.TypeFor[Pointer]() && pointerSize == 4 {
			l.size, l.narrow = 4, []int{0}
		}
		l.align = l.size
		if l.size == 8 && pointerSize == 4 && isX86 {
			l.align = 4
		}
		l.runs = []run{{size: int(l.size)}}
	case reflect.Array:
		element, err := layoutOf(t.Elem(), pointerSize)
		if err != nil {
			return nil, err
		}
		l.align = element.align
		for range t.Len() {
			l.add(element, false)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			member, err := layoutOf(field.Type, pointerSize)
			switch {
			case err != nil:
				return nil, fmt.Errorf("field %s: %w", field.Name, err)
			case field.Name != "_" && !field.IsExported():
				return nil, fmt.Errorf("field %s: %w: it is not exported", field.Name, ErrType)
			}
			l.add(member, field.Name == "_")
		}
		l.size = alignUp(l.size, l.align)
	default:
		return nil, fmt.Errorf("%w: %v", ErrType, t)
	}
	return l, nil
}
