// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// Exit statuses beside the kern_return_t, from sysexits.h.
const (
	exitUsage    = 64 // EX_USAGE: the command line is wrong; nothing was done
	exitMismatch = 65 // EX_DATAERR: other bytes are there than --expect or a patch says, or the patch can't be used; nothing was written
	exitBug      = 70 // EX_SOFTWARE: a fault of this program
	exitFile     = 74 // EX_IOERR: a file of the caller's can't be read or written
)

// usageError is a wrong command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// fileError is a file, or a stream, of the caller's that can't be used.
type fileError struct{ err error }

func (e *fileError) Error() string { return procmaps.Printable(e.err.Error()) }
func (e *fileError) Unwrap() error { return e.err }

// codedError is an error of the command's own with the code of a call, whose text would
// speak of a pid or an address that nobody has named.
type codedError struct {
	message string
	mach    *machcompat.Error
}

func (e *codedError) Error() string { return e.message }
func (e *codedError) Unwrap() error { return e.mach }

// exitStatus decides every exit status.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	_, isFile := errors.AsType[*fileError](err)
	_, isJournal := errors.AsType[*patch.JournalError](err)
	switch {
	case errors.Is(err, machcompat.ErrMismatch):
		return exitMismatch
	case isFile, isJournal:
		return exitFile
	case isPatchData(err):
		return exitMismatch
	}
	if e, ok := errors.AsType[*machcompat.Error](err); ok {
		return int(e.Code)
	}
	if _, ok := errors.AsType[*bugError](err); ok {
		return exitBug
	}
	return exitUsage // ours, or cobra's for what it could not parse
}

// bugError is an error that should not be possible.
type bugError struct{ err error }

func (e *bugError) Error() string { return "this is a bug, please report it: " + e.err.Error() }
func (e *bugError) Unwrap() error { return e.err }
