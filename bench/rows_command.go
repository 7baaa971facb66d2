// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// fileWrite is row 8.
func (b *bench) fileWrite() (row, error) {
	size := b.bulk()
	r := row{
		number: 8, title: "the command, a file of " + byteCount(float64(size)),
		setup: "`vmwrite write -f FILE` as a whole program, against `dd bs=1M` to `/proc/PID/mem`, into touched memory. The file lies in memory (memfd_create(2)), so that no disk is measured.",
	}
	target, err := b.target()
	if err != nil {
		return r, err
	}
	address, err := target.number("region %d touched", size)
	if err != nil {
		return r, err
	}
	file, err := b.file(size)
	if err != nil {
		return r, err
	}
	fromFile, fromPipe := b.filePrograms(target, address, file)
	all, err := b.measurePrograms(&r, b.size.longRounds, "from a file", fromFile)
	if err != nil {
		return r, err
	}
	piped, err := b.measurePrograms(&r, b.size.longRounds, "from a pipe", fromPipe)
	if err != nil {
		return r, err
	}
	r.fact("A pipe must be held whole before its first byte is written, so that all of it is or nothing. That takes page faults, whose price differs between machines by a factor of twenty.")
	if len(all) > 1 {
		r.atMost(byteCount(float64(size))+" from a file, time to dd", all[0].over(all[1]), 0.65)
		r.dependsOn("the cores, and the memory that they share")
		r.atMost(byteCount(float64(size))+" from a pipe, time to cat | dd", piped[0].over(piped[1]), 2.5)
		r.dependsOn("what a page fault costs, against a copy")
	}
	return r, nil
}

// measurePrograms measures the time and the memory of whole programs.
func (b *bench) measurePrograms(r *row, rounds int, title string, programs []*program) ([]series, error) {
	var contenders []contender
	for _, p := range programs {
		contenders = append(contenders, b.run(p))
	}
	all, err := b.measure(r, rounds, title+": time of the program", contenders...)
	if err != nil {
		return nil, err
	}
	r.groups = append(r.groups, usageOf(title+": most memory resident (`ru_maxrss`)", byteCount, programs, func(u usage) float64 { return u.resident }))
	return all, nil
}

// filePrograms puts vmwrite first. All write the same file, with the value of the
// round at its front.
func (b *bench) filePrograms(target *coprocess, address uint64, file *os.File) (fromFile, fromPipe []*program) {
	pid, at, name := strconv.Itoa(target.pid()), fmt.Sprintf("%#x", address), file.Name()
	last := new(uint32)
	mark := func(words []string) func(uint32) []string {
		return func(value uint32) []string {
			var front [4]byte
			binary.NativeEndian.PutUint32(front[:], value)
			file.WriteAt(front[:], 0)
			return words
		}
	}
	add := func(to *[]*program, label string, words ...string) {
		*to = append(*to, &program{name: label, times: 1, command: mark(words), confirm: confirmer(target, address), lastValue: last})
	}
	pipe := func(words ...string) []string {
		return append([]string{"/bin/sh", "-c", `file="$0"; cat "$file" | "$@"`, name}, words...)
	}
	write := []string{b.tools.vmwrite, "write", "-p", pid, at, "-f"}
	add(&fromFile, "vmwrite write -f FILE", slices.Concat(write, []string{name})...)
	add(&fromPipe, "cat FILE, vmwrite write -f -", pipe(slices.Concat(write, []string{"-"})...)...)
	if dd := b.tools.peers["dd"]; dd != "" {
		words := []string{dd, "of=/proc/" + pid + "/mem", "bs=1M", "seek=" + strconv.FormatUint(address, 10), "oflag=seek_bytes", "conv=notrunc"}
		add(&fromFile, "dd bs=1M to /proc/PID/mem", slices.Concat(words, []string{"if=" + name})...)
		add(&fromPipe, "cat FILE, dd bs=1M to /proc/PID/mem", pipe(slices.Concat(words, []string{"iflag=fullblock"})...)...)
	}
	return fromFile, fromPipe
}

