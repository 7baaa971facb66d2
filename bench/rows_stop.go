// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// moment is a stretch of the clock that all processes of the machine share, in ns.
type moment struct{ start, end uint64 }

// stillness is what a round of stops was like, for the caller and for the target.
type stillness struct{ call, still, longest float64 }

// pauseBetweenStops lets the target run, as it would between the writes of a
// program that has something else to do.
const pauseBetweenStops = 500 * time.Microsecond

// watched makes calls while the target watches the clock, and returns the medians
// of how long a call took and of how long the target stood still in it.
func watched(target *coprocess, calls func() ([]moment, error)) (s stillness, err error) {
	if err := target.tell("gaps"); err != nil {
		return s, err
	}
	time.Sleep(2 * time.Millisecond) // until it watches
	made, err := calls()
	if wakeErr := unix.Kill(target.pid(), unix.SIGUSR1); wakeErr != nil && err == nil {
		err = wakeErr
	}
	words, answerErr := target.answer()
	if err = errors.Join(err, answerErr); err != nil {
		return s, err
	}
	numbers, err := parseNumbers(words)
	if err != nil {
		return s, err
	}
	var gaps []moment
	for pair := range slices.Chunk(numbers, 2) {
		gaps = append(gaps, moment{pair[0], pair[0] + pair[1]})
	}
	return summarize(made, gaps), nil
}

func summarize(made, gaps []moment) stillness {
	var took, still []float64
	for _, m := range made {
		took = append(took, float64(m.end-m.start)/1e9)
		sum := uint64(0)
		for _, gap := range gaps {
			// A gap that began in the call belongs to it with all its length: the
			// target runs again a little later than it was let go.
			if gap.end > m.start && gap.start < m.end {
				sum += gap.end - max(gap.start, m.start)
			}
		}
		still = append(still, float64(sum)/1e9)
	}
	return stillness{call: spreadOf(took).median, still: spreadOf(still).median, longest: slices.Max(still)}
}

func monotonic() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return uint64(now.Nano())
}

// ourStops and rawStops make count writes with the target stopped.
func ourStops(v victim, count int) func() ([]moment, error) {
	data := make([]byte, 8)
	return func() (made []moment, err error) {
		for range count {
			start := monotonic()
			if err := v.task.Write(v.address, data); err != nil {
				return nil, err
			}
			made = append(made, moment{start, monotonic()})
			time.Sleep(pauseBetweenStops)
		}
		return made, nil
	}
}

func rawStops(v victim, count int) func() ([]moment, error) {
	return func() (made []moment, err error) {
		numbers, err := v.raw.numbers("stop %#x 8 %d %d", v.address, count, pauseBetweenStops.Microseconds())
		for pair := range slices.Chunk(numbers, 2) {
			made = append(made, moment{pair[0], pair[1]})
		}
		return made, err
	}
}

// debuggerStop lets gdb write once. It holds the target for most of its life.
func (b *bench) debuggerStop(v victim) func() ([]moment, error) {
	return func() ([]moment, error) {
		start := monotonic()
		err := exec.Command(b.tools.peers["gdb"], "-p", strconv.Itoa(v.pid()), "-batch", "-nx", "-ex", fmt.Sprintf("set {int}%#x=7", v.address)).Run()
		return []moment{{start, monotonic()}}, err
	}
}

// stopper is a contender of which each round gives three values.
type stopper struct {
	name   string
	target *coprocess
	calls  func() ([]moment, error)
	rounds []stillness
}

func (s *stopper) contender() contender {
	return contender{name: s.name, round: func() (float64, error) {
		got, err := watched(s.target, s.calls)
		s.rounds = append(s.rounds, got)
		return got.call, err
	}}
}

// values returns one value of the rounds that count.
func (s *stopper) values(of func(stillness) float64) series {
	result := series{name: s.name}
	for _, round := range s.rounds[1:] {
		result.values = append(result.values, of(round))
	}
	return result
}

// stopVictim is a target with so many threads, to be stopped for each write.
func (b *bench) stopVictim(threads int) (victim, error) {
	v, err := b.victimWith([]machcompat.Option{machcompat.WithBackend(machcompat.ProcMem), machcompat.WithStop(machcompat.StopAlways)}, "maps %d", few)
	if err == nil {
		_, err = v.ask("threads %d", threads)
	}
	return v, err
}

// standstill is row 10.
func (b *bench) standstill() (row, error) {
	r := row{
		number: 10, short: true, title: "a write with the target stopped",
		setup: "`Task.Write` of 8 bytes through `/proc/PID/mem`, with all threads stopped. One thread of the target looks at the clock without pause and notes each gap; of those that fall into a call, the sum is how long it stood still. C seizes, interrupts and awaits each thread, writes, and detaches; gdb is a whole run of it.",
	}
	for _, threads := range []int{1, b.size.threads} {
		v, err := b.stopVictim(threads)
		if err != nil {
			return r, err
		}
		stoppers := []*stopper{
			{name: "Task.Write, stopped", target: v.coprocess, calls: ourStops(v, b.size.stops)},
			{name: "C: seize, pwrite, detach", target: v.coprocess, calls: rawStops(v, b.size.stops)},
		}
		if b.tools.has("gdb") {
			stoppers = append(stoppers, &stopper{name: "gdb, one write", target: v.coprocess, calls: b.debuggerStop(v)})
		}
		if err := b.measureStops(&r, threads, stoppers); err != nil {
			return r, err
		}
		b.endProcesses()
	}
	return r, nil
}

func (b *bench) measureStops(r *row, threads int, stoppers []*stopper) error {
	var contenders []contender
	for _, s := range stoppers {
		contenders = append(contenders, s.contender())
	}
	title := fmt.Sprintf("%d threads: ", threads)
	if threads == 1 {
		title = "1 thread: "
	}
	all, err := b.measure(r, b.size.longRounds, title+"time of a call, median of a round", contenders...)
	if err != nil {
		return err
	}
	r.atMost(title+"time of a call to that in C", all[0].over(all[1]), 1.5)
	r.dependsOn("the cores: whether threads stop while we look")
	still := group{title: title + "the target stood still, median of a round", unit: seconds, time: true}
	longest := group{title: title + "the target stood still, longest of a round", unit: seconds, time: true}
	for _, s := range stoppers {
		still.series = append(still.series, s.values(func(s stillness) float64 { return s.still }))
		longest.series = append(longest.series, s.values(func(s stillness) float64 { return s.longest }))
	}
	r.groups = append(r.groups, still, longest)
	return nil
}
