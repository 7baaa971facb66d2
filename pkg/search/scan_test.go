// SPDX-License-Identifier: Apache-2.0

package search

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// guarded returns memory of a page and some, with nothing behind it that can be read.
func guarded(tb testing.TB) []byte {
	tb.Helper()
	memory, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Munmap(memory) })
	if err := unix.Mprotect(memory[page:], unix.PROT_NONE); err != nil {
		tb.Fatal(err)
	}
	return memory[:page:page]
}

// slowFind is what find promises.
func slowFind(data []byte, groups int, p *probes) (int, uint64) {
	for n := range groups {
		places := uint64(0)
		for i := range group {
			holds := true
			for k := range p.offset {
				holds = holds && data[n*group+i+int(p.offset[k])]&p.mask[k] == p.value[k]
			}
			if holds {
				places |= 1 << i
			}
		}
		if places != 0 {
			return n, places
		}
	}
	return groups, 0
}

func sameFind(t *testing.T, data []byte, p *probes) {
	t.Helper()
	groups := max(0, len(data)-p.reach()) / group
	n, places := slowFind(data, groups, p)
	if gotN, got := findGo(data, groups, p); gotN != n || got != places {
		t.Fatalf("findGo = %d, %#x; want %d, %#x (%d bytes, %+v)", gotN, got, n, places, len(data), p)
	}
	if gotN, got := find(data, groups, p); gotN != n || got != places {
		t.Fatalf("find = %d, %#x; want %d, %#x (%d bytes, %+v)", gotN, got, n, places, len(data), p)
	}
}

func TestFindAtTheEndOfMemory(t *testing.T) {
	memory := guarded(t)
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		data := memory[page-random.IntN(700):]
		for i := range data {
			data[i] = byte(random.IntN(3))
		}
		var p probes
		for k := range p.offset {
			p.offset[k], p.mask[k] = int64(random.IntN(1+random.IntN(100))), byte(random.Uint32())|1
			p.value[k] = byte(random.IntN(3)) & p.mask[k]
		}
		sameFind(t, data, &p)
	}
}

func FuzzFind(f *testing.F) {
	f.Add(bytes.Repeat([]byte("abc"), 70), []byte("abcd"), []byte("\xff\xff\xff\xff"), uint32(0x00010203))
	f.Add(make([]byte, 300), []byte("\x00\x00\x00\x00"), []byte("\xff\xf0\x0f\x00"), uint32(0xff010203))
	f.Fuzz(func(t *testing.T, data, value, mask []byte, offsets uint32) {
		if len(value) != 4 || len(mask) != 4 || len(data) > page {
			return
		}
		memory := guarded(t)
		data = memory[page-copy(memory[page-len(data):], data):]
		var p probes
		for k := range p.offset {
			p.offset[k], p.mask[k], p.value[k] = int64(offsets>>(8*k)&0xff), mask[k], value[k]&mask[k]
		}
		sameFind(t, data, &p)
	})
}

func TestProbesAreRare(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"48 8b 05 00 00 00 00 c3", "05c3488b"},
		{"00 00 7b 00 00", "7b000000"},
		{"00 00 00", "00000000"},
		{"4? ?? 31", "31404040"},
	}
	for _, test := range tests {
		s := newScanner(must(ParsePattern(test.pattern)).form)
		if got := Bytes.Format(s.probes.value[:]); got != test.want {
			t.Errorf("%s is looked for by %s; want %s", test.pattern, got, test.want)
		}
		for k, offset := range s.probes.offset {
			if s.form.value[offset] != s.probes.value[k] || s.form.mask[offset] != s.probes.mask[k] || bits.OnesCount8(s.probes.mask[k]) == 0 {
				t.Errorf("%s: %+v", test.pattern, s.probes)
			}
		}
	}
}

// FuzzFirst searches anything for anything, as a slow search does.
func FuzzFirst(f *testing.F) {
	f.Add([]byte("abababab"), []byte("ab"), []byte("\xff\xff"), uint16(8), uint8(1))
	f.Add(make([]byte, 200), make([]byte, 70), []byte("\xff"), uint16(50), uint8(4))
	f.Fuzz(func(t *testing.T, data, value, mask []byte, more uint16, align uint8) {
		if len(data) == 0 || len(value) == 0 || len(value) > maxSize || len(data) > page {
			return
		}
		form := &form{value: bytes.Clone(value), mask: make([]byte, len(value)), align: max(1, uint64(align)), kind: Bytes}
		copy(form.mask, mask)
		for i := range form.value {
			form.value[i] &= form.mask[i]
		}
		// The data again and again, over the border of blocks.
		memory := bytes.Repeat(data, blockSize/len(data)+int(more)/len(data)+1)
		if len(data) < 16 {
			memory = append(make([]byte, blockSize-len(data)/2), data...)
		}
		want := reference(memory, 3, form)
		got := search(t, &fake{parts: []part{at(3, memory)}}, &Pattern{form}, Options{Align: int(form.align), Threads: 2})
		if len(got) != len(want) {
			t.Fatalf("%d found; want %d", len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("found %+v; want %+v", got[i], want[i])
			}
		}
	})
}
