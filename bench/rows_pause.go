// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"slices"
	"time"
)

// pauses is row 11.
func (b *bench) pauses() (row, error) {
	size := b.bulk()
	r := row{
		number: 11, title: "a long write, seen from the target",
		setup: "While " + byteCount(float64(size)) + " is written, a thread of the target touches 16 pages and gives them back (madvise), maps 16 others (mmap), touches one and unmaps them (munmap), without pause, and times each of these steps. A page fault needs the lock of one mapping, mmap and munmap that of the whole address space. The longest step of each write is counted; \"nobody writes\" is the same thread alone for " + b.size.quiet.String() + ", and the busy loops are as many processes that compute beside it, one for each core, for as long as our write took: what they hold the thread up for is the scheduler's. A step may take 10 ms, or as long as the busy loops made any of them take.",
	}
	for _, kind := range []string{"touched", "untouched"} {
		v, err := b.victimWith(nil, "region %d %s", size, kind)
		if err != nil {
			return r, err
		}
		data, err := b.source(size, v.raw)
		if err != nil {
			return r, err
		}
		var prepare func() error
		if kind == "untouched" {
			prepare = func() error {
				_, err := v.ask("dontneed %#x %d", v.address, size)
				return err
			}
		}
		var ours time.Duration
		spin, err := b.busyLoops(&ours)
		if err != nil {
			return r, err
		}
		disturbed := []*pause{
			{name: "Task.Write", prepare: prepare, write: func(calls int) (took time.Duration, err error) {
				ours, err = repeat(func() error { return v.task.Write(v.address, data) })(calls)
				return ours, err
			}},
			{name: "C: process_vm_writev", prepare: prepare, write: v.raw.timed("vm %#x %d", v.address, size)},
			{name: "nobody writes", aside: true, write: repeat(func() error {
				time.Sleep(b.size.quiet)
				return nil
			})},
			{name: busyLoops, aside: true, write: spin},
		}
		if err := b.measurePauses(&r, v, kind, disturbed); err != nil {
			return r, err
		}
		b.endProcesses()
	}
	return r, nil
}

const busyLoops = "busy loops"

// busyLoops keeps all cores busy, as long as it last took to write.
func (b *bench) busyLoops(took *time.Duration) (timed, error) {
	var loops []*coprocess
	for range runtime.NumCPU() {
		p, err := b.start(b.tools.program("machine"))
		if err != nil {
			return nil, err
		}
		loops = append(loops, p)
	}
	return func(int) (time.Duration, error) {
		start := time.Now()
		for _, p := range loops {
			if err := p.tell("spin %d", took.Nanoseconds()); err != nil {
				return 0, err
			}
		}
		for _, p := range loops {
			if _, err := p.answer(); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}, nil
}

// pause is a contender that writes while the target maps memory.
type pause struct {
	name    string
	aside   bool
	prepare func() error // may be nil
	write   timed
	longest [][]float64 // of each step, the longest of each round
}

// pauseSteps are what the thread of the target does, in the order of its answer.
var pauseSteps = []string{"page fault", "madvise", "mmap", "munmap"}

func (b *bench) measurePauses(r *row, v victim, kind string, disturbed []*pause) error {
	var contenders []contender
	for _, d := range disturbed {
		contenders = append(contenders, contender{name: d.name, aside: d.aside, round: func() (float64, error) { return d.round(v) }})
	}
	if _, err := b.measure(r, b.size.longRounds, kind+": time of the write", contenders...); err != nil {
		return err
	}
	// The scheduler takes a thread off its core in any of its steps.
	loops := 0.0
	for _, longest := range disturbed[len(disturbed)-1].longest {
		loops = max(loops, slices.Max(longest)*1e3)
	}
	for i, step := range pauseSteps {
		g := group{title: kind + ": longest " + step, unit: seconds, time: true}
		for _, d := range disturbed {
			g.series = append(g.series, series{name: d.name, values: d.longest[i], aside: d.aside})
		}
		r.groups = append(r.groups, g)
		r.atMost(g.title+" of all writes, in ms", spreadOf([]float64{g.series[0].spread().high * 1e3}), 10)
		r.dependsOn("the scheduler: how long it lets another thread run")
		if last := &r.goals[len(r.goals)-1]; loops > last.bound {
			last.bound, last.reason = loops, "as "+busyLoops
		}
	}
	return nil
}

func (d *pause) round(v victim) (float64, error) {
	if d.prepare != nil {
		if err := d.prepare(); err != nil {
			return 0, err
		}
	}
	if _, err := v.ask("faults on"); err != nil {
		return 0, err
	}
	took, err := d.write(1)
	longest, endErr := v.numbers("faults off")
	if err == nil {
		err = endErr
	}
	if err != nil {
		return 0, err
	}
	if d.longest == nil { // the first round does not count
		d.longest = make([][]float64, len(pauseSteps))
		return took.Seconds(), nil
	}
	for i := range pauseSteps {
		d.longest[i] = append(d.longest[i], float64(longest[i])/1e9)
	}
	return took.Seconds(), nil
}
