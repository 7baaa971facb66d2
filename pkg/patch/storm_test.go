// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// counted is a process that counts the stops, and how long they took.
type counted struct {
	Process
	stops []time.Duration
}

func (c *counted) Stopped(ctx context.Context, f func(Stopped) error) error {
	return c.Process.Stopped(ctx, func(s Stopped) error {
		start := time.Now()
		err := f(s)
		c.stops = append(c.stops, time.Since(start))
		return err
	})
}

// TestAStorm patches a function and takes that back, again and again, while threads run
// it, and others which run it begin and end, or processes that share the memory. The
// program itself checks that each call does what the old code does, or the new one.
func TestAStorm(t *testing.T) {
	testtarget.Need(t, "64-bit tests")
	for _, test := range []struct {
		name   string
		how    []string
		rounds int
	}{
		{"of threads", []string{"threads", "8"}, testtarget.Sized(20, 1000)},
		{"of processes with the same memory", []string{"spawn"}, testtarget.Sized(20, 200)},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := startPatched(t, test.how...)
			p.storm(test.rounds)
		})
	}
}

// storm applies a patch and undoes it, again and again.
func (p *target) storm(rounds int) {
	p.t.Helper()
	c := p.code("straight", "begin", "end")
	process := &counted{Process: Of(p.task)}
	start := time.Now()
	for round := range rounds {
		for _, do := range []func(*Plan, context.Context) error{(*Plan).Apply, (*Plan).Undo} {
			ctx, cancel := context.WithTimeout(p.t.Context(), testtarget.Patience)
			plan := p.plan(process, c.start, c.old, c.new, Options{Journal: p.journal})
			err := do(plan, ctx)
			cancel()
			if err != nil {
				p.t.Fatalf("round %d: %v", round, err)
			}
		}
		if r := p.results(); r.bad > 0 {
			p.t.Fatalf("round %d: the program saw %+v", round, r)
		}
	}
	elapsed := time.Since(start)
	p.wantNoJournal()
	p.wantResults(false)
	slices.Sort(process.stops)
	p.t.Logf("%d rounds in %v: %d stops, half of them shorter than %v, the longest %v; results %+v", rounds, elapsed.Round(time.Millisecond),
		len(process.stops), process.stops[len(process.stops)/2], process.stops[len(process.stops)-1], p.results())
}
