// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"math"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/vmwrite/vmwrite/internal/linux"
	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

func TestManyWalksAtOnceSeeTheWholeList(t *testing.T) {
	target := testtarget.Start(t)
	mappings := testtarget.Sized(600, 3000)
	target.Do("split %d", mappings)
	freeze(t, target.PID)
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, target.PID, source)
		want := mustCollect(t, maps.All())
		if len(want) < mappings {
			t.Fatalf("%d mappings; want %d and more", len(want), mappings)
		}
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 5 {
					got, err := collect(maps.All())
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%d mappings, %v; want the %d that are there", len(got), err, len(want))
						return
					}
				}
			})
		}
		all.Wait()
	})
}

func TestCallsInsideAWalkDoNotDisturbIt(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("split %d", testtarget.Sized(200, 600))
	freeze(t, target.PID)
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, target.PID, source)
		want := mustCollect(t, maps.All())
		last := want[len(want)-1]
		var got []procmaps.Mapping
		for mapping, err := range maps.All() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, mapping)
			if again, found, err := maps.Find(mapping.Start); !found || err != nil || again != mapping {
				t.Fatalf("Find(%#x) = %v, %v, %v; want %v", mapping.Start, again, found, err, mapping)
			}
			if again, found, err := maps.Find(last.End - 1); !found || err != nil || again != last {
				t.Fatalf("Find(%#x) = %v, %v, %v; want %v", last.End-1, again, found, err, last)
			}
			if err := maps.Alive(); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "All around other calls", got, want)
	})
}

// A walk tells each mapping as it was at some moment, so those that never
// change are told whole and once whatever comes and goes beside them.
func TestWalksSeeWhatStaysWhileOthersComeAndGo(t *testing.T) {
	// Every other page of a quarter is unmapped and mapped again all the time,
	// which makes text appear and vanish before the quarters that stay.
	const pages, quarter = 2000, 500
	memory, err := unix.Mmap(-1, 0, pages*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	protect := func(i, prot int) {
		if err := unix.Mprotect(memory[i*page:(i+1)*page], prot); err != nil {
			t.Error(err)
		}
	}
	base := uint64(linux.AddressOf(memory))
	var want []procmaps.Span
	for i := quarter; i < 2*quarter; i++ {
		if i%2 == 1 {
			protect(i, unix.PROT_READ)
			address := base + uint64(i*page)
			want = append(want, procmaps.Span{Start: address, End: address + uint64(page), Perms: procmaps.Read})
		}
	}
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, os.Getpid(), source)
		quit := make(chan struct{})
		var churn sync.WaitGroup
		for _, first := range []int{0, 3 * quarter} {
			churn.Go(func() {
				for i, prot := first+1, unix.PROT_WRITE; ; i += 2 {
					if i >= first+quarter {
						i, prot = first+1, unix.PROT_WRITE-prot
					}
					select {
					case <-quit:
						return
					default:
						protect(i, prot)
					}
				}
			})
		}
		var walks sync.WaitGroup
		for range 3 {
			walks.Go(func() {
				for range testtarget.Rounds(10) {
					var got []procmaps.Span
					before := uint64(0)
					err := maps.Walk(0, math.MaxUint64, func(span procmaps.Span) bool {
						// One that has grown downwards since may overlap the one before.
						if span.End <= before {
							t.Errorf("%#x-%#x comes after the mapping that ends at %#x", span.Start, span.End, before)
						}
						before = span.End
						if span.Perms == procmaps.Read && span.Start >= want[0].Start && span.End <= want[len(want)-1].End {
							got = append(got, span)
						}
						return true
					})
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%d of the %d mappings that stay, %v", len(got), len(want), err)
						return
					}
				}
			})
		}
		walks.Wait()
		close(quit)
		churn.Wait()
	})
}
