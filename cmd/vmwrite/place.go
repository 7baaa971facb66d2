// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// place is an ADDRESS of the command line, which is an expression.
type place struct {
	text string
	expr *address.Expr
}

// parsePlace parses an ADDRESS. Nothing of the process is looked at.
func parsePlace(text string) (place, error) {
	if start, isRange := startOfRange(text); isRange {
		return place{}, usagef("address %q: that is a range; did you mean its start, 0x%s?", text, start)
	}
	expr, err := address.Parse(text)
	if err != nil {
		return place{}, usagef("address %s", procmaps.Printable(err.Error()))
	}
	return place{text: text, expr: expr}, nil
}

// startOfRange returns the start of a range as a line of /proc/PID/maps has it.
func startOfRange(text string) (start string, isRange bool) {
	const shortest = 4 // of what is no small number
	plain := func(text string) string { return strings.TrimPrefix(strings.ToLower(text), "0x") }
	start, end, ok := strings.Cut(text, "-")
	start, end = plain(start), plain(end)
	first, _ := strconv.ParseUint(start, 16, 64)
	last, _ := strconv.ParseUint(end, 16, 64)
	return start, ok && min(len(start), len(end)) >= shortest && first < last && isHex(start) && isHex(end)
}

// isAddress reports whether text can only be meant for an ADDRESS. A single word may
// be the name of a process.
func isAddress(text string) bool {
	const shortest = 6 // of what has no 0x: pids and names may be hex digits, too
	return strings.HasPrefix(strings.ToLower(text), "0x") || strings.ContainsAny(text, "+,*[(!@") ||
		(isHex(text) && len(text) >= shortest && !isPID(text))
}

// at resolves a place, with its steps. A constant takes no look at the process; it has a
// PointerSize of 0.
func (c *caller) at(p place) (address.Resolution, error) {
	if constant, ok := p.expr.Constant(); ok {
		return address.Resolution{Address: constant}, nil
	}
	return c.resolution(p)
}

// resolution is at for any place.
func (c *caller) resolution(p place) (address.Resolution, error) {
	var found address.Resolution
	err := c.look(0, 0, func() (err error) {
		found, err = c.modules().Resolve(p.expr)
		return err
	})
	if errors.Is(err, errInterrupted) {
		return address.Resolution{}, err // the call may go on
	}
	return found, c.unresolved(p, err)
}

// modules knows where the modules of the process are.
func (c *caller) modules() *address.Resolver {
	if c.resolver == nil {
		c.resolver = address.NewResolver(c.task)
	}
	return c.resolver
}

// unresolved gives an error of pkg/address its code: that of an address where nothing
// is. What the process refused has one already; a name that several have is a mistake of
// the command line.
func (c *caller) unresolved(p place, err error) error {
	if err == nil {
		return nil
	}
	if _, isCode := errors.AsType[*machcompat.Error](err); isCode {
		return err
	}
	message := procmaps.Printable(fmt.Sprintf("address %s: %v", p.text, err)) // it may name files of the process
	module, _ := errors.AsType[*address.ModuleError](err)
	symbol, _ := errors.AsType[*address.SymbolError](err)
	if (module != nil && len(module.Matches) > 0) || (symbol != nil && symbol.Total > 0) {
		return usagef("%s", message)
	}
	return &codedError{message, &machcompat.Error{
		Op: "resolve", PID: c.task.PID(), Code: machcompat.KERN_INVALID_ADDRESS, Err: err,
		Hint: fmt.Sprintf("vmwrite modules -p %d lists the modules of the process", c.task.PID()),
	}}
}

// moduleOf names an address by the module that it lies in, as game+0x4068; "" if it
// lies in none, or a signal comes.
func (c *caller) moduleOf(at uint64) string {
	var name string
	err := c.look(0, 0, func() error {
		name = nameIn(c.modules(), at)
		return nil
	})
	if err != nil {
		return "" // the call may go on
	}
	return name
}

func nameIn(modules *address.Resolver, at uint64) string {
	module, offset, ok := modules.Locate(at)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s+%#x", address.Quote(module.Name), offset)
}

// placeOf names the address of an error as moduleOf does.
func placeOf(e *machcompat.Error) string {
	if e.Address == 0 {
		return ""
	}
	task, err := machcompat.TaskForPID(e.PID)
	if err != nil {
		return ""
	}
	defer task.Close()
	c := &caller{task: task}
	return c.moduleOf(e.Address)
}

// beside is an address with the name that moduleOf gives it, for a message.
func beside(at uint64, name string) string {
	if name == "" {
		return fmt.Sprintf("%#x", at)
	}
	return fmt.Sprintf("%#x (%s)", at, name)
}
