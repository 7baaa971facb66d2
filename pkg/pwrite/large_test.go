// SPDX-License-Identifier: Apache-2.0

package pwrite_test

import (
	"bytes"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// sparse maps size bytes that cost memory only where they are written to.
func sparse(t *testing.T, size int) []byte {
	t.Helper()
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(memory) })
	return memory
}

// oneCall is the most that one call moves, which is made less in a quick run, and
// tooLarge is more than that. No int of 32 bits holds it.
var (
	oneCall  = testtarget.Sized(16*page, pwrite.MaxBytes)
	tooLarge = oneCall + 8*page
)

func TestMoreBytesThanOneCallMoves(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	t.Cleanup(pwrite.SetMaxBytes(oneCall))
	size := tooLarge
	source := sparse(t, size)
	marks := []int{0, oneCall - 8, oneCall, size - 8}
	for i, at := range marks {
		copy(source[at:], pattern(8, i))
	}
	// The same bytes, cut so that the limit of a call falls into a segment or on
	// the end of one.
	cuts := map[string][]int{
		"one segment":                           {size},
		"several, the last over the limit":      {100, 0, 100, size - 200},
		"three, of which the first fill a call": {1, oneCall - 1, size - oneCall},
	}
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			target := testtarget.Start(t)
			base := target.Address("map rw- %d", size/page)
			memory := backend.open(t, target.PID)
			for name, sizes := range cuts {
				for _, at := range marks { // so that each turn has something to write
					if _, err := memory.Write([]pwrite.Segment{{Address: base + uint64(at), Data: make([]byte, 8)}}); err != nil {
						t.Fatal(err)
					}
				}
				var segments []pwrite.Segment
				rest, address := source, base
				for _, size := range sizes {
					segments = append(segments, pwrite.Segment{Address: address, Data: rest[:size]})
					rest, address = rest[size:], address+uint64(size)
				}
				place, err := memory.Write(segments)
				if err != nil || place != (pwrite.Position{Segment: len(segments)}) || place.Moved(segments) != uint64(size) {
					t.Errorf("%s: Write = %v, %v", name, place, err)
				}
				for i, at := range marks {
					if got := target.Bytes(base+uint64(at), 8); !bytes.Equal(got, pattern(8, i)) {
						t.Errorf("%s: byte %d and so on are %x; want %x", name, at, got, pattern(8, i))
					}
				}
			}
			target.End()
		})
	}
}

func TestALargeReadStopsAtTheFault(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	t.Cleanup(pwrite.SetMaxBytes(oneCall))
	target := testtarget.Start(t)
	base := target.Address("map rw- 300")
	for _, backend := range backends {
		t.Run(backend.name, func(t *testing.T) {
			// What lies behind the 300 pages is never touched.
			segments := []pwrite.Segment{{Address: base, Data: sparse(t, max(tooLarge, 600*page))}}
			place, err := backend.open(t, target.PID).Read(segments)
			wantStop(t, segments, place, err, pwrite.Position{Offset: 300 * page}, backend.read, backend.fault)
		})
	}
}
