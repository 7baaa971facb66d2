// SPDX-License-Identifier: Apache-2.0

//go:build !race

// With the race detector a sync.Pool forgets at random.

package address

import "testing"

func TestResolveIntoAllocatesNothing(t *testing.T) {
	r := newFake(t).resolver()
	e := mustParse(t, "game!player->8,@heap-@heap+4")
	var found Resolution
	allocations := testing.AllocsPerRun(100, func() {
		if err := r.ResolveInto(&found, e); err != nil || found.Address != objectBase+0x104 || len(found.Links) != 2 {
			t.Errorf("%+v, %v", found, err)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations; want 0", allocations)
	}
}
