// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// results is all that a run found.
type results struct {
	size   string
	facts  []fact
	notes  []string // what was left out
	call   float64  // seconds that an empty system call takes
	rows   []row
	curves []curve
}

// table is rows of cells, the first of which is the head.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// String returns the table as Markdown that is aligned as text too.
func (t table) String() string {
	widths := make([]int, len(t[0]))
	for _, cells := range t {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var s strings.Builder
	for number, cells := range t {
		s.WriteByte('|')
		for i, cell := range cells {
			s.WriteString(" " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + " |")
		}
		s.WriteByte('\n')
		if number == 0 {
			for _, width := range widths {
				s.WriteString("| " + strings.Repeat("-", width) + " ")
			}
			s.WriteString("|\n")
		}
	}
	return s.String()
}

// goalTable is the ratios of the rows that are the same on every machine, or those
// that are not.
func goalTable(rows []row, depends bool) table {
	head := []string{"row", "what", "measured", "quartiles", "to reach", ""}
	if depends {
		head = append(head, "depends on")
	}
	t := table{head}
	for _, r := range rows {
		for _, g := range r.goals {
			if depends != (g.depends != "") {
				continue
			}
			cells := []string{fmt.Sprint(r.number), g.what, digits(g.ratio.median), between(g.ratio, digits), g.want(), g.verdict()}
			if depends {
				cells = append(cells, g.depends)
			}
			t.add(cells...)
		}
	}
	return t
}

// goalTables is both, each with a line that says what it is.
func goalTables(rows []row) string {
	var s strings.Builder
	for _, part := range []struct {
		depends      bool
		title, about string
	}{
		{false, "On every machine", "Both sides make the same system calls, or it is a count, so what a call costs here cancels out."},
		{true, "Where the machine has a say", "The two sides do different things, or it is a time of the clock: how they compare follows from what calls, page faults, switches and copies cost here, and from the number of cores."},
	} {
		if goals := goalTable(rows, part.depends); len(goals) > 1 {
			fmt.Fprintf(&s, "\n### %s\n%s\n\n%s", part.title, part.about, goals)
		}
	}
	return s.String()
}

// glance is ours against the fastest peer of each group.
func glance(rows []row) table {
	t := table{{"row", "what", "ours", "the fastest peer", "its time", "ours to that"}}
	for _, r := range rows {
		for _, g := range r.groups {
			peers := g.peers()
			if !g.time || len(peers) == 0 {
				continue
			}
			fastest := slices.MinFunc(peers, func(a, b series) int { return cmp.Compare(a.spread().median, b.spread().median) })
			t.add(fmt.Sprint(r.number), r.title+": "+g.title, seconds(g.series[0].spread().median),
				fastest.name, seconds(fastest.spread().median), digits(g.series[0].over(fastest).median))
		}
	}
	return t
}

func between(s spread, write unit) string {
	if s.count == 1 {
		return ""
	}
	return write(s.first) + " – " + write(s.third)
}

// table is a group with the ratio of each contender to the first, and with the
// medians in units of call where that is not 0.
func (g group) table(call float64) table {
	head := []string{"", "median", "quartiles", "least – most", "times ours"}
	if call > 0 {
		head = append(head, "in calls")
	}
	t := table{head}
	for i, s := range g.series {
		ratio := "1"
		if i > 0 {
			ratio = digits(s.over(g.series[0]).median)
		}
		all := s.spread()
		cells := []string{s.name, g.unit(all.median), between(all, g.unit), g.unit(all.low) + " – " + g.unit(all.high), ratio}
		if call > 0 {
			cells = append(cells, digits(all.median/call))
		}
		t.add(cells...)
	}
	return t
}

func (c *curve) table() table {
	head := []string{c.x}
	for _, l := range c.lines {
		head = append(head, l.name)
	}
	t := table{head}
	for i, at := range c.lines[0].points {
		cells := []string{c.xUnit(at.x)}
		for _, l := range c.lines {
			cells = append(cells, seconds(l.points[i].y.median))
		}
		t.add(cells...)
	}
	return t
}

func (r *row) write(w *bytes.Buffer, call float64) {
	fmt.Fprintf(w, "\n### %d. %s\n%s\n", r.number, capital(r.title), r.setup)
	for _, g := range r.groups {
		unit := 0.0
		if r.short && g.time {
			unit = call
		}
		fmt.Fprintf(w, "\n%s (%d rounds):\n\n%s", capital(g.title), len(g.series[0].values), g.table(unit))
	}
	for _, f := range r.facts {
		fmt.Fprintf(w, "\n%s\n", f)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

const preface = `# Results

Written by ` + "`make bench`" + `; [README.md](README.md) says how, and what each peer is. All that is compared ran in the same run, in turns (A B A B). A ratio is the median of the ratios of each round; a time is the median of the rounds, with the quartiles and the ends. "In calls" is a time divided by that of an empty system call on this machine, so that the results of two machines compare.
`

// write writes RESULTS.md and the plots into a directory. The notes are written by
// hand, about the numbers of the run that they name.
func (r *results) write(directory, notes string) error {
	var w bytes.Buffer
	w.WriteString(preface)
	fmt.Fprintf(&w, "\n## Where\n\n")
	t := table{{"", ""}}
	for _, f := range r.facts {
		t.add(f.name, f.value)
	}
	w.WriteString(t.String())
	if r.size != full.name {
		fmt.Fprintf(&w, "\nThis was a %s run: the numbers are rough, and the sizes smaller.\n", r.size)
	}
	for _, note := range r.notes {
		fmt.Fprintf(&w, "\n%s\n", note)
	}
	if t := glance(r.rows); len(t) > 1 {
		fmt.Fprintf(&w, "\n## At a glance\nOurs against the peer that takes the least time. The bare calls in C check less, or nothing.\n\n%s", t)
	}
	if goals := goalTables(r.rows); goals != "" {
		fmt.Fprintf(&w, "\n## To reach\n%s", goals)
	}
	if len(r.rows) > 0 {
		w.WriteString("\n## Side by side\n")
	}
	for i := range r.rows {
		r.rows[i].write(&w, r.call)
	}
	if err := r.writeCurves(&w, directory); err != nil {
		return err
	}
	if text, err := os.ReadFile(notes); err == nil {
		fmt.Fprintf(&w, "\n%s", text)
	}
	return os.WriteFile(filepath.Join(directory, "RESULTS.md"), w.Bytes(), 0o644)
}

func (r *results) writeCurves(w *bytes.Buffer, directory string) error {
	if len(r.curves) > 0 {
		w.WriteString("\n## How the cost grows\nMedians; the bars of the plots are the quartiles.\n")
	}
	for i := range r.curves {
		c := &r.curves[i]
		if err := c.draw(directory); err != nil {
			return err
		}
		fmt.Fprintf(w, "\n### %s\n%s\n\n![%s](%s.svg)\n\n%s", c.title, c.setup, c.title, c.file, c.table())
	}
	return nil
}
