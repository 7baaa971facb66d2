// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type holdOptions struct {
	targetFlags
	rateFlags
	kind  string
	file  string
	modes [4]bool // as holdModes
	json  bool
}

// holdModes are the flags, and words of a line, that say how a value is held.
var holdModes = []struct {
	name, meaning string
	mode          hold.Mode
}{
	{"min", "write VALUE where less is", hold.Minimum},
	{"max", "write VALUE where more is", hold.Maximum},
	{"up", "write the value of before where less is", hold.OnlyUp},
	{"down", "write the value of before where more is", hold.OnlyDown},
}

func newHoldCmd(s streams) *cobra.Command {
	o := &holdOptions{}
	cmd := &cobra.Command{
		Use:   "hold (-p PID | -n NAME) (-f FILE | -t TYPE ADDRESS=VALUE...)",
		Short: "Keep values of a process as they should be, until Ctrl-C",
		Long: `Keep values of a process as they should be: look at them 60 times a second, or
as often as --rate says, and write those that are not. The process is never
stopped, and only the bytes of the value are written. Where the pointers of an
ADDRESS change it is resolved again. With --up and --down there is no VALUE.

A line of FILE says ADDRESS [TYPE] VALUE, ADDRESS [TYPE] min VALUE or max VALUE,
or ADDRESS [TYPE] up or down. Without a TYPE it is that of -t.

It ends with the process (status 4), after the time of --for, or at Ctrl-C
(status 0), and then says how often it has written.`,
		Example: `  vmwrite hold -n game -t i32 'game+0x4068,0x8,0x16=999'
  vmwrite hold -n game -t f32 game!speed=1.5 --min --rate 200
  vmwrite hold -n game -f values.txt`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return o.completePlaces(0)(cmd, nil, prefix)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return runHold(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	o.rateFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.kind, "type", "t", "", "`TYPE` of the values (see vmwrite write --help)")
	flags.StringVarP(&o.file, "file", "f", "", "hold what the lines of `FILE` say; - is standard input")
	for i, m := range holdModes {
		flags.BoolVar(&o.modes[i], m.name, false, m.meaning)
	}
	flags.BoolVar(&o.json, "json", false, "print one JSON object at the end")
	completeTypes(cmd)
	return cmd
}

// held is a value to be held.
type held struct {
	place
	kind  string
	value string // empty with up and down
	mode  hold.Mode
}

// summary is what hold did, in the object of --json.
type summary struct {
	Ticks    uint64 `json:"ticks"`
	Late     uint64 `json:"late"`     // ticks that were left out because their time had passed
	Writes   uint64 `json:"writes"`   // values that were written
	Changed  uint64 `json:"changed"`  // how often the process had changed a value
	Moved    uint64 `json:"moved"`    // how often a place was found anew
	Vanished uint64 `json:"vanished"` // how often a value was not to be found
}

func runHold(s streams, o *holdOptions, args []string) error {
	values, err := o.parse(s, args)
	if err != nil {
		return err
	}
	task, err := o.open(machcompat.WithStop(machcompat.StopNever))
	if err != nil {
		return err
	}
	defer task.Close()
	c := &caller{streams: s, task: task}
	var entries []hold.Entry
	for _, v := range values {
		entry, err := v.entry(c)
		if err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	holder, err := hold.New(task, entries, hold.OnEvent(c.tell))
	if err != nil {
		return usagef("%v", err)
	}
	interrupted := watchSignals()
	defer interrupted.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	until := func(end <-chan time.Time) {
		select {
		case <-interrupted.first:
		case <-end:
		case <-ctx.Done():
		}
		cancel()
	}
	s.notef("holding %s of process %d, %g times a second; Ctrl-C ends that", counted(len(entries), "value"), task.PID(), o.rate)
	var did hold.Summary
	err = c.make(interrupted, endsSoon, func() (err error) {
		// The time of --for begins with the first look, which may take longer than that.
		if err = holder.Tick(); err == nil {
			go until(o.end())
			_, err = holder.Run(ctx, o.rate)
		}
		did = holder.Summary()
		return err
	})
	if errors.Is(err, errGivenUp) { // did may still change
		return &machcompat.Error{Op: "vm_write", PID: task.PID(), Code: machcompat.KERN_ABORTED, Err: err, Hint: givenUpHint}
	}
	message := fmt.Sprintf("%s, %d of them late; %s, and the process had changed a value %s",
		counted(did.Ticks, "tick"), did.Late, counted(did.Writes, "write"), counted(did.Changed, "time"))
	if err != nil {
		s.notef("%s", message)
		return err
	}
	return finish(s, o.json, outcome{
		Op: "vm_write", PID: task.PID(), Backend: task.Backend().String(),
		Held: &summary{did.Ticks, did.Late, did.Writes, did.Changed, did.Moved, did.Vanished},
	}, message)
}

// entry is a value as package hold takes it.
func (v held) entry(c *caller) (entry hold.Entry, err error) {
	order, _ := parseEndian("native")
	e := encoding{value.Encoding{Type: v.kind, Order: order, Word: c.task.PointerSize()}}
	if v.kind == "ptr" { // as wide as those of its module
		found, err := c.at(v.place)
		if err != nil {
			return entry, err
		}
		e.Word = cmp.Or(found.PointerSize, e.Word)
	}
	kind, err := hold.ParseType(v.kind)
	switch {
	case v.kind == "ptr" && e.Word == 4:
		kind = hold.Uint32
	case v.kind == "ptr":
		kind = hold.Uint64
	case err != nil, kind == hold.Bytes:
		kind = hold.Bytes
		if v.mode != hold.Constant {
			return entry, usagef("%s: %s has no more and less, so it can't be held as %v", v.text, v.kind, v.mode)
		}
	}
	entry = hold.Entry{Name: v.text, Place: c.holdPlace(v.place), Type: kind, Mode: v.mode}
	if v.mode == hold.OnlyUp || v.mode == hold.OnlyDown {
		return entry, nil
	}
	if entry.Value, err = e.encode([]string{v.value}); err == nil && len(entry.Value) == 0 {
		err = usagef("%s: the value is empty", v.text)
	}
	return entry, err
}

// holdPlace is where a value lies, for package hold.
func (c *caller) holdPlace(p place) hold.Place {
	if constant, ok := p.expr.Constant(); ok {
		return hold.Fixed(constant)
	}
	return hold.At(c.modules(), p.expr)
}

// tell says that a value can't be held, or is held again.
func (c *caller) tell(e hold.Event) {
	message := fmt.Sprintf("%s is there again, at %#x", e.Name, e.Address)
	if !e.Back {
		message = fmt.Sprintf("%s can't be held now, and is tried once a second: %v", e.Name, e.Err)
	}
	c.notef("%s", procmaps.Printable(message)) // it may name files of the process
}

// parse reads the arguments, or the lines of the file.
func (o *holdOptions) parse(s streams, args []string) (values []held, err error) {
	if err := o.confirm(); err != nil {
		return nil, err
	}
	mode := hold.Constant
	for i, chosen := range o.modes {
		switch {
		case chosen && mode != hold.Constant:
			return nil, usagef("of --min, --max, --up and --down choose one; a file (-f) has one for each line")
		case chosen:
			mode = holdModes[i].mode
		}
	}
	if o.kind != "" {
		if err := checkType(o.kind); err != nil {
			return nil, err
		}
	}
	switch {
	case o.file != "" && (len(args) > 0 || mode != hold.Constant):
		return nil, usagef("the lines of a file (-f) say what to hold, and how")
	case o.file != "":
		return readHeld(s, o.file, o.kind)
	case len(args) == 0:
		return nil, usagef("hold what? give ADDRESS=VALUE, as game+0x4068=999 with -t i32, or -f FILE")
	case o.kind == "":
		return nil, errNoType
	}
	for _, arg := range args {
		v := held{kind: o.kind, mode: mode}
		text := arg
		if (mode == hold.OnlyUp || mode == hold.OnlyDown) && strings.Contains(arg, "=") {
			return nil, usagef("--up and --down begin with what is there: leave out the value of %q", arg)
		}
		if mode == hold.Constant || mode == hold.Minimum || mode == hold.Maximum {
			split := strings.LastIndexByte(arg, '=')
			if split < 0 {
				return nil, usagef("%q: want ADDRESS=VALUE, as game+0x4068=999", arg)
			}
			text, v.value = arg[:split], arg[split+1:]
		}
		if v.place, err = parsePlace(text); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// errNoType is that of a value without a type. To take it for bytes, as write does, would
// have 1000 held in two of them, many times a second.
var errNoType = usagef("which type? give one with -t, as -t i32; for bytes in hex -t bytes")

// readHeld reads the lines of a file.
func readHeld(s streams, file, kind string) (values []held, err error) {
	in, err := openInput(s, file)
	if err != nil {
		return nil, err
	}
	text, err := in.text()
	if err != nil {
		return nil, err
	}
	i := -1
	for line := range strings.SplitSeq(text, "\n") {
		i++
		words, err := splitLine(line)
		if err == nil && len(words) > 0 {
			var v held
			if v, err = parseHeld(words, kind); err == nil {
				values = append(values, v)
			}
		}
		if err == nil && len(values) > hold.MaxEntries {
			err = fmt.Errorf("no more than %d values can be held", hold.MaxEntries)
		}
		if err != nil {
			return nil, usagef("%s:%d: %v", in.name, i+1, err)
		}
	}
	if len(values) == 0 {
		return nil, usagef("no line of %s says what to hold", in.name)
	}
	return values, nil
}

// parseHeld parses the words of a line.
func parseHeld(words []string, kind string) (v held, err error) {
	if v.place, err = parsePlace(words[0]); err != nil {
		return v, err
	}
	v.kind, v.mode, words = kind, hold.Constant, words[1:]
	if len(words) > 0 && slices.Contains(value.Types, words[0]) {
		v.kind, words = words[0], words[1:]
	}
	if v.kind == "" {
		return v, errNoType
	}
	for _, m := range holdModes {
		if len(words) > 0 && words[0] == m.name {
			v.mode, words = m.mode, words[1:]
			break
		}
	}
	want := 1
	if v.mode == hold.OnlyUp || v.mode == hold.OnlyDown {
		want = 0
	}
	if len(words) != want {
		return v, errors.New("want ADDRESS [TYPE] [min|max] VALUE, or ADDRESS [TYPE] up|down")
	}
	v.value = strings.Join(words, "")
	return v, nil
}
