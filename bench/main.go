// SPDX-License-Identifier: Apache-2.0

// Command bench measures vmwrite side by side with the bare system calls and with
// other programs that write into a process, in one run, and writes RESULTS.md and
// the plots. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if asWriter() {
		return
	}
	o := options{}
	flag.BoolVar(&o.quick, "quick", false, "a rough run of less than a minute, with smaller sizes")
	flag.StringVar(&o.only, "only", "", "measure only these: numbers of rows and names of curves, with commas")
	flag.StringVar(&o.out, "out", "", "write the results into this directory (default: this one for a whole run, else a temporary one)")
	flag.BoolVar(&o.install, "install", true, "install missing peers with apt-get, as root")
	flag.Parse()
	if err := o.main(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick, install bool
	only, out      string
}

func (o options) main() error {
	chosen := full
	if o.quick {
		chosen = quick
	}
	if o.out == "" {
		o.out = "."
		if o.quick || o.only != "" {
			var err error
			if o.out, err = os.MkdirTemp("", "vmwrite-bench-results-"); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	r, err := runAll(chosen, o.install, o.only, os.Stderr)
	if err != nil {
		return err
	}
	if err := r.write(o.out, "notes.md"); err != nil {
		return err
	}
	fmt.Println(goalTables(r.rows))
	fmt.Println("results in", o.out)
	return nil
}

// runAll measures everything, or what only names.
func runAll(size size, install bool, only string, log io.Writer) (*results, error) {
	directory, err := os.MkdirTemp("", "vmwrite-bench-")
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	b := &bench{ctx: ctx, size: size, directory: directory, log: log}
	defer b.close()
	if err := b.prepare(install); err != nil {
		return nil, err
	}
	machine := b.describeMachine()
	costs, err := b.measureCosts()
	if err != nil {
		return nil, fmt.Errorf("what the machine takes: %w", err)
	}
	r := &results{size: size.name, facts: append(machine, costs.facts()...), notes: b.tools.missing, call: costs.call.spread().median}
	if !b.severalCores() {
		r.notes = append(r.notes, "The goals for all cores are left out: there is one.")
	}
	if err := b.measureRows(r, only); err != nil {
		return nil, err
	}
	return r, b.measureCurves(r, only)
}

func (b *bench) measureRows(r *results, only string) error {
	for i, measure := range []func() (row, error){
		b.smallWrite, b.manyMappings, b.textSource, b.batch, b.largeBatches, b.touchedMemory,
		b.untouchedMemory, b.fileWrite, b.shortCommand, b.standstill, b.pauses, b.tick, b.openAndClose,
		b.searching, b.holding, b.patching,
	} {
		if !wanted(only, strconv.Itoa(i+1)) {
			continue
		}
		start := time.Now()
		found, err := measure()
		b.endProcesses()
		if err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
		r.rows = append(r.rows, found)
		fmt.Fprintf(b.log, "%d. %s (%.0f s)\n", found.number, found.title, time.Since(start).Seconds())
		for _, g := range found.goals {
			fmt.Fprintf(b.log, "   %s: %s, %s: %s\n", g.what, digits(g.ratio.median), g.want(), strings.Trim(g.verdict(), "*"))
		}
	}
	return nil
}

func (b *bench) measureCurves(r *results, only string) error {
	for _, c := range []struct {
		name    string
		measure func() (curve, error)
	}{
		{"bytes", b.bytesCurve}, {"segments", b.segmentsCurve}, {"mappings", b.mappingsCurve},
		{"threads", b.threadsCurve}, {"writers", b.writersCurve},
	} {
		if !wanted(only, c.name) {
			continue
		}
		start := time.Now()
		found, err := c.measure()
		b.endProcesses()
		if err != nil {
			return fmt.Errorf("curve of %s: %w", c.name, err)
		}
		r.curves = append(r.curves, found)
		fmt.Fprintf(b.log, "curve of %s (%.0f s)\n", c.name, time.Since(start).Seconds())
	}
	return nil
}

func wanted(only, name string) bool {
	return only == "" || slices.Contains(strings.Split(only, ","), name)
}
