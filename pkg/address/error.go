// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmwrite/vmwrite/internal/spelling"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// maxListed is how many of several an error lists.
const maxListed = 10

// ModuleError is that no module has a name, or that several have it.
type ModuleError struct {
	Name    string    // the module's, or "@heap" and its like
	Matches []*Module // all that have the name, when they are several
	// Suggestions are what may have been meant, as an expression has it.
	Suggestions []string
	Err         error // why there is no "@heap" or its like; nil for a module
}

// newModuleError is that a name has not one of the modules, but none or several.
func newModuleError(name string, matches, modules []*Module) *ModuleError {
	e := &ModuleError{Name: name, Matches: matches}
	if len(matches) > 0 {
		return e
	}
	var names, cut []string
	known := map[string]bool{}
	for _, m := range modules {
		if known[m.Name] {
			continue
		}
		known[m.Name] = true
		names = append(names, m.Name)
		// The expression's - or + was taken for an operator.
		if rest, _ := strings.CutPrefix(m.Name, name); rest != m.Name && rest != "" && strings.ContainsRune("-+", rune(rest[0])) {
			cut = append(cut, m.Name)
		}
	}
	if len(cut) == 0 {
		cut = spelling.Nearest(name[strings.LastIndexByte(name, '/')+1:], names)
	}
	if len(name) <= 16 && all(name, isHex) {
		e.Suggestions = append(e.Suggestions, "0x"+name)
	}
	for _, name := range cut[:min(len(cut), 3)] {
		e.Suggestions = append(e.Suggestions, Quote(name))
	}
	return e
}

// Error says which modules there are, or which may have been meant, on one line.
func (e *ModuleError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Name, e.Err)
	}
	if len(e.Matches) > 0 {
		var listed []string
		for _, m := range e.Matches[:min(len(e.Matches), maxListed)] {
			listed = append(listed, fmt.Sprintf("%#x %s", m.Base, procmaps.Printable(m.Path)))
		}
		return fmt.Sprintf("%d modules are called %s: %s; name one by the end of its path, by its build id or by its address",
			len(e.Matches), strconv.Quote(e.Name), list(listed, len(e.Matches)))
	}
	text := "no module is called " + strconv.Quote(e.Name)
	if last := len(e.Suggestions) - 1; last == 0 {
		text += "; did you mean " + e.Suggestions[0] + "?"
	} else if last > 0 {
		text += "; did you mean " + strings.Join(e.Suggestions[:last], ", ") + " or " + e.Suggestions[last] + "?"
	}
	if slices.ContainsFunc(e.Suggestions, func(s string) bool { return s[0] == '"' }) {
		text += " (" + whichAreQuoted + ")"
	}
	return text
}

// Unwrap returns Err.
func (e *ModuleError) Unwrap() error { return e.Err }

// SymbolError is that no symbol has a name, or that several at different addresses have
// it.
type SymbolError struct {
	Module *Module // where it was looked for; nil for all modules
	Name   string
	Places []Place // the first of them, as "game+0x4068", when they are several
	Total  int     // how many there are
	Err    error   // why symbols could not be read; nil when all could
}

// Error says where the symbols are, on one line.
func (e *SymbolError) Error() string {
	where := "any module"
	if e.Module != nil {
		where = Quote(e.Module.Name)
	}
	switch {
	case e.Total > 0:
		var listed []string
		for _, p := range e.Places {
			listed = append(listed, p.Text)
		}
		return fmt.Sprintf("%d symbols are called %s: %s", e.Total, strconv.Quote(e.Name), list(listed, e.Total))
	case e.Err != nil:
		return fmt.Sprintf("no symbol %s was found in %s: %v", strconv.Quote(e.Name), where, e.Err)
	}
	return fmt.Sprintf("no symbol of %s is called %s", where, strconv.Quote(e.Name))
}

// Unwrap returns Err.
func (e *SymbolError) Unwrap() error { return e.Err }

// list joins what is listed of so many.
func list(listed []string, total int) string {
	text := strings.Join(listed, ", ")
	if more := total - len(listed); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ChainError is that a pointer of an expression cannot be read.
type ChainError struct {
	Expr    string // in its canonical form
	Link    int    // which of its pointers, in the order in which they are read, from 0
	Text    string // the pointer, as "[[game+0x4068]+0x8]"
	Address uint64 // where it should have been
	Read    []Link // the pointers that were read before it

	Mapping *procmaps.Mapping // what is mapped at Address, nil for nothing
	unknown bool              // whether Mapping is not known

	Err error // the process's, for the read
}

// Error says which pointer cannot be read, what is mapped there, and which pointer was
// read before it, on one line.
func (e *ChainError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s breaks at pointer %d, %s: ", e.Expr, e.Link+1, e.Text)
	switch m := e.Mapping; {
	case e.unknown || (m != nil && m.Perms&procmaps.Read != 0):
		fmt.Fprintf(&b, "%#x cannot be read: %v", e.Address, e.Err)
	case m == nil:
		fmt.Fprintf(&b, "nothing is mapped at %#x", e.Address)
	default:
		path := procmaps.Printable(m.Path)
		if path == "" {
			path = "anonymous memory"
		}
		fmt.Fprintf(&b, "%#x cannot be read, it is %s %s", e.Address, m.PermsText(), path)
	}
	if len(e.Read) > 0 {
		last := e.Read[len(e.Read)-1]
		fmt.Fprintf(&b, "; the pointer before it, %s at %#x, is %#x", last.Text, last.Address, last.Value)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *ChainError) Unwrap() error { return e.Err }
