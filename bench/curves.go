// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// curve is how a cost grows with something.
type curve struct {
	file   string // of the plot, without its ending
	title  string
	setup  string
	x, y   string // what the axes show
	xUnit  unit   // how x is written
	lines  []line
	linear bool // the x axis is linear
}

type line struct {
	name   string
	points []point
}

type point struct {
	x float64
	y spread
}

// add adds a point to the lines of the names of all.
func (c *curve) add(x float64, all []series) {
	for _, s := range all {
		i := 0
		for i < len(c.lines) && c.lines[i].name != s.name {
			i++
		}
		if i == len(c.lines) {
			c.lines = append(c.lines, line{name: s.name})
		}
		c.lines[i].points = append(c.lines[i].points, point{x, s.spread()})
	}
}

// bytesCurve is the cost of a write against its length.
func (b *bench) bytesCurve() (curve, error) {
	c := curve{
		file: "bytes", title: "Cost of a write against its length", x: "bytes", y: "time of a write", xUnit: byteCount,
		setup: "One write into touched memory.",
	}
	sizes := b.size.curves.bytes
	most := sizes[len(sizes)-1]
	v, err := b.victimWith(nil, "region %d touched", most)
	if err != nil {
		return c, err
	}
	data, err := b.source(most, v.raw)
	if err != nil {
		return c, err
	}
	for _, size := range sizes {
		all, err := b.alternate(b.curveRounds(size),
			b.loop("Task.Write", repeat(func() error { return v.task.Write(v.address, data[:size]) })),
			b.loop("C: process_vm_writev", v.raw.timed("vm %#x %d", v.address, size)),
			b.loop("C: pwrite on /proc/PID/mem", v.raw.timed("mem %#x %d", v.address, size)),
			b.loop("C: memcpy in one process", v.raw.timed("copy %d", size)))
		if err != nil {
			return c, err
		}
		c.add(float64(size), all)
	}
	return c, nil
}

func (b *bench) curveRounds(size int) int {
	if size > 64<<20 {
		return min(3, b.size.longRounds)
	}
	return b.size.rounds
}

// segmentsCurve is the cost of a value in a batch against the length of that.
func (b *bench) segmentsCurve() (curve, error) {
	c := curve{
		file: "segments", title: "Cost of a value against the length of the batch", x: "values in the batch", y: "time of one value", xUnit: plain,
		setup: fmt.Sprintf("A batch of values of %d bytes, each in a page of its own, of one mapping.", valueSize),
	}
	counts, page := b.size.curves.segments, os.Getpagesize()
	v, err := b.victimWith(nil, "region %d touched", counts[len(counts)-1]*page)
	if err != nil {
		return c, err
	}
	for _, count := range counts {
		addresses := addressesFrom(v.address, count, page)
		segments := segmentsAt(addresses, valueSize)
		if err := v.raw.load(addresses, valueSize); err != nil {
			return c, err
		}
		all, err := b.alternate(b.size.rounds,
			each(count, b.loop("Task.WriteBatch", repeat(func() error { return v.task.WriteBatch(segments) }))),
			each(count, b.loop("C: process_vm_writev, 1,024 iovecs a call", v.raw.timed("batch"))),
			each(count, b.loop("C: process_vm_writev, a call for each", v.raw.timed("single"))))
		if err != nil {
			return c, err
		}
		c.add(float64(count), all)
	}
	return c, nil
}

// mappingsCurve is the cost of a write against the mappings of the target.
func (b *bench) mappingsCurve() (curve, error) {
	c := curve{
		file: "mappings", title: "Cost of a write against the mappings of the target", x: "mappings", y: "time of a write", xUnit: plain,
		setup: "One write of 8 bytes, and one batch of two values of 4, which looks at the map, near the end of the address space; through the text also near its start.",
	}
	for _, count := range b.size.curves.mappings {
		if limit := mostMappings(); count > limit-100 {
			continue
		}
		if err := b.mappingsPoint(&c, count); err != nil {
			return c, err
		}
		b.endProcesses()
	}
	return c, nil
}

