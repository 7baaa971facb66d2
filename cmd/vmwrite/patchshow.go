// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vmwrite/vmwrite/internal/instruction"
	"github.com/vmwrite/vmwrite/internal/unwind"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// patchReport is a patch in the object of --json.
type patchReport struct {
	File      string           `json:"file"`
	Name      string           `json:"name"`
	State     string           `json:"state"` // "" where no process was looked at
	Journaled bool             `json:"journaled"`
	Changes   []changeReport   `json:"changes"`
	Findings  []findingReport  `json:"findings"`
	Obstacles []obstacleReport `json:"obstacles"`
}

type changeReport struct {
	Line    int    `json:"line"`
	Comment string `json:"comment,omitempty"`
	Address string `json:"address"` // "" if it was not found
	Place   string `json:"place"`
	Symbol  string `json:"symbol"`
	State   string `json:"state"`
	Old     string `json:"old"` // in hex, with ? for what may be any; "" if it is not known
	New     string `json:"new"`
	Found   string `json:"found"`
}

type findingReport struct {
	Line     int    `json:"line"`
	Column   int    `json:"column,omitempty"` // of what can't be parsed
	Address  string `json:"address"`
	Place    string `json:"place"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Message  string `json:"message"`
}

type obstacleReport struct {
	Thread   int    `json:"thread"`
	Address  string `json:"address"`
	Place    string `json:"place"`
	Function string `json:"function"`
	Start    string `json:"start"` // of the code that is changed
	End      string `json:"end"`
	Message  string `json:"message"`
}

// findings returns a line for each finding.
func (r *patchReport) findings(file string) (lines []string) {
	for _, f := range r.Findings {
		text := procmaps.Printable(file) + ":"
		if f.Line > 0 {
			text += fmt.Sprintf("%d:", f.Line)
		}
		if f.Column > 0 {
			text += fmt.Sprintf("%d:", f.Column)
		}
		if f.Address != "" {
			text += " " + f.Address
			if f.Place != "" {
				text += " (" + f.Place + ")"
			}
			text += ":"
		}
		text += " " + procmaps.Printable(f.Message)
		if f.Found != "" {
			text += fmt.Sprintf(": want %s, found %s", shortened(f.Expected), shortened(f.Found))
		}
		lines = append(lines, text)
	}
	return lines
}

// shortened is as much of bytes in hex as a line has room for.
func shortened(digits string) string {
	const enough = 3*shownBytes - 1 // with a blank behind each pair
	if len(digits) > enough {
		return digits[:enough] + " ..."
	}
	return digits
}

// hexText is bytes as a patch file has them.
func hexText(p, mask []byte) string {
	text, ok := value.FormatMasked(p, mask)
	if !ok {
		return hex.EncodeToString(p)
	}
	return text
}

const listed20 = 20

// shorten leaves out what is more than a terminal shows.
func (o *patchOptions) shorten(lines []string) []string {
	if more := len(lines) - listed20; more > 0 && !o.verbose {
		return append(lines[:listed20:listed20], fmt.Sprintf("and %d more, which -v and --json list", more))
	}
	return lines
}

// patchView is what a person wants to see of a plan.
type patchView struct {
	*patchJob
	colored  bool
	symbols  []address.Symbol                // of each place; zero for none
	machines map[*address.Module]elf.Machine // of the modules of the places
	starts   []uint64                        // where the function of each place begins; 0 if that is not known
}

func (j *patchJob) view() *patchView {
	v := &patchView{patchJob: j, machines: map[*address.Module]elf.Machine{}}
	v.colored = j.isColored()
	if j.plan == nil {
		return v
	}
	v.symbols, v.starts = make([]address.Symbol, len(j.plan.Places)), make([]uint64, len(j.plan.Places))
	of := map[*address.Module][]int{}
	for i, place := range j.plan.Places {
		if place.Module != nil {
			of[place.Module] = append(of[place.Module], i)
		}
	}
	all, machines := make([]address.Symbol, len(v.symbols)), map[*address.Module]elf.Machine{}
	starts, shown := make([]uint64, len(v.starts)), v.shown()
	// Files of the process may be on a file system that does not answer.
	err := j.look(0, 0, func() error {
		for m, places := range of {
			var addresses []uint64
			for _, i := range places {
				addresses = append(addresses, j.plan.Places[i].Address)
			}
			symbols, _ := m.SymbolsAt(addresses)
			for n, i := range places[:len(symbols)] {
				all[i] = symbols[n]
			}
			image, err := m.Image()
			if err != nil {
				continue
			}
			machines[m] = image.Machine
			functions := unwind.New(image.Machine, j.task, func(uint64) (unwind.Table, bool) {
				return unwind.Table{Base: m.Base, Size: m.Size, Header: m.Base + image.Unwind.At, HeaderSize: image.Unwind.Size}, image.Unwind.Size > 0
			})
			for _, i := range places {
				if starts[i] = all[i].Address; all[i].Name == "" && i < shown { // as in a program without symbols
					starts[i], _ = functions.Function(j.plan.Places[i].Address)
				}
			}
		}
		return nil
	})
	if err == nil { // else the call may go on
		v.symbols, v.machines, v.starts = all, machines, starts
	}
	return v
}

// isColored reports whether results go to a terminal that shows colours, and nobody has
// asked for none: no-color.org.
func (s streams) isColored() bool {
	file, ok := s.out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(file)
}

func (v *patchView) report() *patchReport {
	r := &patchReport{File: v.file, Name: v.patch.Name, Changes: []changeReport{}, Findings: []findingReport{}, Obstacles: []obstacleReport{}}
	if v.plan == nil {
		return r
	}
	r.State, r.Journaled = v.plan.State().String(), v.plan.Journaled
	for i, place := range v.plan.Places {
		c := changeReport{
			Line: place.Change.Line, Comment: place.Change.Comment, State: place.State.String(), Symbol: v.symbol(i),
			Old: hexText(place.Change.Old, place.Change.Mask), New: hexText(place.Change.New, nil), Found: hexText(place.Found, nil),
		}
		if place.Address != 0 {
			c.Address, c.Place = hexAddress(place.Address), placeName(place)
		}
		r.Changes = append(r.Changes, c)
	}
	for _, f := range v.plan.Findings {
		r.Findings = append(r.Findings, v.finding(f))
	}
	return r
}

func (v *patchView) finding(f patch.Finding) findingReport {
	message := f.Err.Error()
	if code, ok := errors.AsType[machcompat.KernReturn](f.Err); ok {
		message = strings.TrimSuffix(message, ": "+code.Error()) // the exit status says it
	}
	message = strings.TrimSuffix(message, ": "+machcompat.ErrMismatch.Error()) // the bytes say it
	r := findingReport{Line: f.Line, Message: message, Found: hexText(f.Found, nil), Expected: hexText(f.Expected, f.Mask)}
	if f.Address != 0 {
		r.Address, r.Place = hexAddress(f.Address), v.moduleOf(f.Address)
	}
	return r
}

// checkHint says what to do about what stands against a patch.
func (v *patchView) checkHint(e *patch.CheckError) string {
	for _, f := range e.Findings {
		if _, ok := errors.AsType[*address.ModuleError](f.Err); ok {
			return fmt.Sprintf("vmwrite modules -p %d lists the modules of the process", v.task.PID())
		}
	}
	for _, f := range e.Findings {
		i := slices.IndexFunc(v.plan.Places, func(p patch.Place) bool { return p.Address == f.Address })
		if i < 0 || !errors.Is(f.Err, machcompat.ErrMismatch) {
			continue
		}
		place := v.plan.Places[i]
		switch {
		case place.Executable && hasBreakpoint(f):
			return "cc is a breakpoint of a debugger: delete it there, or let the debugger detach"
		case v.undoes:
			return "somebody has changed it since; --force puts the old bytes there all the same"
		case place.Module != nil && place.Perms&procmaps.Write == 0:
			return fmt.Sprintf("vmwrite patch diff -p %d %s -o - shows what was changed there since the start", v.task.PID(), shellWord(place.Module.Name))
		}
	}
	return ""
}

// hasBreakpoint reports whether int3 of x86 is what makes a difference.
func hasBreakpoint(f patch.Finding) bool {
	const int3 = 0xcc
	for i := range min(len(f.Found), len(f.Expected)) {
		if f.Found[i] != f.Expected[i] {
			return f.Found[i] == int3
		}
	}
	return false
}

func (v *patchView) obstacle(o patch.Obstacle) obstacleReport {
	return obstacleReport{
		Thread: o.TID, Address: hexAddress(o.Address), Place: v.moduleOf(o.Address), Function: o.Function,
		Start: hexAddress(o.Start), End: hexAddress(o.End), Message: o.String(),
	}
}

// placeName is the place as an offset in its module, "" if it is in none.
func placeName(place patch.Place) string {
	if place.Module == nil {
		return ""
	}
	return fmt.Sprintf("%s+%#x", address.Quote(place.Module.Name), place.Address-place.Module.Base)
}

// symbol names a place by the function or variable that it lies in, as main+0x12.
func (v *patchView) symbol(i int) string {
	symbol, place := v.symbols[i], v.plan.Places[i]
	if symbol.Name == "" {
		return ""
	}
	if place.Address == symbol.Address {
		return symbol.Name
	}
	return fmt.Sprintf("%s+%#x", symbol.Name, place.Address-symbol.Address)
}

// table has a line for each change: where it is and what is there.
func (v *patchView) table() []byte {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINE\tSTATE\tADDRESS\tPLACE\tSYMBOL\tFOUND")
	places := v.shown()
	for i, place := range v.plan.Places[:places] {
		at := "-"
		if place.Address != 0 {
			at = hexAddress(place.Address)
		}
		fmt.Fprintf(w, "%d\t%v\t%s\t%s\t%s\t%s\n", place.Change.Line, place.State, at, orDash(procmaps.Printable(placeName(place))),
			orDash(procmaps.Printable(v.symbol(i))), orDash(shortened(hexText(place.Found, nil))))
	}
	w.Flush()
	v.more(&b, places)
	return b.Bytes()
}

// shown is how many changes are shown.
func (v *patchView) shown() int {
	if v.verbose {
		return len(v.plan.Places)
	}
	return min(len(v.plan.Places), listed20)
}

// more says how many changes are not shown.
func (v *patchView) more(w io.Writer, shown int) {
	if more := len(v.plan.Places) - shown; more > 0 {
		fmt.Fprintf(w, "and %s, which -v and --json list\n", counted(more, "more change"))
	}
}

// changes shows each change: its lines of before and of after, which lines makes.
func (v *patchView) changes(before, after [][]byte) []byte {
	var b bytes.Buffer
	for i := range before {
		place := v.plan.Places[i]
		at := beside(place.Address, procmaps.Printable(placeName(place)))
		if symbol := v.symbol(i); symbol != "" {
			at += " in " + procmaps.Printable(symbol)
		}
		if place.Change.Comment != "" {
			at += ": " + procmaps.Printable(place.Change.Comment)
		}
		fmt.Fprintf(&b, "%s\n%s%s", at, before[i], after[i])
	}
	v.more(&b, len(before))
	return b.Bytes()
}

// before are the lines of what is there.
func (v *patchView) before() (all [][]byte) {
	for i := range v.plan.Places[:v.shown()] {
		all = append(all, v.lines('-', i, nil))
	}
	return all
}

// after are the lines of what is there after the change.
func (v *patchView) after() (all [][]byte) {
	for i := range v.plan.Places[:v.shown()] {
		all = append(all, v.lines('+', i, nil))
	}
	return all
}

// planned are the lines of what would be there.
func (v *patchView) planned() (all [][]byte) {
	for i, place := range v.plan.Places[:v.shown()] {
		all = append(all, v.lines('+', i, place.Change.New))
	}
	return all
}

// lines shows what is at a place, or would be with other bytes there: the instructions of
// code, from the one on in which the change begins.
func (v *patchView) lines(mark byte, i int, other []byte) []byte {
	var b bytes.Buffer
	color, plain := "", ""
	if v.colored {
		color, plain = "\x1b[32m", "\x1b[m"
		if mark == '-' {
			color = "\x1b[31m"
		}
	}
	place := v.plan.Places[i]
	code := make([]byte, len(place.Change.New))
	n, _ := v.read(code, place.Address)
	if n < len(code) {
		fmt.Fprintf(&b, "%s%c (it can't be read)%s\n", color, mark, plain)
		return b.Bytes()
	}
	copy(code, other)
	at, end, size := place.Address, place.Address+uint64(len(code)), 0
	machine := v.machines[place.Module]
	if place.Executable && machine != elf.EM_NONE {
		front := v.front(i)
		tail := make([]byte, longestInstruction)
		n, _ := v.read(tail, end)
		at -= uint64(len(front))
		code = slices.Concat(front, code, tail[:n])
	}
	for left := most; at < end; left-- {
		if left == 0 && !v.verbose {
			fmt.Fprintf(&b, "%s%c and %s%s\n", color, mark, counted(end-at, "more byte"), plain)
			break
		}
		decoded, err := instruction.Next(machine, code, at)
		size = decoded.Size
		if !place.Executable || err != nil {
			size = min(row, int(end-at))
			decoded.Text = "|" + asciiText(code[:size]) + "|"
		}
		fmt.Fprintf(&b, "%s%c %#14x  %-23s  %s%s\n", color, mark, at, hexBytes(code[:size]), decoded.Text, plain)
		at, code = at+uint64(size), code[size:]
	}
	return b.Bytes()
}

const (
	longestInstruction = 15 // bytes
	longestFunction    = 64 << 10
	most               = 8 // lines of one side of a change
	row                = 8 // bytes of a line that is no instruction
)

// front reads the instruction in which a change begins up to there, if that is known from
// the front of the function.
func (v *patchView) front(i int) []byte {
	place, start := v.plan.Places[i], v.starts[i]
	if start == 0 || place.Address-start > longestFunction {
		return nil
	}
	before := place.Address - start
	code := make([]byte, before+longestInstruction)
	n, _ := v.read(code, start)
	for at := uint64(0); at < before; {
		decoded, err := instruction.Next(v.machines[place.Module], code[at:n], start+at)
		if err != nil {
			break
		}
		next := at + uint64(decoded.Size)
		if next > before {
			return code[at:before]
		}
		at = next
	}
	return nil
}

// working tells on a terminal what takes longer than half a second, until the function
// that it returns is called.
func (s streams) working(what string) (done func()) {
	file, ok := s.err.(*os.File)
	if !ok || !isTerminal(file) {
		return func() {}
	}
	const patience, interval = 500 * time.Millisecond, 100 * time.Millisecond
	begun, end, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for wait := patience; ; wait = interval {
			select {
			case <-end:
				if wait == interval {
					fmt.Fprint(file, "\r\x1b[K")
				}
				return
			case <-time.After(wait):
				fmt.Fprintf(file, "\r%s: %.1f s\x1b[K", what, time.Since(begun).Seconds())
			}
		}
	}()
	return func() { close(end); <-ended }
}
