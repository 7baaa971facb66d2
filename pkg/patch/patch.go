// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// Patch is what a patch file says: which program it is for, and what it changes there.
type Patch struct {
	Name        string // one line; never empty
	Description string // any text
	Executable  string // the last part of the path of the program that the process runs; "" for any
	Modules     []Module
	Changes     []Change // at least one
}

// Module is a condition on a module of the process: that it is there, and what it is. At
// least one of BuildID and SHA256 is set.
type Module struct {
	Name    string // as an expression of package address has it, but without quotes: "game", "libc-2.31.so", "@exe"
	BuildID string // as [address.Module] has it, in any case; "" for any
	SHA256  string // of the file that is mapped, 64 hex digits; "" for any
	Line    int    // where the file says so; 0 if no file does
}

// Change is a place, what must be there, and what is to be there. Either At or Find says
// which place.
type Change struct {
	Comment   string        // any text
	At        *address.Expr // the place
	Find      *Find         // or where to look for it
	Old       []byte        // what must be there; empty if that does not matter
	Mask      []byte        // as long as Old: the bits of it that count; nil for all
	New       []byte        // what is to be there; never empty, and as long as Old if that is not empty
	Unprotect bool          // private memory that the process may not write is made writable for the moment of the write
	Line      int           // where the change begins in the file; 0 if it is of no file
}

// Find is a place that a pattern leads to: it must match just once in the module.
type Find struct {
	Text    string          // as [search.ParsePattern] reads it; the place is that of its result
	Pattern *search.Pattern // of Text
	Module  string          // as in [Module]
	Offset  int64           // added to the place
}
