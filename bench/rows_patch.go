// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
)

// patching is row 16.
func (b *bench) patching() (row, error) {
	r := row{
		number: 16, title: "to apply a patch, and to undo it",
		setup: "`Plan.Apply` and `Plan.Undo`, with a journal that is synchronised before the first byte is written. One thread of the target looks at the clock without pause, and of the gaps that fall into a call the sum is how long it stood still. Values of 8 bytes lie side by side in memory that can be written; in code that is made writable for the moment, single bytes lie 8 apart, and the thread's place is looked at. C seizes, interrupts and awaits the thread, makes one `pwrite` of 8 bytes, and detaches.",
	}
	for _, kind := range []string{"values", "code"} {
		for _, count := range b.size.changes {
			if err := b.patchOf(&r, kind, count); err != nil {
				return r, err
			}
			b.endProcesses()
		}
	}
	return r, nil
}

func (b *bench) patchOf(r *row, kind string, count int) error {
	const apart = 8
	memory, unprotect := fmt.Sprintf("region %d touched", count*apart), false
	size := apart
	if kind == "code" {
		memory, unprotect, size = fmt.Sprintf("code %d", count*apart), true, 1
	}
	v, err := b.victimWith(nil, "%s", memory)
	if err != nil {
		return err
	}
	p := &patch.Patch{Name: "bench"}
	old := make([]byte, count*apart)
	if _, err := v.task.ReadAt(old, int64(v.address)); err != nil {
		return err
	}
	for i := range count {
		at, err := address.Parse(fmt.Sprintf("%#x", v.address+uint64(i*apart)))
		if err != nil {
			return err
		}
		new := make([]byte, size)
		for n := range new {
			new[n] = 0xc3 // ret
		}
		p.Changes = append(p.Changes, patch.Change{At: at, Old: old[i*apart:][:size], New: new, Unprotect: unprotect})
	}
	journal, err := patch.OpenJournal(filepath.Join(b.directory, "journal"))
	if err != nil {
		return err
	}
	plan, err := p.Resolve(b.ctx, patch.Of(v.task), patch.Options{Journal: journal})
	if err != nil {
		return err
	}
	timed := func(call func(context.Context) error) func() ([]moment, error) {
		return func() ([]moment, error) {
			start := monotonic()
			err := call(b.ctx)
			return []moment{{start, monotonic()}}, err
		}
	}
	stoppers := []*stopper{
		{name: "Plan.Apply", target: v.coprocess, calls: timed(plan.Apply)},
		{name: "Plan.Undo", target: v.coprocess, calls: timed(plan.Undo)},
	}
	if kind == "values" && count == 1 {
		other := v // than what is patched
		if other.address, err = v.number("region %d touched", apart); err != nil {
			return err
		}
		stoppers = append(stoppers, &stopper{name: "C: seize, pwrite, detach", target: v.coprocess, calls: rawStops(other, 1)})
	}
	var contenders []contender
	for _, s := range stoppers {
		contenders = append(contenders, s.contender())
	}
	title := fmt.Sprintf("%s, %d changes: ", kind, count)
	if _, err := b.measure(r, b.size.longRounds, title+"time of a call", contenders...); err != nil {
		return err
	}
	still := group{title: title + "the target stood still", unit: seconds, time: true}
	for _, s := range stoppers {
		still.series = append(still.series, s.values(func(s stillness) float64 { return s.still }))
	}
	r.groups = append(r.groups, still)
	return nil
}
