// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// runtimeReads is more than what the Go runtime reads to wake itself up.
const runtimeReads = 256

// bytesRead returns how many bytes this process reads while f runs.
func bytesRead(t *testing.T, f func()) uint64 {
	t.Helper()
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	count := func() uint64 {
		io, err := self.IO()
		if err != nil {
			testtarget.Lack(t, "/proc/PID/io", err)
		}
		return io.RChar
	}
	idle := count()
	idle = count() - idle // what it takes to ask
	before := count()
	f()
	return max(count(), before+idle) - before - idle // idle is more where the runtime read something then
}

func TestTextReadsOnlyAsFarAsItMust(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("split %d", 5000*page/4096) // for as many pages of text
	freeze(t, target.PID)
	maps := open(t, target.PID, procmaps.Text)
	all := mustCollect(t, maps.All())
	text := 0
	for _, mapping := range all {
		text += len(mapping.String()) + 1
	}
	if text < 50*page {
		t.Fatalf("the text has %d bytes; want many pages", text)
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name        string
		f           func()
		least, most int
	}{
		{"Find of the first mapping reads a page", func() {
			_, _, err := maps.Find(all[0].Start)
			must(err)
		}, 1, page},
		{"Find before the first mapping reads a page", func() {
			_, _, err := maps.Find(0)
			must(err)
		}, 1, page},
		{"a Walk that is broken off reads a page", func() {
			must(maps.Walk(0, math.MaxUint64, func(procmaps.Span) bool { return false }))
		}, 1, page},
		{"a Walk to the middle reads half", func() {
			must(maps.Walk(0, all[len(all)/2].Start, func(procmaps.Span) bool { return true }))
		}, text / 3, text/2 + 2*page},
		{"All reads each byte once, and one to see whether it is whole", func() {
			_, err := collect(maps.All())
			must(err)
		}, text, text + 2*page},
		{"Alive reads nothing", func() { must(maps.Alive()) }, 0, 0},
		{"nothing is read for an empty range", func() {
			must(maps.Walk(5, 5, func(procmaps.Span) bool { return true }))
		}, 0, 0},
		// Each start from the front must get twice as far as the last: if it
		// got one page further, this would be some 30 times the text.
		{"All with a Find of a page after each mapping reads a few times the text", func() {
			for _, err := range maps.All() {
				must(err)
				_, _, err := maps.Find(0)
				must(err)
			}
		}, text, 5*text + len(all)*page},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := bytesRead(t, test.f); got < uint64(test.least) || got > uint64(test.most)+runtimeReads {
				t.Errorf("%d bytes read; want %d to %d", got, test.least, test.most)
			}
		})
	}
	t.Run("Ioctl reads nothing", func(t *testing.T) {
		needSource(t, procmaps.Ioctl)
		maps := open(t, target.PID, procmaps.Ioctl)
		got := bytesRead(t, func() {
			_, err := collect(maps.All())
			must(err)
			must(maps.Alive())
		})
		if got > runtimeReads {
			t.Errorf("%d bytes read; want none", got)
		}
	})
}

// benchmark runs f with few and with many mappings, through both sources, at an
// address in the middle.
func benchmark(b *testing.B, f func(maps *procmaps.Maps, address uint64) error) {
	for _, source := range sources {
		for _, count := range []int{60, 60_000} {
			b.Run(fmt.Sprintf("%v/%d", source, count), func(b *testing.B) {
				needSource(b, source)
				target := testtarget.Start(b)
				others := len(mustCollect(b, open(b, target.PID, procmaps.Text).All()))
				address := target.Address("split %d", count-others) + uint64(count/2*page)
				maps := open(b, target.PID, source)
				b.ReportAllocs()
				for b.Loop() {
					if err := f(maps, address); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkFind(b *testing.B) {
	benchmark(b, func(maps *procmaps.Maps, address uint64) error {
		_, _, err := maps.Find(address)
		return err
	})
}

func BenchmarkWalkOfOneAddress(b *testing.B) {
	benchmark(b, func(maps *procmaps.Maps, address uint64) error {
		return maps.Walk(address, address+1, func(procmaps.Span) bool { return true })
	})
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		maps, err := procmaps.Open(os.Getpid())
		if err != nil {
			b.Fatal(err)
		}
		maps.Close()
	}
}
