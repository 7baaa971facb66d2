// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// size is how much is measured.
type size struct {
	name        string
	round       time.Duration // the least time of a round of short calls
	shortRounds int           // of calls that take microseconds
	rounds      int
	longRounds  int           // of calls that take long
	programs    int           // how often a whole program runs in a round
	bulk        []int         // bytes of a long write; the last is also that of other rows
	many        int           // mappings, where there are many
	values      []int         // in a batch
	threads     int           // of a target that is stopped, where there are many
	stops       int           // in a round
	changes     []int         // of a patch
	quiet       time.Duration // how long nobody writes, for comparison
	curves      curveSizes
}

// curveSizes are the points of the curves.
type curveSizes struct{ bytes, segments, mappings, threads, writers []int }

var (
	full = size{
		name: "full", round: 4 * time.Millisecond, shortRounds: 75, rounds: 15, longRounds: 7, programs: 20,
		bulk: []int{64 << 20, 1 << 30}, many: 60_000, values: []int{1_000, 10_000, 100_000}, threads: 100, stops: 50, changes: []int{1, 100, 10_000}, quiet: 500 * time.Millisecond,
		curves: curveSizes{
			bytes:    []int{1, 8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20, 128 << 20, 1 << 30},
			segments: []int{1, 10, 100, 1_000, 10_000, 100_000},
			mappings: []int{10, 100, 1_000, 10_000, 30_000, 65_000},
			threads:  []int{1, 2, 5, 10, 20, 50, 100, 200, 500},
			writers:  []int{1, 2, 4, 8, 16},
		},
	}
	quick = size{
		name: "quick", round: 2 * time.Millisecond, shortRounds: 5, rounds: 5, longRounds: 3, programs: 3,
		bulk: []int{16 << 20, 128 << 20}, many: 20_000, values: []int{1_000, 10_000}, threads: 50, stops: 10, changes: []int{1, 100}, quiet: 200 * time.Millisecond,
		curves: curveSizes{
			bytes:    []int{1, 64, 4 << 10, 256 << 10, 16 << 20},
			segments: []int{1, 100, 10_000},
			mappings: []int{10, 1_000, 20_000},
			threads:  []int{1, 10, 100},
			writers:  []int{1, 2, 4},
		},
	}
)

// bench is one run of everything.
type bench struct {
	ctx       context.Context // of the run: Ctrl-C ends it between two rounds
	size      size
	tools     tools
	directory string // for what is built and written, removed at the end
	log       io.Writer
	processes []*coprocess
	cleanups  []func()
}

// close ends and removes all that the run left.
func (b *bench) close() {
	b.endProcesses()
	os.RemoveAll(b.directory)
}

// endProcesses ends what a row started, and gives its memory back.
func (b *bench) endProcesses() {
	for _, f := range b.cleanups {
		f()
	}
	for _, p := range b.processes {
		p.end()
	}
	b.processes, b.cleanups = nil, nil
}

// bulk is the size of a long write.
func (b *bench) bulk() int { return b.size.bulk[len(b.size.bulk)-1] }

// target starts a process to write into.
func (b *bench) target() (*coprocess, error) { return b.start(b.tools.program("target")) }

// raw starts the C program that makes the bare calls, with process opened.
func (b *bench) raw(process *coprocess) (*coprocess, error) {
	p, err := b.start(b.tools.program("raw"))
	return opened(p, process, err)
}

// rawOnOneCore is raw for a program that may use one core only.
func (b *bench) rawOnOneCore(process *coprocess) (*coprocess, error) {
	p, err := b.startOnOneCore(b.tools.program("raw"))
	return opened(p, process, err)
}

func opened(p, process *coprocess, err error) (*coprocess, error) {
	if err != nil {
		return nil, err
	}
	_, err = p.ask("open %d", process.pid())
	return p, err
}

// task opens a Task on a process, until the row is over.
func (b *bench) task(process *coprocess, options ...machcompat.Option) (*machcompat.Task, error) {
	task, err := machcompat.TaskForPID(process.pid(), options...)
	if err != nil {
		return nil, err
	}
	b.cleanups = append(b.cleanups, func() { task.Close() })
	return task, nil
}

// source returns memory to write from, which the others that are given map too:
// where in the machine's memory pages lie makes one copy faster than another.
func (b *bench) source(size int, others ...*coprocess) ([]byte, error) {
	file, err := b.file(size)
	if err != nil {
		return nil, err
	}
	data, err := mapSource(file, size)
	if err != nil {
		return nil, err
	}
	b.cleanups = append(b.cleanups, func() { unix.Munmap(data) })
	for _, p := range others {
		if _, err := p.ask("source %s %d", file.Name(), size); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func mapSource(file *os.File, size int) ([]byte, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return data, nil
}

// file makes a file of size bytes in memory, which ends with the row or with this
// program. Other programs can open it by its name.
func (b *bench) file(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("vmwrite-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
	b.cleanups = append(b.cleanups, func() { file.Close() })
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	for done := 0; done < size; done += len(block) {
		if _, err := file.Write(block[:min(len(block), size-done)]); err != nil {
			return nil, err
		}
	}
	return file, nil
}

// victim is a target with what most rows need of it.
type victim struct {
	*coprocess
	task    *machcompat.Task
	raw     *coprocess
	address uint64
}

// victimWith starts a target, has it make memory by a command that is answered
// with an address, and opens it on both sides.
func (b *bench) victimWith(options []machcompat.Option, format string, args ...any) (v victim, err error) {
	if v.coprocess, err = b.target(); err != nil {
		return v, err
	}
	if v.address, err = v.number(format, args...); err != nil {
		return v, err
	}
	if v.task, err = b.task(v.coprocess, options...); err != nil {
		return v, err
	}
	v.raw, err = b.raw(v.coprocess)
	return v, err
}
