// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vmwrite/vmwrite/internal/value"
)

// Errors that a [Finding] wraps, beside those of package address, machcompat.ErrMismatch
// and the codes of package machcompat.
var (
	// ErrOtherProgram means that the process or a module of it is not what the patch is for.
	ErrOtherProgram = errors.New("this is not what the patch is for")
	// ErrNoIdentity means that nothing tells whether a module is the right one, and old
	// bytes are missing, too.
	ErrNoIdentity = errors.New("the change has no old bytes, and the patch has no build id or SHA-256 of the module")
	// ErrNotOnce means that a pattern does not match just once.
	ErrNotOnce = errors.New("the pattern must match once")
	// ErrOverlap means that two changes of a patch have bytes in common.
	ErrOverlap = errors.New("the change overlaps another one")
)

// Finding is something that stands against applying a patch.
type Finding struct {
	Change   int    // the index of the change; -1 if it is about the process
	Line     int    // of the file; 0 if there is none
	Address  uint64 // of the first byte it is about; 0 if that was not found
	Expected []byte // what should be there, and Mask which bits of it count; empty if it is not about bytes
	Mask     []byte
	Found    []byte // what is there
	Err      error
}

// Error says where and what, on one line.
func (f Finding) Error() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	} else if f.Change >= 0 {
		fmt.Fprintf(&b, "change %d: ", f.Change+1)
	}
	if f.Address != 0 {
		fmt.Fprintf(&b, "%#x: ", f.Address)
	}
	b.WriteString(f.Err.Error())
	if len(f.Found) > 0 {
		fmt.Fprintf(&b, ": want %s, found %s", shortHex(f.Expected, f.Mask), shortHex(f.Found, nil))
	}
	return b.String()
}

// Unwrap returns Err.
func (f Finding) Unwrap() error { return f.Err }

// shortHex returns the first bytes in hex, with ? for the bits that don't count.
func shortHex(p, mask []byte) string {
	const shown = 32
	text, _ := value.FormatMasked(p[:min(len(p), shown)], mask[:min(len(mask), shown)])
	if len(p) > shown {
		text += " ..."
	}
	return text
}

// CheckError is everything that stands against applying a patch.
type CheckError struct{ Findings []Finding }

// Error names the first finding and says how many more there are.
func (e *CheckError) Error() string {
	text := e.Findings[0].Error()
	if more := len(e.Findings) - 1; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Unwrap returns the findings.
func (e *CheckError) Unwrap() (errs []error) {
	for _, f := range e.Findings {
		errs = append(errs, f)
	}
	return errs
}
