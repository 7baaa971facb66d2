// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/patch"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

const (
	maxBytes   = 16 << 20 // of all changes
	maxChanges = 100_000  // as many as a patch file has
	maxEdits   = 1 << 20  // before those side by side are joined
	maxRun     = 4096     // bytes of one change
	chunk      = 64 << 10 // bytes that are compared at a time
)

// edit is a run of bytes that a file changes.
type edit struct {
	module   string // as the file names it; "" for that of the options
	line     int
	at       uint64 // as the format counts
	old, new []byte // old may be nil, for not known
}

func (e edit) end() uint64 { return e.at + uint64(len(e.new)) }

// joins reports whether next goes on where e ends, and both are one change.
func (e edit) joins(next edit) bool {
	return e.end() == next.at && e.module == next.module && (e.old == nil) == (next.old == nil) && len(e.new)+len(next.new) <= maxRun
}

// builder makes a patch of edits.
type builder struct {
	Options
	*original
	format  Format
	name    string // of the module, as the file has it
	edits   []edit
	total   int
	skipped []Skipped
}

// add adds an edit, whose bytes are copied.
func (b *builder) add(e edit) error {
	if b.total += len(e.new); b.total > maxBytes {
		return fmt.Errorf("more than %d bytes are changed", maxBytes)
	}
	if n := len(b.edits); n > 0 && b.edits[n-1].joins(e) {
		last := &b.edits[n-1]
		last.old, last.new = append(last.old, e.old...), append(last.new, e.new...)
		return nil
	}
	if len(b.edits) == maxEdits {
		return fmt.Errorf("there are more than %d changes", maxEdits)
	}
	e.old, e.new = bytes.Clone(e.old), bytes.Clone(e.new)
	b.edits = append(b.edits, e)
	return nil
}

// compare adds what differs between bytes at a place before and after. Those that only the
// second has are added without old bytes.
func (b *builder) compare(at uint64, before, after []byte) error {
	for i := 0; i < len(after); {
		end := i
		if i >= len(before) {
			end = len(after)
			if err := b.add(edit{at: at + uint64(i), new: after[i:]}); err != nil {
				return err
			}
		}
		for end < min(len(before), len(after)) && before[end] != after[end] {
			end++
		}
		if end > i && i < len(before) {
			if err := b.add(edit{at: at + uint64(i), old: before[i:end], new: after[i:end]}); err != nil {
				return err
			}
		}
		i = max(end, i+1)
	}
	return nil
}

// skip notes that an edit is no part of the patch.
func (b *builder) skip(e edit, reason string) {
	if n := len(b.skipped); n > 0 && e.line == 0 {
		if last := &b.skipped[n-1]; last.Offset+last.Size == e.at && last.Reason == reason {
			last.Size += uint64(len(e.new))
			return
		}
	}
	b.skipped = append(b.skipped, Skipped{e.line, e.at, uint64(len(e.new)), reason})
}

// build makes the patch.
func (b *builder) build() (*patch.Patch, []Skipped, error) {
	if len(b.edits) == 0 && len(b.skipped) == 0 {
		return nil, nil, ErrNoDifference
	}
	if err := b.order(); err != nil {
		return nil, nil, err
	}
	one := !slices.ContainsFunc(b.edits, func(e edit) bool { return e.module != b.edits[0].module })
	told, err := b.told(one)
	if err != nil {
		return nil, nil, err
	}
	p := &patch.Patch{Name: b.Name}
	if p.Name == "" {
		p.Name = "Changes to " + cmp.Or(b.Module, told, b.name, "several modules")
	}
	var wrong error
	for _, e := range b.edits {
		name := e.module
		tells := name == told // whether the original is of this module
		if one || b.Module != "" && tells {
			name = cmp.Or(b.Module, name, b.name)
		}
		if err := checkModule(name); err != nil {
			return nil, nil, err
		}
		c, reason, err := b.change(e, name, tells)
		switch {
		case err != nil && !errors.Is(err, ErrOriginal):
			return nil, nil, err
		case err != nil:
			wrong = cmp.Or(wrong, error(&Error{Format: b.format, Line: e.line, Err: err}))
		case reason != nil:
			b.skip(e, reason.Error())
		default:
			p.Changes = append(p.Changes, c)
		}
	}
	if wrong != nil {
		return nil, nil, wrong
	}
	if len(p.Changes) == 0 || len(b.skipped) > 0 && !b.Partial {
		return nil, b.skipped, &SkippedError{b.skipped}
	}
	if module, ok := b.identity(); ok {
		module.Name = cmp.Or(b.Module, told, b.name)
		p.Modules = []patch.Module{module}
	}
	return p, b.skipped, nil
}