// shortCommand is row 9.
func (b *bench) shortCommand() (row, error) {
	r := row{
		number: 9, title: "the command, 4 bytes",
		setup: "`vmwrite write` of one 32-bit value as a whole program, from its start to its end, against others that do so. The C program takes a pidfd, asks `PROCMAP_QUERY`, writes and asks again; gdb, scanmem and Python check nothing. The empty Go programs write nothing: they are what the start and the end of Go take, of procfs, which initialises itself, and of a command of cobra. Threads and processes are counted by the numbers that the kernel gives to them, so what else the machine starts meanwhile counts too.",
	}
	target, err := b.target()
	if err != nil {
		return r, err
	}
	address, err := target.number("maps %d", few)
	if err != nil {
		return r, err
	}
	last := new(uint32)
	programs := b.shortPrograms(strconv.Itoa(target.pid()), fmt.Sprintf("%#x", address))
	var contenders []contender
	for _, p := range programs {
		p.confirm, p.lastValue = confirmer(target, address), last
		contenders = append(contenders, b.run(p))
	}
	all, err := b.measure(&r, b.size.rounds, "time of the program", contenders...)
	if err != nil {
		return r, err
	}
	r.groups = append(r.groups,
		usageOf("voluntary context switches", digits, programs, func(u usage) float64 { return u.switches }),
		usageOf("minor page faults", digits, programs, func(u usage) float64 { return u.faults }),
		usageOf("threads and processes", digits, programs, func(u usage) float64 { return u.threads }))
	for _, s := range all {
		switch s.name {
		case emptyWithProcfs:
			r.atMost("the command, 4 bytes, time to an empty Go program with procfs", all[0].over(s), 1.9)
		case "C":
			r.atMost("the command, 4 bytes, time to the same in C", all[0].over(s), 3)
			r.dependsOn("what a page fault and a context switch cost, against the start of any program")
		case "gdb":
			r.atMost("the command, 4 bytes, time to gdb", all[0].over(s), 0.05)
			r.dependsOn("how long gdb takes to start")
		case "Python":
			r.atMost("the command, 4 bytes, time to Python", all[0].over(s), 1)
			r.dependsOn("how long Python takes to start")
		}
	}
	return r, nil
}

const emptyWithProcfs = "Go, empty, with procfs"

func (b *bench) shortPrograms(pid, address string) []*program {
	value := func(v uint32) string { return strconv.FormatUint(uint64(v), 10) }
	t, times := &b.tools, b.size.programs
	programs := []*program{
		{name: "vmwrite write", times: times, command: func(v uint32) []string {
			return []string{t.vmwrite, "write", "-p", pid, address, "-t", "u32", value(v)}
		}},
		{name: "C", times: times, command: func(v uint32) []string {
			return []string{t.program("once"), pid, address, value(v)}
		}},
		{name: "C, linked statically", times: times, command: func(v uint32) []string {
			return []string{t.program("once-static"), pid, address, value(v)}
		}},
		{name: "Go, empty", times: times, command: func(v uint32) []string { return []string{t.program("empty")} }, idle: true},
		{name: emptyWithProcfs, times: times, command: func(v uint32) []string { return []string{t.program("empty-procfs")} }, idle: true},
		{name: "Go, empty, with procfs and cobra", times: times, command: func(v uint32) []string { return []string{t.program("empty-cobra")} }, idle: true},
		{name: "gdb", times: 1, command: func(v uint32) []string {
			return []string{t.peers["gdb"], "-p", pid, "-batch", "-nx", "-ex", "set {int}" + address + "=" + value(v)}
		}},
		{name: "scanmem", times: 1, command: func(v uint32) []string {
			return []string{t.peers["scanmem"], "-p", pid, "-c", "write i32 " + address + " " + value(v) + ";exit"}
		}},
		{name: "Python", times: max(times/4, 1), command: func(v uint32) []string {
			return []string{t.peers["python3"], "peers/write.py", pid, address, value(v)}
		}},
	}
	kept := programs[:0]
	for _, p := range programs {
		if _, err := os.Stat(p.command(0)[0]); err == nil {
			kept = append(kept, p)
		}
	}
	return kept
}
