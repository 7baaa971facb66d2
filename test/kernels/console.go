// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// module is the import path of the packages.
const module = "github.com/vmwrite/vmwrite/"

// A result is what was seen of a machine.
type result struct {
	machine
	kernel string // its version
	ran    []*packageResult
	took   time.Duration
	err    error  // why not all packages ran
	end    string // of the console, then
}

// A packageResult is what the tests of a package did.
type packageResult struct {
	path                    string
	passed, failed, skipped int
	seconds                 int
	failures                []failure
	reasons                 []string // one for each skipped test
}

// A failure is a test, or the package, and what it printed.
type failure struct{ test, output string }

// read reads a console to its end: see init. It writes the tests' events too.
func (r *result) read(console io.Reader, file io.Writer) error {
	var events *converter // of the package whose tests are running
	var begin, end int
	var last []string
	var readErr error
	done := false
	reader := bufio.NewReader(console)
	for {
		line, err := reader.ReadString('\n')
		line = strings.ReplaceAll(line, "\r", "")
		last = append(last[max(0, len(last)-39):], line)
		words := strings.Fields(line)
		switch framed := strings.HasPrefix(line, "vmwrite-kernels: "); {
		case !framed && events != nil:
			err = cmp.Or(events.write(line), err)
		case !framed:
		case len(words) == 3 && words[1] == "kernel":
			r.kernel = words[2]
		case len(words) == 4 && words[1] == "begin":
			begin, _ = strconv.Atoi(words[3])
			events, err = startConverter(words[2], file)
		case len(words) == 5 && words[1] == "end" && events != nil:
			end, _ = strconv.Atoi(words[4])
			err = r.add(events, words[3], end-begin)
			events = nil
		case len(words) == 2 && words[1] == "done":
			done = true
		default:
			err = fmt.Errorf("the console says %q", line)
		}
		if err != nil {
			readErr = err
			break
		}
	}
	if events != nil { // its tests have never ended
		readErr = cmp.Or(r.add(events, "unknown", 0), readErr)
	}
	if readErr == io.EOF && done {
		return nil
	}
	r.end = strings.Join(last, "")
	if readErr == io.EOF {
		return errors.New("the machine ended before its tests did")
	}
	return readErr
}

// A converter makes events of what the tests of a package print, as go test -json does.
type converter struct {
	path   string
	cmd    *exec.Cmd
	input  io.WriteCloser
	output strings.Builder // events
	last   []string        // what was printed last
}

func startConverter(path string, events io.Writer) (*converter, error) {
	c := &converter{path: path, cmd: exec.Command("go", "tool", "test2json", "-t", "-p", module+path)}
	c.cmd.Stdout = io.MultiWriter(events, &c.output)
	input, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.input = input
	return c, c.cmd.Start()
}

func (c *converter) write(line string) error {
	c.last = append(c.last[max(0, len(c.last)-99):], line)
	_, err := io.WriteString(c.input, line)
	return err
}

// add counts the events of a package that has ended.
func (r *result) add(c *converter, status string, seconds int) error {
	c.input.Close()
	if err := c.cmd.Wait(); err != nil {
		return err
	}
	p, err := countEvents(c.output.String())
	if err != nil {
		return err
	}
	p.path, p.seconds = c.path, seconds
	if status != "0" && len(p.failures) == 0 {
		p.failures = append(p.failures, failure{"(the package)", fmt.Sprintf("exit status %s\n%s", status, strings.Join(c.last, ""))})
	}
	r.ran = append(r.ran, p)
	return nil
}

