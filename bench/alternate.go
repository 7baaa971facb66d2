// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// contender is one way to do what a row measures. Each call of round is one
// round, and returns its cost: seconds, mostly.
type contender struct {
	name  string
	round func() (float64, error)
	aside bool // it stands beside the others and does not do the same
}

// aside makes a contender one that does not do what the first one does: a part of
// it, or another amount.
func aside(c contender) contender {
	c.aside = true
	return c
}

// timed makes so many calls and returns how long all of them took.
type timed func(calls int) (time.Duration, error)

// loop makes a contender of short calls: a round makes as many as take at least
// the least time of a round, which its first finds out, after one that does not
// count.
func (b *bench) loop(name string, f timed) contender {
	calls := 0
	return contender{name: name, round: func() (float64, error) {
		if calls == 0 {
			n, err := b.callsPerRound(f)
			if err != nil {
				return 0, err
			}
			calls = n
		}
		// The one before may have left the caches full of its own memory.
		if _, err := f(1); err != nil {
			return 0, err
		}
		took, err := f(calls)
		return perCall(took, calls), err
	}}
}

func (b *bench) callsPerRound(f timed) (int, error) {
	const most = 1 << 30
	for calls := 1; ; {
		took, err := f(calls)
		if err != nil || took >= b.size.round || calls >= most {
			return calls, err
		}
		// A fifth more than it seems to take, and not a hundred times as many on
		// the word of a few calls, which may have been slow ones.
		want := float64(calls) * 1.2 * float64(b.size.round) / float64(max(took, 1))
		calls = min(max(int(want), calls+1), 100*calls, most)
	}
}

// alternate runs the contenders in turns, A B A B, after a turn for each that is
// not counted.
func (b *bench) alternate(rounds int, contenders ...contender) ([]series, error) {
	all := make([]series, len(contenders))
	for round := -1; round < rounds; round++ {
		for i, c := range contenders {
			if err := b.ctx.Err(); err != nil {
				return nil, err
			}
			value, err := c.round()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			all[i].name, all[i].aside = c.name, c.aside
			if round >= 0 {
				all[i].values = append(all[i].values, value)
			}
		}
	}
	return all, nil
}

// repeat makes a timed of a call in this process.
func repeat(call func() error) timed {
	return func(calls int) (time.Duration, error) {
		start := time.Now()
		for range calls {
			if err := call(); err != nil {
				return 0, err
			}
		}
		return time.Since(start), nil
	}
}

// once makes a contender of a call that is long enough for a round of its own;
// prepare, which may be nil, comes before it and is not measured.
func once(name string, prepare func() error, f timed) contender {
	return contender{name: name, round: func() (float64, error) {
		if prepare != nil {
			if err := prepare(); err != nil {
				return 0, err
			}
		}
		took, err := f(1)
		return took.Seconds(), err
	}}
}
