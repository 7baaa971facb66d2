// SPDX-License-Identifier: Apache-2.0

package unwind

import (
	"errors"
	"fmt"
)

// entry is what a table says for one place in the code.
type entry struct {
	rules
	start  uint64 // of the function
	column int    // the register of the return address
	signal bool   // it is for the return from a signal handler
}

// entryOf finds the entry for an address in the code.
func (u *Unwinder) entryOf(pc uint64) (*entry, error) {
	if e := u.entries[pc]; e != nil {
		return e, nil
	}
	t, ok := u.tables(pc)
	if !ok || pc-t.Base >= t.Size {
		return nil, errors.New("it is in no module")
	}
	at, err := u.search(t, pc)
	if err != nil {
		return nil, err
	}
	e, err := u.describe(t, at, pc)
	if err != nil {
		return nil, err
	}
	if len(u.entries) >= maxEntries {
		clear(u.entries)
	}
	u.entries[pc] = e
	return e, nil
}

// Function returns where the function, or the part of one, begins that an address lies in.
// Instructions follow each other from there on. The error wraps [ErrUnknown].
func (u *Unwinder) Function(pc uint64) (start uint64, err error) {
	if u.abi == nil {
		return 0, ErrUnknown
	}
	u.memory.work = maxWork
	e, err := u.entryOf(pc)
	if err != nil {
		return 0, &Error{pc, err}
	}
	return e.start, nil
}

// errNoEntry means that the table of a module has nothing for the place.
var errNoEntry = errors.New("the module has no table for it")

// search finds the description of the function that may contain an address: the last one
// that begins at or below it. All linkers write an index of the same form.
func (u *Unwinder) search(t Table, pc uint64) (at uint64, err error) {
	const version, sizeOfHead, sizeOfRow = 1, 12, 8
	if t.Header == 0 || t.HeaderSize < sizeOfHead {
		return 0, errNoEntry
	}
	var head [sizeOfHead]byte
	if err := u.memory.read(t.Header, head[:]); err != nil {
		return 0, err
	}
	c := cursor{data: head[:], word: u.abi.word}
	found, toTable, ofCount, ofRows := c.number(1), c.number(1), c.number(1), c.number(1)
	// The pointer to .eh_frame is of no use here, but has to have 4 bytes.
	format := toTable & formatOfPointer
	if found != version || format != sdata4 && format != udata4 || ofCount != udata4 || ofRows != datarelSdata4 {
		return 0, fmt.Errorf("the index of the module's table is of a kind (%#x) that is not known", head[:4])
	}
	c.number(4)
	count := c.number(4)
	if count > (t.HeaderSize-sizeOfHead)/sizeOfRow {
		return 0, fmt.Errorf("the index of the module's table has %d rows in %d bytes", count, t.HeaderSize)
	}
	low, high := uint64(0), count // all below low begin at or below pc, and none from high on
	for low < high {
		middle := low + (high-low)/2
		row, err := u.memory.word(t.Header+sizeOfHead+middle*sizeOfRow, sizeOfRow)
		if err != nil {
			return 0, err
		}
		if u.inHeader(t, row) <= pc {
			low, at = middle+1, u.inHeader(t, row>>32)
		} else {
			high = middle
		}
	}
	if low == 0 {
		return 0, errNoEntry
	}
	return at, nil
}

// inHeader returns the address that 4 bytes of the index mean.
func (u *Unwinder) inHeader(t Table, value uint64) uint64 {
	return (t.Header + uint64(extend(value, 4))) & u.abi.mask()
}

// record reads a record of .eh_frame, behind its length.
func (u *Unwinder) record(t Table, at uint64) (*cursor, error) {
	const longest, inDWARF64 = 1 << 16, 1<<32 - 1
	if at-t.Base >= t.Size {
		return nil, fmt.Errorf("its table is at %#x, outside of the module", at)
	}
	size, err := u.memory.word(at, 4)
	switch {
	case err != nil:
		return nil, err
	case size == inDWARF64 || size > longest || size > t.Size-(at-t.Base):
		return nil, fmt.Errorf("a record of the table has %#x bytes", size)
	}
	c := &cursor{data: make([]byte, size), address: at + 4, word: u.abi.word}
	return c, u.memory.read(c.address, c.data)
}

// common is what descriptions of functions have in common: a CIE.
type common struct {
	codeFactor   uint64
	dataFactor   int64
	column       uint64
	encoding     byte // of the pointers to code
	augmented    bool // descriptions have data of their own
	signal       bool
	instructions *cursor
}

// common reads a CIE.
func (u *Unwinder) common(t Table, at uint64) (*common, error) {
	c, err := u.record(t, at)
	if err != nil {
		return nil, err
	}
	if id := c.number(4); id != 0 {
		c.fail(fmt.Errorf("the record at %#x is not what functions have in common", at))
	}
	version := c.number(1)
	if version != 1 && version != 3 {
		c.fail(fmt.Errorf("version %d of the table is not known", version))
	}
	augmentation := c.text()
	k := &common{codeFactor: c.uleb(), dataFactor: c.sleb(), instructions: c}
	if version == 1 {
		k.column = c.number(1)
	} else {
		k.column = c.uleb()
	}
	if c.err == nil && k.column >= uint64(u.abi.registers) {
		c.fail(fmt.Errorf("return addresses are in register %d", k.column))
	}
	if augmentation != "" {
		k.augment(augmentation, c)
	}
	return k, c.err
}

// augment reads what the letters of an augmentation stand for.
func (k *common) augment(letters string, c *cursor) {
	if letters[0] != 'z' {
		c.fail(fmt.Errorf("the augmentation %q of the table is not known", letters))
		return
	}
	k.augmented = true
	size := c.uleb()
	d := cursor{address: c.address, word: c.word}
	d.data = c.bytes(size)
	for _, letter := range letters[1:] {
		switch letter {
		case 'L': // how the address of the tables for exceptions is written
			d.number(1)
		case 'P': // the function for exceptions
			const indirect = 0x80
			d.pointer(byte(d.number(1)) &^ indirect)
		case 'R':
			k.encoding = byte(d.number(1))
		case 'S':
			k.signal = true
		case 'B': // arm64: return addresses are signed with the other key
		case 'G': // arm64: the stack's memory is tagged
		default:
			d.fail(fmt.Errorf("the augmentation %q of the table is not known", letters))
		}
	}
	if d.err != nil {
		c.fail(d.err)
	}
}

// describe reads the description of a function, an FDE, and runs it up to an address.
func (u *Unwinder) describe(t Table, at, pc uint64) (*entry, error) {
	c, err := u.record(t, at)
	if err != nil {
		return nil, err
	}
	back := c.number(4)
	if c.err != nil || back == 0 {
		return nil, fmt.Errorf("the record at %#x is not of a function", at)
	}
	k, err := u.common(t, at+4-back)
	if err != nil {
		return nil, err
	}
	start := c.pointer(k.encoding)
	size := c.pointer(k.encoding & formatOfPointer)
	if k.augmented {
		c.bytes(c.uleb())
	}
	switch {
	case c.err != nil:
		return nil, c.err
	case pc-start >= size:
		return nil, errNoEntry
	}
	m := rowMachine{common: k, abi: u.abi, at: start, until: pc}
	if err := m.run(k.instructions); err != nil {
		return nil, err
	}
	first := m.rules
	m.first = &first
	if err := m.run(c); err != nil {
		return nil, err
	}
	return &entry{rules: m.rules, start: start, column: int(k.column), signal: k.signal}, nil
}
