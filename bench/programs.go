// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// program is a contender that is a whole program, from its start to its end.
type program struct {
	name      string
	times     int                         // how often it runs in a round
	command   func(value uint32) []string // that writes value
	confirm   func(value uint32) error    // that it has
	used      []usage                     // of each round
	lastValue *uint32                     // shared, so that no two runs write the same
	idle      bool                        // writes nothing
}

// usage is what a run of a program took beside time, on average, and the most memory
// that one had resident.
type usage struct{ switches, faults, threads, resident float64 }

// usageOf makes a group of the programs of something that they used, in the rounds
// that count.
func usageOf(title string, unit unit, programs []*program, of func(usage) float64) group {
	g := group{title: title, unit: unit}
	for _, p := range programs {
		s := series{name: p.name, aside: p.idle}
		for _, used := range p.used[1:] {
			s.values = append(s.values, of(used))
		}
		g.series = append(g.series, s)
	}
	return g
}

// run makes a round: as many runs as it wants, then a look whether the value
// arrived. A program that only seems to write has no time.
func (b *bench) run(p *program) contender {
	return contender{name: p.name, aside: p.idle, round: func() (float64, error) {
		*p.lastValue++
		value := *p.lastValue
		words := append([]string{strconv.Itoa(p.times)}, p.command(value)...)
		cmd := exec.Command(b.tools.program("run"), words...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
		}
		var ns float64
		var used usage
		if _, err := fmt.Sscan(string(out), &ns, &used.switches, &used.faults, &used.threads, &used.resident); err != nil {
			return 0, err
		}
		p.used = append(p.used, used)
		if p.idle {
			return ns / 1e9, nil
		}
		return ns / 1e9, p.confirm(value)
	}}
}

// confirmer returns a look at the 4 bytes at address.
func confirmer(target *coprocess, address uint64) func(uint32) error {
	return func(want uint32) error {
		got, err := target.number("peek %#x", address)
		if err == nil && uint32(got) != want {
			err = fmt.Errorf("%d was not written: %d is there", want, got)
		}
		return err
	}
}