func (b *bench) mappingsPoint(c *curve, count int) error {
	target, err := b.target()
	if err != nil {
		return err
	}
	made, err := target.numbers("maps %d", count)
	if err != nil {
		return err
	}
	first, last := made[0], made[1]
	query, err := b.task(target)
	if err != nil {
		return err
	}
	text, err := b.task(target, machcompat.WithMapSource(procmaps.Text))
	if err != nil {
		return err
	}
	raw, err := b.raw(target)
	if err != nil {
		return err
	}
	data := make([]byte, 8)
	all, err := b.alternate(b.size.rounds,
		b.loop("Task.Write", repeat(func() error { return query.Write(last, data) })),
		b.loop("batch of two", repeat(pair(query, last))),
		b.loop("batch of two, text, near the start", repeat(pair(text, first))),
		b.loop("batch of two, text, near the end", repeat(pair(text, last))),
		b.loop("C: process_vm_writev", raw.timed("vm %#x 8", last)))
	if err == nil {
		c.add(float64(made[2]), all)
	}
	return err
}

// mostMappings is vm.max_map_count.
func mostMappings() int {
	text, _ := os.ReadFile("/proc/sys/vm/max_map_count")
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 65530
	}
	return limit
}

// threadsCurve is the cost of a stop against the threads of the target.
func (b *bench) threadsCurve() (curve, error) {
	c := curve{
		file: "threads", title: "Cost of a stopped write against the threads of the target", x: "threads of the target", y: "time", xUnit: plain,
		setup: "One write of 8 bytes through `/proc/PID/mem` with all threads stopped, as in row 10. All threads but the one that watches the clock sleep.",
	}
	for _, threads := range b.size.curves.threads {
		v, err := b.stopVictim(threads)
		if err != nil {
			return c, err
		}
		ours := &stopper{name: "Task.Write", target: v.coprocess, calls: ourStops(v, b.size.stops)}
		raw := &stopper{name: "C", target: v.coprocess, calls: rawStops(v, b.size.stops)}
		if _, err := b.alternate(b.size.longRounds, ours.contender(), raw.contender()); err != nil {
			return c, err
		}
		for _, s := range []*stopper{ours, raw} {
			name := s.name
			s.name = name + ": the call"
			c.add(float64(threads), []series{s.values(func(s stillness) float64 { return s.call })})
			s.name = name + ": the target stands still"
			c.add(float64(threads), []series{s.values(func(s stillness) float64 { return s.still })})
		}
		b.endProcesses()
	}
	return c, nil
}

// writersCurve is the cost of a write against how many write at the same time.
func (b *bench) writersCurve() (curve, error) {
	c := curve{
		file: "writers", title: "Cost of a write against the writers at work", x: "writers at the same time", y: "time, divided by all writes", xUnit: plain, linear: true,
		setup: "8 bytes each, 64 bytes apart: goroutines on one `Task`, and threads and processes in C that check nothing. The time is that of all writers together, divided by the number of their writes: while it falls, another writer adds throughput.",
	}
	v, err := b.victimWith(nil, "maps %d", few)
	if err != nil {
		return c, err
	}
	for _, writers := range b.size.curves.writers {
		all, err := b.alternate(b.size.rounds,
			each(writers, b.loop("Task.Write, goroutines", goroutines(v, writers))),
			each(writers, b.loop("C: process_vm_writev, threads", v.raw.timed("threads %d %#x 8", writers, v.address))),
			each(writers, b.loop("C: process_vm_writev, processes", v.raw.timed("processes %d %#x 8", writers, v.address))))
		if err != nil {
			return c, err
		}
		c.add(float64(writers), all)
	}
	return c, nil
}

func goroutines(v victim, writers int) timed {
	return func(calls int) (time.Duration, error) {
		errs := make([]error, writers)
		var all sync.WaitGroup
		start := time.Now()
		for i := range writers {
			all.Go(func() {
				data := make([]byte, 8)
				_, errs[i] = repeat(func() error { return v.task.Write(v.address+uint64(i*64), data) })(calls)
			})
		}
		all.Wait()
		took := time.Since(start)
		for _, err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return took, nil
	}
}
