package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
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

// A failure is a test, or with the name "" a package, and what it printed.
type failure struct{ test, output string }

// parse reads a console: see init. It writes the tests' events beside it.
func (r *result) parse(console []byte) error {
	var path, status string
	var begin, end int
	var output bytes.Buffer
	events, err := os.Create(r.log(".json"))
	if err != nil {
		return err
	}
	defer events.Close()
	done := false
	for line := range bytes.Lines(console) {
		line = bytes.ReplaceAll(line, []byte("\r"), nil)
		text, framed := strings.CutPrefix(string(line), "vmwrite-kernels: ")
		switch text := strings.TrimSpace(text); {
		case !framed:
			output.Write(line)
		case strings.HasPrefix(text, "begin "):
			if _, err := fmt.Sscan(text[len("begin "):], &path, &begin); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			output.Reset()
		case strings.HasPrefix(text, "end "):
			if _, err := fmt.Sscan(text[len("end "):], &path, &status, &end); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			if err := r.add(path, status, end-begin, output.Bytes(), events); err != nil {
				return err
			}
			path = ""
			output.Reset()
		case strings.HasPrefix(text, "kernel "):
			r.kernel = text[len("kernel "):]
		case text == "done":
			done = true
		}
	}
	if path != "" { // its tests never ended
		if err := r.add(path, "none", 0, output.Bytes(), events); err != nil {
			return err
		}
	}
	if !done {
		lines := bytes.Split(bytes.TrimSpace(console), []byte("\n"))
		r.end = string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
		return errors.New("the machine ended before its tests did")
	}
	return nil
}

// add makes events of what the tests of a package printed, writes and counts them.
func (r *result) add(path, status string, seconds int, output []byte, events io.Writer) error {
	convert := exec.Command("go", "tool", "test2json", "-p", module+path)
	convert.Stdin = bytes.NewReader(output)
	text, err := command(convert)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(events, text); err != nil {
		return err
	}
	p, err := countEvents(text)
	if err != nil {
		return err
	}
	p.path, p.seconds = path, seconds
	if status != "0" && len(p.failures) == 0 {
		p.failures = append(p.failures, failure{"", fmt.Sprintf("exit status %s\n%s", status, tail(output))})
	}
	r.ran = append(r.ran, p)
	return nil
}

func tail(output []byte) []byte {
	lines := bytes.SplitAfter(output, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-100):], nil)
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
			p.failures = append(p.failures, failure{name, t.output})
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
