// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// form is what a matcher looks for, compiled: size bytes with some bits fixed, and
// perhaps a condition on the others.
type form struct {
	value, mask []byte // a match has b[i]&mask[i] == value[i] for each i
	check       func(b []byte) bool
	numbers     [2]interval // of one number that check wants: as bits, negative and other
	align       uint64      // of the address of a match
	place       place
	kind        Type
	unknown     bool // everything matches, and memory that was never touched is left out
}

func (f *form) size() int { return len(f.value) }

// matches looks at all of the bytes.
func (f *form) matches(b []byte) bool {
	for i, m := range f.mask {
		if b[i]&m != f.value[i] {
			return false
		}
	}
	return f.check == nil || f.check(b)
}

// matchesZeros reports whether memory that was never written is to be found.
func (f *form) matchesZeros() bool { return !f.unknown && f.matches(make([]byte, f.size())) }

// probes are four bytes of a form that tell best whether it is there. A form with
// fewer names one several times. Assembly knows the layout.
type probes struct {
	offset      [4]int64
	value, mask [4]byte
}

// reach is how far behind a place the last probe lies.
func (p *probes) reach() int {
	return int(max(p.offset[0], p.offset[1], p.offset[2], p.offset[3]))
}

const common = 7

// commonness is how often a byte occurs in memory, roughly: zeros are everywhere, then
// come what fills and sign-extends, and what x86 code is made of.
func commonness(b byte) int {
	switch b {
	case 0x00:
		return common + 1
	case 0xff:
		return common
	case 0x48, 0x8b, 0x89, 0x0f, 0x24, 0xcc, 0x90, 0x01, 0x7f:
		return 5
	case 0x20, 0x02, 0x03, 0x04, 0x08, 0x10, 0x40, 0x55, 0x80, 0xe8, 0xc0, 'a', 'e', 'i', 'n', 'o', 'r', 's', 't':
		return 3
	}
	return 1
}

// scanner finds a form in blocks of memory. It is not safe for concurrent use.
type scanner struct {
	form   *form
	probes probes
	// exact is true if the probes are all that is to be looked at.
	exact bool
	// numbers is true if the bytes that are fixed are so common that each number is
	// better looked at.
	numbers bool
	places  uint64 // of a group at address 0 that are aligned
}

func newScanner(f *form) *scanner {
	s := &scanner{form: f}
	cost := func(i int) int {
		c := commonness(f.value[i])
		if free := 8 - bits.OnesCount8(f.mask[i]); free > 0 {
			c = common + 2 + free
		}
		return c
	}
	var chosen []int
	fixed := 0
	for i, m := range f.mask {
		if m == 0 {
			continue
		}
		fixed++
		at := len(chosen)
		for at > 0 && cost(chosen[at-1]) > cost(i) {
			at--
		}
		if at < 4 {
			chosen = append(chosen[:at], append([]int{i}, chosen[at:]...)...)
			chosen = chosen[:min(len(chosen), 4)]
		}
	}
	for n := range 4 {
		if len(chosen) > 0 { // else a mask of 0 and a value of 0: everywhere
			i := chosen[min(n, len(chosen)-1)]
			s.probes.offset[n], s.probes.value[n], s.probes.mask[n] = int64(i), f.value[i], f.mask[i]
		}
	}
	s.exact = fixed <= 4 && f.check == nil
	s.numbers = f.numbers != [2]interval{} && f.align%uint64(f.size()) == 0 && (len(chosen) == 0 || cost(chosen[0]) >= common)
	for i := uint64(0); i < group; i += f.align {
		s.places |= 1 << i
	}
	return s
}

// group is how many places are looked at together.
const group = 64

