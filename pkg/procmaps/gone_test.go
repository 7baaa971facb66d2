// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"errors"
	"math"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"golang.org/x/sys/unix"
)

// endings are the ways in which an address space ends.
var endings = []struct {
	name string
	end  func(t *testing.T, target *testtarget.Target)
}{
	{"the process was killed and is a zombie", func(t *testing.T, target *testtarget.Target) { target.Kill() }},
	{"the process exited and was waited for", func(t *testing.T, target *testtarget.Target) { target.End() }},
	{"the process runs another program", func(t *testing.T, target *testtarget.Target) {
		if line := target.Try("execself"); line != "ready" {
			t.Fatalf("after exec the target says %q; want ready", line)
		}
	}},
}

// eachEnding runs f as a subtest for each source and each way to end.
func eachEnding(t *testing.T, f func(t *testing.T, source procmaps.Source, end func(*testing.T, *testtarget.Target))) {
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		for _, ending := range endings {
			t.Run(ending.name, func(t *testing.T) { f(t, source, ending.end) })
		}
	})
}

func wantGone(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, procmaps.ErrGone) || !errors.Is(err, unix.ESRCH) {
		t.Errorf("%s = %v; want ErrGone, which wraps ESRCH", what, err)
	}
}

func TestEveryCallAfterTheEndIsErrGone(t *testing.T) {
	eachEnding(t, func(t *testing.T, source procmaps.Source, end func(*testing.T, *testtarget.Target)) {
		target := testtarget.Start(t)
		address := target.Address("map rw- 1")
		maps := open(t, target.PID, source)
		if err := maps.Alive(); err != nil {
			t.Fatalf("Alive() = %v before the end", err)
		}
		end(t, target)
		for range 2 { // a dead address space stays dead
			wantGone(t, "Alive", maps.Alive())
			_, found, err := maps.Find(address)
			if found {
				t.Error("Find finds what is gone")
			}
			wantGone(t, "Find", err)
			_, _, err = maps.Find(math.MaxUint64)
			wantGone(t, "Find of the last address", err)
			all, err := collect(maps.All())
			if len(all) != 0 {
				t.Errorf("All yields %d mappings", len(all))
			}
			wantGone(t, "All", err)
			_, err = collect(maps.Range(address, address+1))
			wantGone(t, "Range", err)
			wantGone(t, "Walk", maps.Walk(0, math.MaxUint64, func(span procmaps.Span) bool {
				t.Errorf("Walk visits %v", span)
				return true
			}))
		}
	})
}

func TestAWalkUnderWayAtTheEndIsErrGone(t *testing.T) {
	eachEnding(t, func(t *testing.T, source procmaps.Source, end func(*testing.T, *testtarget.Target)) {
		for _, after := range []int{1, 1000, 3500} {
			target := testtarget.Start(t)
			target.Do("split 3500")
			maps := open(t, target.PID, source)
			visited := 0
			err := maps.Walk(0, math.MaxUint64, func(procmaps.Span) bool {
				if visited++; visited == after {
					end(t, target)
				}
				return true
			})
			wantGone(t, "Walk", err)
			if visited < after {
				t.Errorf("%d visited; want the %d before the end, at least", visited, after)
			}
		}
		target := testtarget.Start(t)
		maps := open(t, target.PID, source)
		ended, failures := false, 0
		for _, err := range maps.All() {
			if err != nil {
				failures++
				wantGone(t, "All", err)
			}
			if !ended {
				ended = true
				end(t, target)
			}
		}
		if failures != 1 {
			t.Errorf("%d errors yielded; want 1", failures)
		}
	})
}

func TestOpenOfWhatHasNoAddressSpaceIsErrGone(t *testing.T) {
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		t.Run("a zombie", func(t *testing.T) {
			target := testtarget.Start(t)
			target.Kill()
			_, err := procmaps.Open(target.PID, procmaps.WithSource(source))
			wantGone(t, "Open", err)
		})
		t.Run("a kernel thread", func(t *testing.T) {
			testtarget.Need(t, "kthreadd", "root")
			_, err := procmaps.Open(2, procmaps.WithSource(source))
			wantGone(t, "Open", err)
		})
	})
}

func TestOpenOfNoProcessIsENOENT(t *testing.T) {
	target := testtarget.Start(t)
	target.End()
	for _, pid := range []int{target.PID, 0, -1, math.MaxInt32} {
		maps, err := procmaps.Open(pid)
		if !errors.Is(err, unix.ENOENT) || maps != nil {
			t.Errorf("Open(%d) = %v, %v; want ENOENT", pid, maps, err)
		}
	}
}
