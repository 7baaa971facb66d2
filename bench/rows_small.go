// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/pwrite"
	"golang.org/x/sys/unix"
)

// few is the number of mappings of an ordinary small process.
const few = 60

// smallWrite is row 1.
func (b *bench) smallWrite() (row, error) {
	r := row{
		number: 1, short: true, title: "8 bytes",
		setup: fmt.Sprintf("`Task.Write` of 8 bytes into a target of %d mappings, against loops of the bare calls.", few),
	}
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	v, err := b.victimWith(nil, "maps %d", few)
	if err != nil {
		return r, err
	}
	data := make([]byte, 8)
	write := func() error { return v.task.Write(v.address, data) }
	direct := pwrite.ProcessVM{PID: v.pid()}
	contenders := []contender{
		b.loop("Task.Write", repeat(write)),
		b.loop("C: process_vm_writev", v.raw.timed("vm %#x 8", v.address)),
		aside(b.loop("C: read of stat", v.raw.timed("lives"))),
		b.loop("C: write, read of stat", v.raw.timed("confirmed %#x 8", v.address)),
		aside(b.loop("C: PROCMAP_QUERY", v.raw.timed("query %#x", v.address))),
		b.loop("C: query, write, query", v.raw.timed("checked %#x 8", v.address)),
		b.loop("Go: process_vm_writev", repeat(func() error {
			_, err := direct.WriteOnce(v.address, data)
			return err
		})),
		b.loop("C: pwrite on /proc/PID/mem", v.raw.timed("mem %#x 8", v.address)),
		aside(b.loop("C: memcpy in one process", v.raw.timed("copy 8"))),
	}
	bareTwo, err := goTwoCalls(v, data)
	if err != nil {
		return r, err
	}
	contenders = append(contenders, b.loop("Go: write, read of stat", repeat(bareTwo)))
	if b.tools.has("python3") {
		contenders = append(contenders, b.loop("Python: ctypes", b.pythonLoop(v)))
	}
	all, err := b.measure(&r, b.size.shortRounds, "time of one write", contenders...)
	if err != nil {
		return r, err
	}
	r.atMost("8 bytes, time to the same two calls in C", all[0].over(all[3]), 1.15)
	allocations := testing.AllocsPerRun(1000, func() {
		if err == nil {
			err = write()
		}
	})
	r.atMost("8 bytes, allocations", spreadOf([]float64{allocations}), 0)
	calls, err := b.countCalls(&r, "a write", v.coprocess, "vm %#x 8", v.address)
	if err != nil {
		return r, err
	}
	if calls > 0 {
		r.atMost("8 bytes, system calls", spreadOf([]float64{calls}), 2)
	}
	r.fact("Against one raw process_vm_writev: %s times, which depends on what a read of stat costs here. Against a query of the map before and after: %s times.",
		digits(all[0].over(all[1]).median), digits(all[0].over(all[5]).median))
	r.fact("%s", shares(all[0], all[9], all[3], all[1], all[2]))
	return r, err
}

// shares says what a write inside one page is made of: the write, which checks the
// page, the question whether the process is what it was, what Go adds to these two
// calls, and the library.
func shares(ours, inGo, inC, write, lives series) string {
	o, g, c, w, l := ours.spread().median, inGo.spread().median, inC.spread().median, write.spread().median, lives.spread().median
	share := func(s float64) string { return fmt.Sprintf("%s (%.0f %%)", seconds(s), 100*s/o) }
	return fmt.Sprintf("Of its time, the two calls in C take %s: process_vm_writev, which checks the page, %s, and the question whether the process is what it was (pread of /proc/PID/task/PID/stat) %s, each in a loop of its own. In Go the two take %s more, and all the rest, which is ours, %s.",
		share(c), share(w), share(l), share(max(g-c, 0)), share(max(o-g, 0)))
}

// goTwoCalls makes the two calls of a write inside one page, and nothing else.
func goTwoCalls(v victim, data []byte) (func() error, error) {
	stat, err := os.Open(fmt.Sprintf("/proc/%d/task/%d/stat", v.pid(), v.pid()))
	if err != nil {
		return nil, err
	}
	fd, direct, text := int(stat.Fd()), pwrite.ProcessVM{PID: v.pid()}, make([]byte, 2048)
	return func() error {
		if _, err := direct.WriteOnce(v.address, data); err != nil {
			return err
		}
		_, err := unix.Pread(fd, text, 0)
		runtime.KeepAlive(stat)
		return err
	}, nil
}

// pythonLoop measures inside the interpreter, without its start.
func (b *bench) pythonLoop(v victim) timed {
	return func(calls int) (time.Duration, error) {
		out, err := exec.Command(b.tools.peers["python3"], "peers/write.py", strconv.Itoa(v.pid()), fmt.Sprintf("%#x", v.address), "8", strconv.Itoa(calls)).Output()
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		return time.Duration(ns), err
	}
}

