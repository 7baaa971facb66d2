// SPDX-License-Identifier: Apache-2.0

package address

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"sync"
)

// value is what a part of an expression comes to.
type value struct {
	bits uint64
	// size is that of the pointers of the module that is named first, 0 for none: a
	// pointer that is read there has it.
	size int
	// sizes are those of all that took part, as a set of 4 and 8: the pointers that were
	// read, and the modules outside of brackets. Constants have none.
	sizes int
}

// evaluation is one look at what an expression comes to.
type evaluation struct {
	process Process
	layout  *layout
	expr    *Expr
	found   *Resolution
}

// evaluate writes into found what the expression names, up to an error.
func evaluate(found *Resolution, p Process, l *layout, e *Expr) error {
	*found = Resolution{PointerSize: l.pointerSize, Places: found.Places[:0], Links: found.Links[:0]}
	v, err := (&evaluation{p, l, e, found}).value(e.root)
	if err != nil {
		return err
	}
	found.Address = v.bits
	if len(found.Links) == 0 && v.size != 0 {
		found.PointerSize = v.size
	}
	return nil
}

func (e *evaluation) value(n *node) (value, error) {
	switch n.kind {
	case numberNode:
		return value{bits: n.value}, nil
	case placeNode:
		return e.placeValue(n)
	case readNode:
		return e.pointer(n)
	case groupNode:
		return e.value(n.parts[0].node)
	}
	var total value
	for i, part := range n.parts {
		v, err := e.value(part.node)
		if err != nil {
			return value{}, err
		}
		switch {
		case part.minus:
			total.bits -= v.bits
		case i == 0 || n.kind == sumNode:
			total.bits += v.bits
		default:
			total.bits *= v.bits
		}
		if total.size == 0 {
			total.size = v.size
		}
		total.sizes |= v.sizes
	}
	if total.sizes == 4 {
		total.bits = uint64(uint32(total.bits))
	}
	return total, nil
}

func (e *evaluation) placeValue(n *node) (value, error) {
	at, err := e.layout.find(n.place)
	if err != nil {
		return value{}, err
	}
	e.found.Places = append(e.found.Places, Place{e.expr.textOf(n), at.address})
	v := value{bits: at.address, size: at.pointerSize, sizes: at.pointerSize}
	if v.sizes == 0 {
		v.sizes = e.layout.pointerSize
	}
	if v.bits > math.MaxUint32 {
		v.sizes = 8 // a 64-bit process maps a 32-bit module anywhere, to read it
	}
	return v, nil
}

// buffers keeps the bytes of a pointer from being allocated for each read: they
// escape to the process's ReadAt.
var buffers = sync.Pool{New: func() any { return new([8]byte) }}

// pointer reads the pointer at what is in the brackets of n.
func (e *evaluation) pointer(n *node) (value, error) {
	at, err := e.value(n.parts[0].node)
	if err != nil {
		return value{}, err
	}
	size := at.size
	if size == 0 {
		size = e.layout.pointerSize
	}
	buffer := buffers.Get().(*[8]byte)
	defer buffers.Put(buffer)
	if read, err := e.process.ReadAt(buffer[:size], int64(at.bits)); read < size {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return value{}, &ChainError{
			Expr: e.expr.text, Link: len(e.found.Links), Text: e.expr.textOf(n), Address: at.bits,
			Read: slices.Clone(e.found.Links), Err: err,
		}
	}
	v := value{size: at.size, sizes: size}
	if size == 4 {
		v.bits = uint64(binary.NativeEndian.Uint32(buffer[:]))
	} else {
		v.bits = binary.NativeEndian.Uint64(buffer[:])
	}
	e.found.PointerSize = size
	e.found.Links = append(e.found.Links, Link{e.expr.textOf(n), at.bits, v.bits, size})
	return v, nil
}
