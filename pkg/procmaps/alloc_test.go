// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector a sync.Pool forgets at random.

package procmaps_test

import (
	"math"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestWalkAndAliveAllocateNothing(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("split 100")
	eachSource(t, func(t *testing.T, source procmaps.Source) {
		maps := open(t, target.PID, source)
		allocations := testing.AllocsPerRun(100, func() {
			visited := 0
			err := maps.Walk(0, math.MaxUint64, func(procmaps.Span) bool {
				visited++
				return true
			})
			if err != nil || visited < 100 {
				t.Errorf("Walk visits %d, %v", visited, err)
			}
			if err := maps.Alive(); err != nil {
				t.Error(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%v allocations; want 0", allocations)
		}
	})
}
