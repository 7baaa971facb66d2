// SPDX-License-Identifier: Apache-2.0

package hold_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// Each tick comes at its time, and those that can't are counted and left out.
func TestSchedule(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		takes map[int]time.Duration // a tick, by its number from 0
		want  []time.Duration       // when ticks begin
		late  uint64
	}{
		{"all in time", nil, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}, 0},
		{"one takes nearly as long as it may", map[int]time.Duration{1: 90 * ms}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms}, 0},
		{"one takes as long as two", map[int]time.Duration{1: 150 * ms}, []time.Duration{0, 100 * ms, 300 * ms, 400 * ms}, 1},
		{"one takes as long as three", map[int]time.Duration{0: 250 * ms}, []time.Duration{0, 300 * ms, 400 * ms}, 2},
		{"one ends when the next is due", map[int]time.Duration{0: 100 * ms}, []time.Duration{0, 200 * ms, 300 * ms, 400 * ms}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newFake(1, 1)
				h := newHolder(t, m, constant("x", hold.Fixed(pageSize), 0))
				start := time.Now()
				var begun []time.Duration
				m.before = func() {
					begun = append(begun, time.Since(start))
					time.Sleep(c.takes[len(begun)-1])
				}
				ctx, cancel := context.WithTimeout(context.Background(), 450*ms)
				defer cancel()
				summary, err := h.Run(ctx, 10)
				if err != nil || summary.Late != c.late || summary.Ticks != uint64(len(c.want)) || summary != h.Summary() {
					t.Errorf("Run = %+v, %v; want %d late", summary, err, c.late)
				}
				for i := range min(len(begun), len(c.want)) {
					if begun[i] != c.want[i] {
						t.Errorf("the ticks begin at %v; want %v", begun, c.want)
						break
					}
				}
				if ended := time.Since(start); ended != 450*ms {
					t.Errorf("it ended after %v", ended)
				}
			})
		})
	}
}

func TestRates(t *testing.T) {
	for _, rate := range []float64{0, -1, 1000.1, math.Inf(1), math.Inf(-1), math.NaN()} {
		h := newHolder(t, newFake(0, 0))
		if summary, err := h.Run(context.Background(), rate); err == nil || summary.Ticks != 0 {
			t.Errorf("a rate of %v is taken: %+v", rate, summary)
		}
	}
	// As slow as may be: one tick, and then nothing but the end of the context.
	for _, rate := range []float64{1e-3, math.SmallestNonzeroFloat64} {
		synctest.Test(t, func(t *testing.T) {
			h := newHolder(t, newFake(0, 0))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if summary, err := h.Run(ctx, rate); err != nil || summary.Ticks != 1 {
				t.Errorf("Run at a rate of %v = %+v, %v", rate, summary, err)
			}
		})
	}
}

// The highest rate, which timers of Go are too coarse for, on a real clock.
func TestHighestRate(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := newHolder(t, &stopAfter{newFake(0, 0), 20, cancel})
	start := time.Now()
	summary, err := h.Run(ctx, hold.MaxRate)
	if err != nil || summary.Ticks != 20 {
		t.Errorf("Run = %+v, %v", summary, err)
	}
	if took := time.Since(start); took < 19*time.Millisecond {
		t.Errorf("20 ticks took %v; want 19 ms or more", took)
	}
}

type stopAfter struct {
	*fakeMemory
	left   int
	cancel func()
}

func (s *stopAfter) ReadBatch(segments []machcompat.Segment) error {
	if s.left--; s.left == 0 {
		s.cancel()
	}
	return s.fakeMemory.ReadBatch(segments)
}

func TestRunWithAContextThatIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := newHolder(t, newFake(0, 0))
	if summary, err := h.Run(ctx, 60); err != nil || summary != (hold.Summary{}) {
		t.Errorf("Run = %+v, %v", summary, err)
	}
}

// The end of the process ends it, also while everything has vanished.
func TestEndOfTheProcess(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(target *testtarget.Target)
	}{
		{"it exits", func(target *testtarget.Target) { target.End() }},
		{"it is killed", func(target *testtarget.Target) { target.Kill(); target.Wait() }},
		{"it runs another program", func(target *testtarget.Target) { target.Try("execself") }},
	} {
		for _, address := range []uint64{0, 1} { // of memory that there is, and there is not
			t.Run(c.name, func(t *testing.T) {
				target := testtarget.Start(t)
				task := taskFor(t, target.PID)
				if address == 0 {
					address = target.Address("layout rw-:1")
				}
				h := newHolder(t, task, constant("x", hold.Fixed(address), 1))
				h.tick()
				c.end(target)
				ctx, cancel := context.WithTimeout(context.Background(), testtarget.Patience)
				defer cancel()
				_, err := h.Run(ctx, 1000)
				if !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
					t.Errorf("Run = %v; want KERN_INVALID_ARGUMENT", err)
				}
			})
		}
	}
}

// An error that is of no entry ends it, and is none of the entries' events.
func TestEndOfAFake(t *testing.T) {
	m := newFake(1, 1)
	h := newHolder(t, m, constant("x", hold.Fixed(pageSize), 1), constant("y", hold.Fixed(pageSize*9), 1))
	h.tick()
	h.wantEvents("-y")
	m.gone = true
	if _, err := h.Run(context.Background(), 60); !errors.Is(err, machcompat.KERN_INVALID_ARGUMENT) {
		t.Errorf("Run = %v", err)
	}
	h.wantEvents()
}

// The first change may come before the first tick, and so not count as one.
func TestRunOnARunningTarget(t *testing.T) {
	target := testtarget.Start(t)
	target.Do("threads 2")
	task := taskFor(t, target.PID)
	address := target.Address("layout rw-:1") + 40
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := newHolder(t, task, constant("x", hold.Fixed(address), 7))
	done := make(chan error, 1)
	go func() {
		_, err := h.Run(ctx, 500)
		done <- err
	}()
	other := taskFor(t, target.PID)
	for i := range 6 {
		if err := other.Write(address, u32(uint32(i))); err != nil {
			t.Fatal(err)
		}
		var got [4]byte
		testtarget.WaitFor(t, "the value to be put back", func() bool {
			_, err := other.ReadAt(got[:], int64(address))
			return err == nil && bytes.Equal(got[:], u32(7))
		})
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := h.Summary(); s.Changed < 5 || s.Writes < s.Changed {
		t.Errorf("the summary is %+v", s)
	}
}