// scan appends to found where in data, which lies at an address, matches begin before
// the place limit.
func (s *scanner) scan(found []uint32, data []byte, address uint64, limit int) []uint32 {
	size := s.form.size()
	limit = min(limit, len(data)-size+1)
	if limit <= 0 {
		return found
	}
	if s.numbers {
		return s.scanNumbers(found, data, address, limit)
	}
	groups := limit / group
	for next := 0; next < groups; {
		n, places := find(data[next*group:], groups-next, &s.probes)
		for places &= s.aligned(address + uint64(next+n)*group); places != 0; places &= places - 1 {
			at := (next+n)*group + bits.TrailingZeros64(places)
			if s.exact || s.holds(data[at:at+size]) {
				found = append(found, uint32(at))
			}
		}
		next += n + 1
	}
	for at := groups * group; at < limit; at++ {
		if (address+uint64(at))%s.form.align == 0 && s.form.matches(data[at:at+size]) {
			found = append(found, uint32(at))
		}
	}
	return found
}

// scanNumbers is scan for one number in a range, at places that are aligned.
func (s *scanner) scanNumbers(found []uint32, data []byte, address uint64, limit int) []uint32 {
	f := s.form
	size := f.size()
	low0, span0 := f.numbers[0].low, f.numbers[0].high-f.numbers[0].low
	low1, span1 := f.numbers[1].low, f.numbers[1].high-f.numbers[1].low
	step := int(min(f.align, blockSize+maxSize))
	for at := int((f.align - address%f.align) % f.align); at < limit; at += step {
		var x uint64
		switch size {
		case 1:
			x = uint64(data[at])
		case 2:
			x = uint64(binary.NativeEndian.Uint16(data[at:]))
		case 4:
			x = uint64(binary.NativeEndian.Uint32(data[at:]))
		case 8:
			x = binary.NativeEndian.Uint64(data[at:])
		}
		if x-low0 <= span0 || x-low1 <= span1 {
			found = append(found, uint32(at))
		}
	}
	return found
}

// aligned returns the places of the group at an address that are aligned.
func (s *scanner) aligned(address uint64) uint64 {
	if s.form.align == 1 {
		return math.MaxUint64
	}
	// The first such place, and those of a group at address 0 moved by as much.
	first := (s.form.align - address%s.form.align) % s.form.align
	return s.places << first
}

// holds is matches, eight bytes at a time: long patterns may have to be compared
// at every place.
func (s *scanner) holds(b []byte) bool {
	f := s.form
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if binary.NativeEndian.Uint64(b[i:])&binary.NativeEndian.Uint64(f.mask[i:]) != binary.NativeEndian.Uint64(f.value[i:]) {
			return false
		}
	}
	for ; i < len(b); i++ {
		if b[i]&f.mask[i] != f.value[i] {
			return false
		}
	}
	return f.check == nil || f.check(b)
}

// find returns the first of the groups of data in which every probe holds at some
// place, and those places as bits; the number of groups if there is none. The data
// reaches as far as the last probe of the last place.
func findGo(data []byte, groups int, p *probes) (n int, places uint64) {
	const low, high = 0x0101010101010101, 0x8080808080808080
	var value, mask [4]uint64
	for i := range value {
		value[i], mask[i] = uint64(p.value[i])*low, uint64(p.mask[i])*low
	}
	if groups <= 0 {
		return 0, 0
	}
	length := groups * group
	d0, d1 := data[p.offset[0]:][:length], data[p.offset[1]:][:length]
	d2, d3 := data[p.offset[2]:][:length], data[p.offset[3]:][:length]
	for at := 0; at+8 <= length; at += 8 {
		// A byte of x is 0 where the probes hold.
		x := (binary.LittleEndian.Uint64(d0[at:])&mask[0] ^ value[0]) | (binary.LittleEndian.Uint64(d1[at:])&mask[1] ^ value[1])
		if (x-low)&^x&high != 0 {
			x |= (binary.LittleEndian.Uint64(d2[at:])&mask[2] ^ value[2]) | (binary.LittleEndian.Uint64(d3[at:])&mask[3] ^ value[3])
			zeros := ^(x&^high + ^uint64(high) | x) & high
			places |= zeros >> 7 * 0x0102040810204080 >> 56 << (at % group)
		}
		if at%group == group-8 && places != 0 {
			return at / group, places
		}
	}
	return groups, 0
}
