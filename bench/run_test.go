// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmwrite/vmwrite/internal/testtarget"
)

// tiny is a run that only shows that everything can be measured.
var tiny = size{
	name: "tiny", round: 100 * time.Microsecond, shortRounds: 2, rounds: 2, longRounds: 1, programs: 1,
	bulk: []int{1 << 20, 2 << 20}, many: 200, values: []int{10, 1_100}, threads: 3, stops: 3, changes: []int{1, 10}, quiet: time.Millisecond,
	curves: curveSizes{
		bytes: []int{1, 4 << 10}, segments: []int{1, 10}, mappings: []int{10, 100}, threads: []int{1, 3}, writers: []int{1, 2},
	},
}

func TestRun(t *testing.T) {
	testtarget.Need(t, "cc")
	r, err := runAll(tiny, false, "", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.rows) != 16 || len(r.curves) != 5 {
		t.Errorf("%d rows and %d curves; want 16 and 5", len(r.rows), len(r.curves))
	}
	if !(r.call > 0) {
		t.Errorf("an empty system call takes %v", r.call)
	}
	for _, row := range r.rows {
		checkRow(t, row)
	}
	for what, want := range map[string]int{"8 bytes": 2, "batch of 16": 4, "TaskForPID": 1, "holding": 2, "the command": 2} {
		if got := countGoals(r.rows, what); got < want {
			t.Errorf("%d goals of %s; want %d", got, what, want)
		}
	}
	directory := t.TempDir()
	if err := r.write(directory, "notes.md"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(directory, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| an empty system call ", "| a page fault ", "| a context switch ", "| memcpy of 2 MiB ", "| in calls |", "## At a glance", "### On every machine"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in RESULTS.md", want)
		}
	}
	for _, c := range r.curves {
		checkCurve(t, c)
		checkXML(t, filepath.Join(directory, c.file+".svg"))
		if !strings.Contains(string(text), "("+c.file+".svg)") {
			t.Errorf("RESULTS.md does not show %s.svg", c.file)
		}
	}
}

func countGoals(rows []row, what string) (count int) {
	for _, r := range rows {
		for _, g := range r.goals {
			if strings.HasPrefix(g.what, what) {
				count++
			}
		}
	}
	return count
}

func checkRow(t *testing.T, r row) {
	t.Helper()
	if len(r.groups) == 0 {
		t.Errorf("row %d has no numbers", r.number)
	}
	for _, g := range r.groups {
		for _, s := range g.series {
			if len(s.values) == 0 {
				t.Errorf("row %d, %s, %s: no rounds", r.number, g.title, s.name)
			}
			for _, value := range s.values {
				// The target may not notice a stop that is shorter than its look at the clock.
				if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 || (value == 0 && g.time && r.number != 10 && r.number != 16) {
					t.Errorf("row %d, %s, %s: %v", r.number, g.title, s.name, value)
				}
			}
		}
	}
	for _, g := range r.goals {
		if math.IsNaN(g.ratio.median) || math.IsInf(g.ratio.median, 0) {
			t.Errorf("row %d, %s: %v", r.number, g.what, g.ratio.median)
		}
	}
}

func checkCurve(t *testing.T, c curve) {
	t.Helper()
	if len(c.lines) == 0 {
		t.Errorf("curve of %s has no lines", c.file)
	}
	for _, l := range c.lines {
		if len(l.points) != 2 {
			t.Errorf("curve of %s, %s: %d points; want 2", c.file, l.name, len(l.points))
		}
	}
}

