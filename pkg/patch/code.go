// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"debug/elf"
	"errors"
	"io"
	"sort"

	"github.com/vmwrite/vmwrite/internal/instruction"
)

// codeRange is code that is replaced as one: changes with no byte between them, and what
// follows them up to where an instruction begins both before and after.
type codeRange struct {
	start, end uint64
	old, new   []byte // of the changes, which may be less
	// inner says that an instruction of the old code begins inside, so that a thread may
	// come back there. Where that can't be told it is true.
	inner bool
	// begins says that an instruction which is known begins the new code, and no system call
	// the old one: a thread that is to make it again has other registers than before it.
	begins bool
}

func (r codeRange) mayHold() bool { return r.inner || !r.begins }

// isInside reports whether a thread that goes on at an address would run neither the old
// code nor the new. What is at the start of the range was an instruction before, because
// the thread is there, and no byte before it has changed.
func (r codeRange) isInside(address uint64) bool {
	return r.start < address && address < r.end || address == r.start && !r.begins
}

// decoder tells where instructions begin in functions, in which it goes on and never back.
type decoder struct {
	machine elf.Machine
	memory  io.ReaderAt
	changed []codeRange
	start   func(pc uint64) (uint64, error) // of the function that an address lies in

	function   uint64
	last, next uint64 // where the last instruction begins that was decoded, and the one behind it
	err        error
	decoded    int // bytes

	code   []byte // some of what is there, from the address at on
	at     uint64
	buffer [4096]byte
}

const (
	longestInstruction = 15
	// mostDecoded bounds how many bytes are decoded, because the process stands still
	// meanwhile: for about a tenth of a second.
	mostDecoded = 1 << 18
)

// reach returns a changed range, with what it reaches to and what can be told of it, and
// the index of the first one that it does not reach.
func (d *decoder) reach(i int) (r codeRange, next int) {
	r, next = d.changed[i], i+1
	if d.machine == elf.EM_AARCH64 { // where all instructions have the same size
		r.inner, r.begins = (r.start/4+1)*4 < r.end, r.start%4 == 0 && !d.isSystemCall(r.start)
		return r, next
	}
	_, err := d.size(r.start, true)
	r.begins = err == nil && !d.isSystemCall(r.start)
	// Of code whose start is not known, the changes are taken to begin with an instruction,
	// and a byte to be all of one or inside it, so that nothing comes back behind it.
	old, second, single := r.start, r.start+1, r.end-r.start == 1
	if d.decodeTo(r.start) {
		old, second, single = d.last, d.next, false
	}
	for now := old; old < r.end || old != now; {
		for next < len(d.changed) && d.changed[next].start < max(old, now) {
			r.end = max(r.end, d.changed[next].end)
			next++
		}
		at := &old
		if now < old {
			at = &now
		}
		size, err := d.size(*at, at == &now)
		if err != nil { // the one that is not known may be as long as any
			r.end = max(r.end+longestInstruction-1, old, now)
			second = r.start + 1
			break
		}
		*at += uint64(size)
		if old == now {
			r.end = max(r.end, old)
		}
	}
	for next < len(d.changed) && d.changed[next].start < r.end {
		r.end = max(r.end, d.changed[next].end)
		next++
	}
	r.inner = second < r.end && !(single && next == i+1)
	return r, next
}

// decodeTo decodes the function that an address lies in up to the instruction that has the
// address, and reports whether all of that is known.
func (d *decoder) decodeTo(address uint64) bool {
	function, err := d.start(address)
	if err != nil {
		return false
	}
	if function != d.function || d.last > address {
		d.function, d.last, d.next, d.err = function, function, function, nil
	}
	for d.err == nil && d.next <= address {
		var size int
		size, d.err = d.size(d.next, false)
		d.last, d.next = d.next, d.next+uint64(size)
	}
	return d.err == nil
}

var errDecoded = errors.New("too many instructions")

// size returns the size of the instruction that is at an address before the changes, or
// after them.
func (d *decoder) size(at uint64, after bool) (int, error) {
	if d.decoded >= mostDecoded {
		return 0, errDecoded
	}
	if from := at - d.at; from >= uint64(len(d.code)) || uint64(len(d.code))-from < longestInstruction {
		n, _ := d.memory.ReadAt(d.buffer[:], int64(at)) // what is missing is no instruction
		d.code, d.at = d.buffer[:n], at
	}
	var one [longestInstruction]byte
	code := one[:copy(one[:], d.code[at-d.at:])]
	end := at + uint64(len(code))
	i := sort.Search(len(d.changed), func(i int) bool { return d.changed[i].end > at })
	for ; i < len(d.changed) && d.changed[i].start < end; i++ {
		r := d.changed[i]
		data := r.old
		if after {
			data = r.new
		}
		if r.start < at {
			copy(code, data[at-r.start:])
		} else {
			copy(code[r.start-at:], data)
		}
	}
	size, err := instruction.Size(d.machine, code)
	d.decoded += size
	return size, err
}

// isSystemCall reports whether the old code at an address makes a system call, or can't be
// read.
func (d *decoder) isSystemCall(address uint64) bool {
	var code [4]byte
	if n, _ := d.memory.ReadAt(code[:], int64(address)); n < 2 {
		return true
	}
	if d.machine == elf.EM_AARCH64 {
		return code == [4]byte{0x01, 0x00, 0x00, 0xd4} // svc #0
	}
	switch [2]byte(code[:]) {
	case [2]byte{0x0f, 0x05}, [2]byte{0x0f, 0x34}, [2]byte{0xcd, 0x80}: // syscall, sysenter, int 0x80
		return true
	}
	return false
}
