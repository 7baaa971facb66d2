// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// pauses is row 11.
func (b *bench) pauses() (row, error) {
	size := b.bulk()
	r := row{
		number: 11, title: "a long write, seen from the target",
		setup: "While " + byteCount(float64(size)) + " is written, a thread of the target touches 16 pages and gives them back (madvise), maps 16 others (mmap), touches one and unmaps them (munmap), without pause, and times each of these steps. A page fault needs the lock of one mapping, mmap and munmap that of the whole address space. The longest step of each write is counted; \"nobody writes\" is the same thread alone for " + b.size.quiet.String() + ".",
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
		prepare := func() error { return nil }
		if kind == "untouched" {
			prepare = func() error {
				_, err := v.ask("dontneed %#x %d", v.address, size)
				return err
			}
		}
		disturbed := []*pause{
			{name: "Task.Write", prepare: prepare, write: repeat(func() error { return v.task.Write(v.address, data) })},
			{name: "C: process_vm_writev", prepare: prepare, write: v.raw.timed("vm %#x %d", v.address, size)},
			{name: "nobody writes", aside: true, prepare: func() error { return nil }, write: repeat(func() error {
				time.Sleep(b.size.quiet)
				return nil
			})},
		}
		if err := b.measurePauses(&r, v, kind, disturbed); err != nil {
			return r, err
		}
		b.endProcesses()
	}
	return r, nil
}

// pause is a contender that writes while the target maps memory.
type pause struct {
	name    string
	aside   bool
	prepare func() error
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
	const bound = 10 // ms
	for i, step := range pauseSteps {
		g := group{title: kind + ": longest " + step, unit: seconds, time: true}
		for _, d := range disturbed {
			g.series = append(g.series, series{name: d.name, values: d.longest[i], aside: d.aside})
		}
		r.groups = append(r.groups, g)
		longest := spreadOf(g.series[0].values).high
		r.atMost(g.title+" of all writes, in ms", spreadOf([]float64{longest * 1e3}), bound)
	}
	return nil
}

func (d *pause) round(v victim) (float64, error) {
	if err := d.prepare(); err != nil {
		return 0, err
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
