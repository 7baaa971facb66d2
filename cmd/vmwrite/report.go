package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// outcome is the object that --json prints. Addresses are text, because a JSON
// number can't hold 64 bits.
type outcome struct {
	Op                string     `json:"op"`
	PID               int        `json:"pid"`
	Address           string     `json:"address"`
	Size              uint64     `json:"size"`
	Written           *uint64    `json:"written"`     // null when that is not known
	KernReturn        *int32     `json:"kern_return"` // null when the call was not made
	Name              string     `json:"name"`
	Message           string     `json:"message"`
	Backend           string     `json:"backend"`
	Fault             *faultAt   `json:"fault"`
	WrittenAfterFault []extent   `json:"written_after_fault,omitempty"` // what was written after the fault all the same
	Errno             *string    `json:"errno"`
	Hint              string     `json:"hint"`
	Mismatch          []mismatch `json:"mismatch,omitempty"` // write: the places that hold other bytes than expected
	Data              string     `json:"data,omitempty"`     // read: the bytes in hex
	Values            []string   `json:"values,omitempty"`   // read -t: the values
	Regions           []region   `json:"regions,omitempty"`  // maps
}

// faultAt is the first address that was not accessed.
type faultAt struct {
	Address string  `json:"address"`
	Mapping *string `json:"mapping"` // its line of /proc/PID/maps, null when nothing is mapped
}

// mismatch is a place that holds other bytes than expected, both in hex.
type mismatch struct {
	Address  string `json:"address"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

// extent is a run of bytes.
type extent struct {
	Address string `json:"address"`
	Size    uint64 `json:"size"`
}

func hexAddress(address uint64) string { return fmt.Sprintf("%#x", address) }

// succeeded fills in what a success has.
func (o outcome) succeeded(message string) outcome {
	code := int32(machcompat.KERN_SUCCESS)
	o.KernReturn, o.Name = &code, machcompat.KERN_SUCCESS.String()
	o.Message = message
	if o.Written == nil {
		o.Written = new(uint64(0))
	}
	return o
}

// outcomeOf is the object for an error and its hint.
func outcomeOf(err error, hint string) outcome {
	o := outcome{Message: err.Error(), Written: new(uint64(0)), Hint: hint}
	if part, ok := errors.AsType[*partError](err); ok {
		o.Written = &part.written
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		name := unix.ErrnoName(errno)
		o.Errno = &name
	}
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok {
		o.Name = map[int]string{exitUsage: "EX_USAGE", exitBug: "EX_SOFTWARE", exitFile: "EX_IOERR"}[exitStatus(err)]
		return o
	}
	code := int32(e.Code)
	o.Op, o.PID, o.Size = e.Op, e.PID, e.Size
	if o.Written = &e.Written; errors.Is(err, errGivenUp) {
		o.Written = nil
	}
	o.Address, o.KernReturn, o.Name = hexAddress(e.Address), &code, e.Code.String()
	for _, after := range e.WrittenAfterFault {
		o.WrittenAfterFault = append(o.WrittenAfterFault, extent{hexAddress(after.Address), after.Size})
	}
	if e.Backend != machcompat.Auto {
		o.Backend = e.Backend.String()
	}
	if other, ok := errors.AsType[*expectationError](err); ok {
		o.Mismatch = other.places
	} else if e.Size > 0 && e.Fault >= e.Address {
		o.Fault = &faultAt{Address: hexAddress(e.Fault)}
		if e.Mapping != nil {
			line := e.Mapping.String()
			o.Fault.Mapping = &line
		}
	}
	return o
}

// ofWhole makes the error of a part, behind done bytes, that of the whole write or
// read.
func ofWhole(err error, address, size, done uint64) error {
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		e.Address, e.Size = address, size
		e.Written += done
		e.Partial = e.Op == "vm_write" && (e.Written > 0 || len(e.WrittenAfterFault) > 0)
	}
	return err
}

// printJSON prints the one object of --json.
func printJSON(s streams, o outcome) error {
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(o); err != nil {
		return &fileError{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

// finish prints the result of a call that succeeded.
func finish(s streams, asJSON bool, o outcome, message string) error {
	if asJSON {
		return printJSON(s, o.succeeded(message))
	}
	if _, err := fmt.Fprintln(s.out, message); err != nil {
		return &fileError{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

// report tells of an error: one line, and another for what to do about it.
func report(s streams, err error, asJSON bool) {
	s.notef("%v", err)
	hint := ""
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		hint = hintOf(e)
	}
	if hint != "" {
		s.notef("hint: %s", hint)
	}
	if asJSON {
		printJSON(s, outcomeOf(err, hint))
	}
}

// counted is a number of things, with an s unless it is one.
func counted[N int | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
