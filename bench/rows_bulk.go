// SPDX-License-Identifier: Apache-2.0

package main

import "runtime"

// touchedMemory is row 6.
func (b *bench) touchedMemory() (row, error) {
	r := row{
		number: 6, title: "long writes into touched memory",
		setup: "One `Task.Write`, against `process_vm_writev` in C that is called until all is written, which is one call here. On one core both sides are programs that may use that core only.",
	}
	for _, size := range b.size.bulk {
		if err := b.allCores(&r, size); err != nil {
			return r, err
		}
		b.endProcesses()
		if err := b.oneCore(&r, size); err != nil {
			return r, err
		}
		b.endProcesses()
	}
	return r, nil
}

func (b *bench) allCores(r *row, size int) error {
	v, err := b.victimWith(nil, "region %d touched", size)
	if err != nil {
		return err
	}
	data, err := b.source(size, v.raw)
	if err != nil {
		return err
	}
	all, err := b.measure(r, b.bulkRounds(size), byteCount(float64(size))+", all cores",
		b.loop("Task.Write", repeat(func() error { return v.task.Write(v.address, data) })),
		b.loop("C: process_vm_writev", v.raw.timed("vm %#x %d", v.address, size)),
		b.loop("C: pwrite on /proc/PID/mem", v.raw.timed("mem %#x %d", v.address, size)),
		aside(b.loop("C: memcpy in one process", v.raw.timed("copy %d", size))))
	if err != nil {
		return err
	}
	if b.severalCores() {
		r.atLeast(byteCount(float64(size))+" touched, throughput to raw, all cores", all[0].timesOver(all[1]), 1.5)
		r.dependsOn("the cores, and the memory that they share")
	}
	return nil
}

func (b *bench) oneCore(r *row, size int) error {
	target, err := b.target()
	if err != nil {
		return err
	}
	address, err := target.number("region %d touched", size)
	if err != nil {
		return err
	}
	ours, err := b.ourWriterOnOneCore(target)
	if err != nil {
		return err
	}
	raw, err := b.rawOnOneCore(target)
	if err != nil {
		return err
	}
	if _, err := b.source(size, ours, raw); err != nil {
		return err
	}
	all, err := b.measure(r, b.bulkRounds(size), byteCount(float64(size))+", one core",
		b.loop("Task.Write", ours.timed("vm %#x %d", address, size)),
		b.loop("C: process_vm_writev", raw.timed("vm %#x %d", address, size)))
	if err != nil {
		return err
	}
	r.atLeast(byteCount(float64(size))+" touched, throughput to raw, one core", all[0].timesOver(all[1]), 0.97)
	return nil
}

// severalCores reports whether a long write has more than one thread.
func (b *bench) severalCores() bool { return runtime.GOMAXPROCS(0) > 1 }

// bulkRounds is how many rounds a write of size bytes gets.
func (b *bench) bulkRounds(size int) int {
	if size > 256<<20 {
		return b.size.longRounds
	}
	return b.size.rounds
}

// untouchedMemory is row 7.
func (b *bench) untouchedMemory() (row, error) {
	size := b.bulk()
	r := row{
		number: 7, title: "a long write into untouched memory",
		setup: "As row 6, but before each round the target gives all pages back, so that each is brought by the write.",
	}
	v, err := b.victimWith(nil, "region %d untouched", size)
	if err != nil {
		return r, err
	}
	data, err := b.source(size, v.raw)
	if err != nil {
		return r, err
	}
	forget := func() error {
		_, err := v.ask("dontneed %#x %d", v.address, size)
		return err
	}
	all, err := b.measure(&r, b.size.longRounds, byteCount(float64(size)),
		once("Task.Write", forget, repeat(func() error { return v.task.Write(v.address, data) })),
		once("C: process_vm_writev", forget, v.raw.timed("vm %#x %d", v.address, size)))
	if err != nil {
		return r, err
	}
	r.atLeast(byteCount(float64(size))+" untouched, throughput to raw", all[0].timesOver(all[1]), 0.97)
	return r, nil
}
