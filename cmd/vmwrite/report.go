// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"golang.org/x/sys/unix"
)

// outcome is the object that --json prints. Addresses are text, because a JSON
// number can't hold 64 bits.
type outcome struct {
	Op                string            `json:"op"`
	PID               int               `json:"pid"`
	Address           string            `json:"address"`
	Place             string            `json:"place,omitempty"` // the same, as game+0x4068
	Size              uint64            `json:"size"`
	Written           *uint64           `json:"written"`     // null when that is not known
	KernReturn        *int32            `json:"kern_return"` // null when the call was not made
	Name              string            `json:"name"`
	Message           string            `json:"message"`
	Backend           string            `json:"backend"`
	Fault             *faultAt          `json:"fault"`
	WrittenAfterFault []extent          `json:"written_after_fault,omitempty"` // what was written after the fault all the same
	Errno             *string           `json:"errno"`
	Hint              string            `json:"hint"`
	Mismatch          []mismatch        `json:"mismatch,omitempty"` // write: the places that hold other bytes than expected
	Data              string            `json:"data,omitempty"`     // read: the bytes in hex
	Values            []string          `json:"values,omitempty"`   // read -t: the values
	Regions           []region          `json:"regions,omitempty"`  // maps
	Modules           []module          `json:"modules,omitempty"`  // modules
	Steps             []step            `json:"steps,omitempty"`    // resolve
	Found             []found           `json:"found,omitempty"`    // scan
	Total             *uint64           `json:"total,omitempty"`    // scan: how many there are
	Held              *summary          `json:"held,omitempty"`     // hold
	Patch             *patchReport      `json:"patch,omitempty"`    // patch
	Skipped           []skippedReport   `json:"skipped,omitempty"`  // patch import, patch diff: what is not in the patch
	Recovered         []recoveredReport `json:"recovered,omitzero"` // patch recover
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
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		name := unix.ErrnoName(errno)
		o.Errno = &name
	}
	o.Name = map[int]string{exitUsage: "EX_USAGE", exitMismatch: "EX_DATAERR", exitBug: "EX_SOFTWARE", exitFile: "EX_IOERR"}[exitStatus(err)]
	if e, ok := errors.AsType[*patchError](err); ok {
		o.Op, o.PID, o.Patch, o.Skipped, o.Recovered = "patch", e.pid, e.report, e.skipped, e.recovered
	}
	e, ok := errors.AsType[*machcompat.Error](err)
	if !ok {
		return o
	}
	if o.Name == "" {
		code := int32(e.Code)
		o.KernReturn, o.Name = &code, e.Code.String()
	}
	o.Op, o.PID, o.Size = e.Op, e.PID, e.Size
	if o.Written = &e.Written; errors.Is(err, errGivenUp) {
		o.Written = nil
	}
	o.Address = hexAddress(e.Address)
	for _, after := range e.WrittenAfterFault {
		o.WrittenAfterFault = append(o.WrittenAfterFault, extent{hexAddress(after.Address), after.Size})
	}
	if e.Backend != machcompat.Auto {
		o.Backend = e.Backend.String()
	}
	if other, ok := errors.AsType[*expectationError](err); ok {
		o.Mismatch = other.places
	} else if e.Mapping != nil || (e.Code == machcompat.KERN_INVALID_ADDRESS && e.Size > 0) {
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
func (s streams) printJSON(object any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return &bugError{err}
	}
	// What a terminal may take for a command, and JSON allows, as the name of a process.
	controls := regexp.MustCompile("[\u007f-\u009f]")
	return s.print(controls.ReplaceAllFunc(text.Bytes(), func(c []byte) []byte {
		r, _ := utf8.DecodeRune(c)
		return fmt.Appendf(nil, "\\u%04x", r)
	}))
}

// finish prints the result of a call that succeeded.
func finish(s streams, asJSON bool, o outcome, message string) error {
	if asJSON {
		return s.printJSON(o.succeeded(message))
	}
	return s.print([]byte(message + "\n"))
}

// report tells of an error: one line, and another for what to do about it.
func report(s streams, err error, asJSON bool) {
	hint, place := "", ""
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		hint, place = hintOf(e), placeOf(e)
	}
	if e, ok := errors.AsType[*patchError](err); ok {
		if e.mach != nil {
			hint = "" // that of a call at no address
		}
		hint, place = cmp.Or(e.hint, hint), "" // which its message has, where it matters
		for _, note := range e.notes {
			s.notef("%s", note)
		}
	}
	if place != "" {
		s.notef("%v (%s)", err, place)
	} else {
		s.notef("%v", err)
	}
	if hint != "" {
		s.notef("hint: %s", hint)
	}
	if asJSON {
		o := outcomeOf(err, hint)
		o.Place = place
		_ = s.printJSON(o)
	}
}

// counted is a number of things, in the plural unless it is one.
func counted[N int | uint64](n N, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "ch"):
		thing += "es"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
