// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// row is one question to the machine, with its answer.
type row struct {
	number int
	title  string
	setup  string // what was measured, in a sentence or two
	short  bool   // it is of short calls, whose times are also given in empty system calls
	groups []group
	goals  []goal
	facts  []string
}

// group is a table of contenders that ran in turns; the first is ours.
type group struct {
	title  string
	unit   unit
	time   bool // that something took, in seconds
	series []series
}

// goal is a ratio that is to be reached.
type goal struct {
	what    string
	ratio   spread
	bound   float64
	reason  string // of the bound, where it was measured
	least   bool   // the ratio is to be at least the bound, not at most
	depends string // what of the machine it depends on; "" if it is the same on all
}

func (g goal) met() bool {
	if g.least {
		return g.ratio.median >= g.bound
	}
	return g.ratio.median <= g.bound
}

func (g goal) want() string {
	word := "at most"
	if g.least {
		word = "at least"
	}
	if g.reason != "" {
		return fmt.Sprintf("%s %s, %s", word, digits(g.bound), g.reason)
	}
	return fmt.Sprintf("%s %g", word, g.bound)
}

func (g goal) verdict() string {
	if g.met() {
		return "met"
	}
	return "**missed**"
}

// measure runs contenders in turns and adds them to the row as a group.
func (b *bench) measure(r *row, rounds int, title string, contenders ...contender) ([]series, error) {
	all, err := b.alternate(rounds, contenders...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	r.groups = append(r.groups, group{title: title, unit: seconds, time: true, series: all})
	return all, nil
}

func (r *row) atMost(what string, ratio spread, bound float64) {
	r.goals = append(r.goals, goal{what: what, ratio: ratio, bound: bound})
}

func (r *row) atLeast(what string, ratio spread, bound float64) {
	r.goals = append(r.goals, goal{what: what, ratio: ratio, bound: bound, least: true})
}

// dependsOn says of the last goal what of the machine it depends on.
func (r *row) dependsOn(what string) { r.goals[len(r.goals)-1].depends = what }

// peers returns what does the same as the first series of a group.
func (g group) peers() (peers []series) {
	for _, s := range g.series[1:] {
		if !s.aside {
			peers = append(peers, s)
		}
	}
	return peers
}

func (r *row) fact(format string, args ...any) {
	r.facts = append(r.facts, fmt.Sprintf(format, args...))
}