func checkXML(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	elements := 0
	for decoder := xml.NewDecoder(file); ; elements++ {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if elements < 100 {
		t.Errorf("%s has %d tokens; want a plot", path, elements)
	}
}

func TestSpread(t *testing.T) {
	got := spreadOf([]float64{4, 1, 3, 2})
	if want := (spread{low: 1, first: 1.75, median: 2.5, third: 3.25, high: 4, count: 4}); got != want {
		t.Errorf("spreadOf = %v; want %v", got, want)
	}
	// The second round was disturbed, for both alike.
	ours, raw := series{values: []float64{2, 40, 2}}, series{values: []float64{1, 20, 1}}
	if got := ours.over(raw).median; got != 2 {
		t.Errorf("over = %v; want 2", got)
	}
	if got := ours.timesOver(raw).median; got != 0.5 {
		t.Errorf("timesOver = %v; want 0.5", got)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{seconds(1.5e-9), "1.50 ns"},
		{seconds(999.9e-9), "1.00 µs"},
		{seconds(0.0123), "12.3 ms"},
		{seconds(12), "12.0 s"},
		{byteCount(1), "1 B"},
		{byteCount(64 << 20), "64 MiB"},
		{byteCount(1.5 * 1024), "1.50 KiB"},
		{digits(0.0012), "0.0012"},
		{digits(0), "0"},
		{digits(123.4), "123"},
	} {
		if test.got != test.want {
			t.Errorf("%q; want %q", test.got, test.want)
		}
	}
}

func TestAGapCountsForTheCallThatItLiesIn(t *testing.T) {
	calls := []moment{{1000, 2000}, {5000, 6000}, {8000, 9000}}
	gaps := []moment{
		{900, 1500},  // began before the call
		{1600, 2100}, // ended after it
		{3000, 4000}, // the scheduler's
		{5100, 5200},
	}
	got := summarize(calls, gaps)
	if want := (stillness{call: 1e-6, still: 1e-7, longest: 1e-6}); math.Abs(got.still-want.still) > 1e-12 || math.Abs(got.longest-want.longest) > 1e-12 || got.call != want.call {
		t.Errorf("summarize = %v; want %v", got, want)
	}
}

func TestWhatDependsOnTheMachineStandsApart(t *testing.T) {
	r := row{number: 1}
	r.atMost("a", spreadOf([]float64{1}), 2)
	r.atMost("b", spreadOf([]float64{1}), 2)
	r.dependsOn("the cores")
	same, depends := goalTable([]row{r}, false), goalTable([]row{r}, true)
	if len(same) != 2 || same[1][1] != "a" || len(depends) != 2 || depends[1][1] != "b" || depends[1][6] != "the cores" {
		t.Errorf("got\n%s and\n%s", same, depends)
	}
}

func TestABoundThatWasMeasuredSaysSo(t *testing.T) {
	g := goal{bound: 12.34, reason: "as busy loops", ratio: spreadOf([]float64{12})}
	if got := g.want(); got != "at most 12.3, as busy loops" || !g.met() {
		t.Errorf("%s, %s", got, g.verdict())
	}
}

func TestAtAGlanceNamesTheFastestPeer(t *testing.T) {
	r := row{number: 7, title: "title", groups: []group{{title: "group", unit: seconds, time: true, series: []series{
		{name: "ours", values: []float64{4, 4}},
		{name: "a part", values: []float64{1, 1}, aside: true},
		{name: "slow", values: []float64{8, 8}},
		{name: "fast", values: []float64{2, 2}},
	}}, {title: "memory", unit: byteCount, series: []series{{name: "ours", values: []float64{1}}, {name: "slow", values: []float64{1}}}}}}
	got := glance([]row{r})
	want := "[7 title: group 4.00 s fast 2.00 s 2.00]"
	if len(got) != 2 || fmt.Sprint(got[1]) != want {
		t.Errorf("glance = %v; want one line, %s", got, want)
	}
}

func TestAMissedGoalIsSaidToBeMissed(t *testing.T) {
	r := row{number: 1}
	r.atMost("a", spreadOf([]float64{1.7}), 1.65)
	r.atLeast("b", spreadOf([]float64{1.7}), 1.5)
	text := goalTables([]row{r})
	if strings.Contains(text, "depends on") {
		t.Errorf("goals that depend on the machine in\n%s", text)
	}
	for _, want := range []string{"| a    | 1.70 ", "at most 1.65 | **missed** |", "at least 1.5 | met        |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