// manyMappings is row 2.
func (b *bench) manyMappings() (row, error) {
	r := row{
		number: 2, short: true, title: "8 bytes, many mappings",
		setup: fmt.Sprintf("As row 1, into targets of %d and of %d mappings.", few, b.size.many),
	}
	var contenders []contender
	for i, count := range []int{b.size.many, few} {
		v, err := b.victimWith(nil, "maps %d", count)
		if err != nil {
			return r, err
		}
		data := make([]byte, 8)
		ours := b.loop(fmt.Sprintf("Task.Write, %d mappings", count), repeat(func() error { return v.task.Write(v.address, data) }))
		raw := b.loop(fmt.Sprintf("C: process_vm_writev, %d mappings", count), v.raw.timed("vm %#x 8", v.address))
		if i > 0 {
			ours, raw = aside(ours), aside(raw)
		}
		contenders = append(contenders, ours, raw)
	}
	all, err := b.measure(&r, b.size.shortRounds, "time of one write", contenders...)
	if err != nil {
		return r, err
	}
	r.atMost(fmt.Sprintf("8 bytes, time with %d mappings to that with %d", b.size.many, few), all[0].over(all[2]), 1.1)
	return r, nil
}

// textSource is row 3.
func (b *bench) textSource() (row, error) {
	r := row{
		number: 3, short: true, title: "8 bytes, through the text of /proc/PID/maps",
		setup: fmt.Sprintf("As row 1, on kernels without PROCMAP_QUERY (here by `WithMapSource(procmaps.Text)`), into a target of %d mappings. A write inside one page does not look at the map. A batch of two values does, up to the address.", b.size.many),
	}
	target, err := b.target()
	if err != nil {
		return r, err
	}
	ends, err := target.numbers("maps %d", b.size.many)
	if err != nil {
		return r, err
	}
	text, err := b.task(target, machcompat.WithMapSource(procmaps.Text))
	if err != nil {
		return r, err
	}
	query, err := b.task(target)
	if err != nil {
		return r, err
	}
	var contenders []contender
	data := make([]byte, 8)
	for _, way := range []struct {
		name  string
		write func() error
	}{
		{"text, a write near the end", func() error { return text.Write(ends[1], data) }},
		{"text, a batch of two near the start", pair(text, ends[0])},
		{"text, a batch of two near the end", pair(text, ends[1])},
		{"PROCMAP_QUERY, a batch of two near the end", pair(query, ends[1])},
	} {
		read, calls, err := readBy(way.write)
		if err != nil {
			return r, err
		}
		r.fact("%s: reads %s in %d system calls.", way.name, byteCount(read), calls)
		contenders = append(contenders, aside(b.loop(way.name, repeat(way.write))))
	}
	_, err = b.measure(&r, b.size.shortRounds, "time of one call", contenders...)
	return r, err
}

// pair writes a batch of two values, which is checked before.
func pair(task *machcompat.Task, address uint64) func() error {
	segments := []machcompat.Segment{{Address: address, Data: make([]byte, 4)}, {Address: address + 4, Data: make([]byte, 4)}}
	return func() error { return task.WriteBatch(segments) }
}

// readBy returns how many bytes a call reads in how many system calls: the least
// of several, because the runtime reads too, to wake itself up.
func readBy(call func() error) (bytes float64, calls uint64, err error) {
	self, err := procfs.Self()
	if err != nil {
		return 0, 0, err
	}
	count := func(call func() error) (procfs.ProcIO, error) {
		before, err := self.IO()
		if err != nil {
			return before, err
		}
		if err := call(); err != nil {
			return before, err
		}
		after, err := self.IO()
		return procfs.ProcIO{RChar: after.RChar - before.RChar, SyscR: after.SyscR - before.SyscR}, err
	}
	best := procfs.ProcIO{RChar: 1 << 62}
	for range 5 {
		idle, err := count(func() error { return nil })
		if err != nil {
			return 0, 0, err
		}
		got, err := count(call)
		if err != nil {
			return 0, 0, err
		}
		if n := got.RChar - min(idle.RChar, got.RChar); n < best.RChar {
			best = procfs.ProcIO{RChar: n, SyscR: got.SyscR - min(idle.SyscR, got.SyscR)}
		}
	}
	return float64(best.RChar), best.SyscR, nil
}

// openAndClose is row 13.
func (b *bench) openAndClose() (row, error) {
	r := row{
		number: 13, short: true, title: "to open a process, and to close it",
		setup: "`TaskForPID` and `Close`, against the same calls in C, which are named at `open_close` in [raw.c](peers/raw.c).",
	}
	if err := b.onOneCore(); err != nil {
		return r, err
	}
	v, err := b.victimWith(nil, "maps %d", few)
	if err != nil {
		return r, err
	}
	all, err := b.measure(&r, b.size.shortRounds, "time of both",
		b.loop("TaskForPID, Close", repeat(func() error { return reopen(v.pid()) })),
		b.loop("C: the same calls", v.raw.timed("reopen %d", v.pid())))
	if err != nil {
		return r, err
	}
	r.atMost("TaskForPID and Close, time to the same calls in C", all[0].over(all[1]), 1.5)
	_, err = b.countCalls(&r, "TaskForPID and Close", v.coprocess, "reopen %d", v.pid())
	return r, err
}

func reopen(pid int) error {
	task, err := machcompat.TaskForPID(pid)
	if err != nil {
		return err
	}
	return task.Close()
}