// order sorts the edits and joins those side by side. None may lie over another.
func (b *builder) order() error {
	slices.SortStableFunc(b.edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.module, b.module), cmp.Compare(a.at, b.at))
	})
	joined := b.edits[:0]
	for _, e := range b.edits {
		if n := len(joined); n > 0 && joined[n-1].module == e.module {
			last := &joined[n-1]
			if last.end() > e.at {
				return &Error{Format: b.format, Line: e.line, Err: fmt.Errorf("the byte at %#x is changed twice", e.at)}
			}
			if last.joins(e) {
				last.old, last.new = append(last.old, e.old...), append(last.new, e.new...)
				continue
			}
		}
		joined = append(joined, e)
	}
	if b.edits = joined; len(joined) > maxChanges {
		return fmt.Errorf("there are %d changes, and %d is the most", len(joined), maxChanges)
	}
	return nil
}

// told returns the module that the options tell of, as the file names it.
func (b *builder) told(one bool) (string, error) {
	if len(b.edits) == 0 {
		return b.name, nil
	}
	if one {
		return b.edits[0].module, nil
	}
	for _, e := range b.edits {
		if b.Module != "" && strings.EqualFold(e.module, b.Module) {
			return e.module, nil
		}
	}
	if b.Module != "" {
		return "", fmt.Errorf("the file is for several modules, of which none is %q", b.Module)
	}
	if b.original != nil || b.BuildID != "" || b.SHA256 != "" {
		return "", errors.New("the file is for several modules: which one is the original, or has the build id?")
	}
	return "", nil
}

// identity returns what the module must be, without its name, and whether that is known.
func (b *builder) identity() (patch.Module, bool) {
	if b.original != nil {
		return b.is, true
	}
	return patch.Module{BuildID: b.BuildID, SHA256: b.SHA256}, b.BuildID != "" || b.SHA256 != ""
}

// change makes a change of an edit, or says why it cannot be one.
func (b *builder) change(e edit, module string, tells bool) (c patch.Change, reason, err error) {
	c = patch.Change{Old: e.old, New: e.new, Unprotect: true}
	at := e.at
	if b.original != nil && tells {
		var part address.Part
		size := uint64(len(e.new))
		if b.format == X64dbg {
			part, reason = b.partAt(at, size)
		} else {
			at, part, reason = b.inMemory(e.at, size)
		}
		if reason == nil && b.loaderChanges(at, size) {
			reason = errors.New("a loader changes these bytes, so those in the file are not those in memory")
		}
		if reason != nil {
			return c, reason, nil
		}
		c.Unprotect = part.Perms&procmaps.Write == 0
		// A debugger has the bytes of a process, which may have written its data.
		if b.format != X64dbg || c.Unprotect {
			if c.Old, err = b.loaded(part, at, size); err == nil {
				err = e.check(c.Old)
			}
			if err != nil {
				return c, nil, err
			}
		}
	}
	if c.At, err = address.Parse(fmt.Sprintf("%s+%#x", moduleText(module), at)); err != nil {
		return c, nil, fmt.Errorf("the name of the module: %w", err)
	}
	return c, nil, nil
}

// check compares the old bytes of an edit, if it has any, with those of the original.
func (e edit) check(found []byte) error {
	switch {
	case e.old == nil || bytes.Equal(e.old, found):
		return nil
	case bytes.Equal(e.new, found):
		return fmt.Errorf("%w: at %#x it has the new bytes already", ErrOriginal, e.at)
	}
	return fmt.Errorf("%w: at %#x it has % x, and the old bytes are % x", ErrOriginal, e.at, shorten(found), shorten(e.old))
}

// shorten returns as many bytes as a message has room for.
func shorten(p []byte) []byte { return p[:min(len(p), 16)] }

// checkModule refuses what a patch cannot call a module.
func checkModule(name string) error {
	switch {
	case name == "":
		return errors.New("the file does not say which module it is for")
	case moduleText(name) != name && (name[0] == '@' || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return r == '"' || !unicode.IsPrint(r) })):
		return fmt.Errorf("%s is not the name of a module", quoted(name))
	}
	return nil
}

// moduleText is a module as an expression has it.
func moduleText(name string) string {
	if name == "@exe" || name == "@vdso" {
		return name
	}
	return address.Quote(name)
}