// countEvents counts the tests and subtests of a package.
func countEvents(text string) (*packageResult, error) {
	var p packageResult
	type test struct{ output, result string }
	tests := map[string]*test{}
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var event struct{ Action, Test, Output string }
		if err := decoder.Decode(&event); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if event.Test == "" {
			continue
		}
		t := tests[event.Test]
		if t == nil {
			t = &test{}
			tests[event.Test] = t
		}
		switch event.Action {
		case "output":
			t.output += event.Output
		case "pass", "fail", "skip":
			t.result = event.Action
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		switch t := tests[name]; t.result {
		case "pass":
			p.passed++
		case "skip":
			p.skipped++
			p.reasons = append(p.reasons, reason(t.output))
		default: // one without a result never ended
			p.failed++
			// What a test prints whose subtests failed, they have printed.
			if !slices.ContainsFunc(slices.Collect(maps.Keys(tests)), func(other string) bool {
				return strings.HasPrefix(other, name+"/") && tests[other].result != "pass" && tests[other].result != "skip"
			}) {
				p.failures = append(p.failures, failure{name, t.output})
			}
		}
	}
	return &p, nil
}

// position is what the testing package puts before a message.
var position = regexp.MustCompile(`^\s+\w+\.go:\d+: `)

// reason returns the last message of a skipped test.
func reason(output string) (message string) {
	for line := range strings.Lines(output) {
		if at := position.FindString(line); at != "" {
			message = strings.TrimSpace(line[len(at):])
		}
	}
	return cmp.Or(message, strings.TrimSpace(output))
}

// line is what is said of a machine when it has ended.
func (r result) line() string {
	var failed int
	for _, p := range r.ran {
		failed += len(p.failures)
	}
	text := fmt.Sprintf("%s (%s): %d packages, %d failures, %.1f minutes", r.name, cmp.Or(r.kernel, "no kernel"), len(r.ran), failed, r.took.Minutes())
	if r.err != nil {
		text += ": " + r.err.Error()
	}
	return text
}

// report prints all results: a table, each failure, and why tests were skipped.
func report(out io.Writer, results []result) error {
	printTable(out, results)
	bad := 0
	for _, r := range results {
		if r.err != nil {
			bad++
			fmt.Fprintf(out, "\n--- %s: %v\n%s\n", r.name, r.err, r.end)
		}
		for _, p := range r.ran {
			for _, f := range p.failures {
				bad++
				fmt.Fprintf(out, "\n--- %s: %s %s\n%s", r.name, p.path, f.test, f.output)
			}
		}
	}
	printReasons(out, results)
	if bad > 0 {
		return fmt.Errorf("%d failures", bad)
	}
	return nil
}

// printTable prints what passed, failed and was skipped, machine by package.
func printTable(out io.Writer, results []result) {
	var paths []string
	for _, path := range allPackages {
		if slices.ContainsFunc(results, func(r result) bool { return r.of(path) != nil }) {
			paths = append(paths, path)
		}
	}
	fmt.Fprint(out, "\nTests and subtests that passed/failed/were skipped, minutes of the machine's:\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "machine\tkernel\t%s\tminutes\n", strings.Join(paths, "\t"))
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%s", r.name, r.kernel)
		for _, path := range paths {
			cell := "-"
			if p := r.of(path); p != nil {
				cell = fmt.Sprintf("%d/%d/%d %.1f", p.passed, p.failed, p.skipped, float64(p.seconds)/60)
			}
			fmt.Fprintf(table, "\t%s", cell)
		}
		fmt.Fprintf(table, "\t%.1f\n", r.took.Minutes())
	}
	table.Flush()
}

func (r result) of(path string) *packageResult {
	i := slices.IndexFunc(r.ran, func(p *packageResult) bool { return p.path == path })
	if i < 0 {
		return nil
	}
	return r.ran[i]
}

// printReasons prints for each reason how many tests it skipped, and where.
func printReasons(out io.Writer, results []result) {
	reasons := map[string]map[string]int{}
	for _, r := range results {
		for _, p := range r.ran {
			for _, reason := range p.reasons {
				if reasons[reason] == nil {
					reasons[reason] = map[string]int{}
				}
				reasons[reason][r.name]++
			}
		}
	}
	if len(reasons) > 0 {
		fmt.Fprint(out, "\nSkipped:\n")
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(out, "  %s\n   ", reason)
		for _, r := range results {
			if n := reasons[reason][r.name]; n > 0 {
				fmt.Fprintf(out, " %s %d", r.name, n)
			}
		}
		fmt.Fprintln(out)
	}
}
