// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

type watchOptions struct {
	targetFlags
	rateFlags
	kind  string
	count uint64
	json  bool
}

func newWatchCmd(s streams) *cobra.Command {
	o := &watchOptions{}
	cmd := &cobra.Command{
		Use:   "watch (-p PID | -n NAME) -t TYPE ADDRESS...",
		Short: "Print values of a process, and again when they change",
		Long: `Print the values at addresses of a process, and again whenever one has changed,
until Ctrl-C or the end of the process. The process is never stopped: what
changes and changes back between two looks is not seen.`,
		Example:           "  vmwrite watch -n game -t i32 'game+0x4068,0x8,0x16'\n  vmwrite watch -n game -t f32 -c 3 game!position --json",
		ValidArgsFunction: o.completePlaces(0),
		RunE: func(_ *cobra.Command, args []string) error {
			return runWatch(s, o, args)
		},
	}
	o.targetFlags.add(cmd)
	o.rateFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.kind, "type", "t", "", "`TYPE` of the values (see vmwrite write --help)")
	flags.Uint64VarP(&o.count, "count", "c", 1, "`COUNT` of values at each address; for bytes, str and utf16 of units")
	flags.BoolVar(&o.json, "json", false, "print a JSON object a line")
	completeTypes(cmd)
	return cmd
}

// rateFlags say how often, and how long.
type rateFlags struct {
	rate     float64
	duration time.Duration
}

func (f *rateFlags) add(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&f.rate, "rate", 60, "looks a second, `HZ`, at most 1000")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "`TIME` such as 500ms or 2s; 0 is until Ctrl-C")
}

func (f *rateFlags) confirm() error {
	switch {
	case !(f.rate >= 0.01 && f.rate <= 1000):
		return usagef("--rate %g: want 0.01 to 1000 times a second", f.rate)
	case f.duration < 0:
		return usagef("--for %v: a time can't be negative", f.duration)
	}
	return nil
}

// end is when the time is over; never without one.
func (f *rateFlags) end() <-chan time.Time {
	if f.duration == 0 {
		return nil
	}
	return time.After(f.duration)
}

// seen is a line of watch.
type seen struct {
	Time       time.Time `json:"time"`
	Expression string    `json:"expression"`
	Address    string    `json:"address"`
	Place      string    `json:"place"`
	Values     []string  `json:"values"`          // null when there are none to be read
	Was        []string  `json:"was"`             // null at first, and when there were none
	Error      string    `json:"error,omitempty"` // why there are none
}

func runWatch(s streams, o *watchOptions, args []string) error {
	if err := o.confirm(); err != nil {
		return err
	}
	switch {
	case len(args) == 0:
		return usagef("watch what? give an ADDRESS such as game+0x4068 (see vmwrite watch --help)")
	case o.kind == "":
		return usagef("which type? give one with -t, as -t i32")
	}
	if err := checkType(o.kind); err != nil {
		return err
	}
	if o.kind == "cstr" {
		return usagef("a cstr has no size; watch the bytes of a str with -t str -c COUNT")
	}
	var places []*watched
	for _, arg := range args {
		at, err := parsePlace(arg)
		if err != nil {
			return err
		}
		places = append(places, &watched{place: at})
	}
	order, _ := parseEndian("native")
	task, err := o.open()
	if err != nil {
		return err
	}
	defer task.Close()
	w := &watch{watchOptions: o, caller: caller{streams: s, task: task}}
	w.encoding = encoding{value.Encoding{Type: o.kind, Order: order, Word: task.PointerSize()}}
	if _, err := w.encoding.sizeOf(o.count); err != nil {
		return err
	}
	interrupted := watchSignals()
	defer interrupted.stop()
	ticks := time.NewTicker(time.Duration(float64(time.Second) / o.rate))
	defer ticks.Stop()
	for end := o.end(); ; {
		_, _ = w.modules().Recheck(time.Second) // a library may have been unloaded
		for _, p := range places {
			if err := w.look(p); err != nil {
				return err
			}
		}
		select {
		case <-ticks.C:
		case <-end:
			return nil
		case <-interrupted.first:
			return nil
		}
	}
}

// watch is a watch whose command line was found right.
type watch struct {
	*watchOptions
	caller
	encoding encoding
}

// watched is a place, and what was seen there.
type watched struct {
	place
	data   []byte // nil when it could not be read
	looked bool
}

// look prints what is at a place if that is something else than before.
func (w *watch) look(p *watched) error {
	var data []byte
	found, err := w.caller.at(p.place)
	at, e := found.Address, w.encoding
	e.Word = cmp.Or(found.PointerSize, e.Word)
	if err == nil {
		data, err = w.memory(at, e)
	}
	switch {
	case errors.Is(err, errInterrupted), errors.Is(err, machcompat.KERN_INVALID_ARGUMENT):
		return err // of the process, which has ended
	case err != nil:
		data = nil
	}
	if p.looked && (data == nil) == (p.data == nil) && bytes.Equal(data, p.data) {
		return nil
	}
	now := seen{Time: time.Now(), Expression: p.text, Address: hexAddress(at), Place: w.moduleOf(at)}
	if err != nil {
		now.Error = err.Error()
		if at == 0 {
			now.Address = ""
		}
	} else {
		now.Values = e.Decode(data)
	}
	if p.data != nil {
		now.Was = e.Decode(p.data)
	}
	p.looked, p.data = true, data
	if w.json {
		return w.printJSON(now)
	}
	return w.print(now.line())
}

// memory returns the bytes at an address. A count that was mistyped must not take all the
// memory there is.
func (w *watch) memory(at uint64, e encoding) ([]byte, error) {
	var data []byte
	size, err := e.sizeOf(w.count)
	if err != nil {
		return nil, err
	}
	err = w.caller.look(at, size, func() (err error) {
		data, err = w.task.Read(at, size)
		return err
	})
	if err != nil {
		return nil, err // the call may go on
	}
	return data, nil
}

func (n seen) line() []byte {
	text := n.Time.Format("15:04:05.000") + "  " + procmaps.Printable(n.Expression) + "  "
	values := func(v []string) string { return procmaps.Printable(strings.Join(v, " ")) }
	switch {
	case n.Error != "":
		text += n.Error
	case n.Was != nil:
		text += values(n.Was) + " -> " + values(n.Values)
	default:
		text += values(n.Values)
	}
	return []byte(text + "\n")
}
