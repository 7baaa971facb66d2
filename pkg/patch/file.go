// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/vmwrite/vmwrite/internal/spelling"
	"github.com/vmwrite/vmwrite/internal/value"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// Version is the version of the file format that this package reads and writes.
const Version = 1

// The most that a patch file may have.
const (
	maxFileSize = 64 << 20 // bytes
	maxChanges  = 100_000
	maxNodes    = 1_500_000 // of YAML, each of which takes some 500 bytes while it is read
	maxDepth    = 16        // of lists and mappings inside each other; a patch has 4
	maxErrors   = 20        // that are reported
	maxMessage  = 500       // bytes of a message, which may have a word that is the whole file
)

// The keys of the mappings of a file, and the types that a value may have.
var (
	fileKeys   = []string{"version", "name", "description", "executable", "modules", "changes"}
	moduleKeys = []string{"build-id", "sha256"}
	changeKeys = []string{"at", "find", "old", "new", "unprotect", "comment"}
	findKeys   = []string{"pattern", "in", "offset"}
	valueKeys  = slices.DeleteFunc(slices.Clone(value.Types), func(t string) bool { return t == "ptr" }) // whose size no file knows
)

// FileError is what is wrong at one place of a patch file.
type FileError struct {
	Line   int // from 1
	Column int // in characters, from 1
	Err    error
}

// Error returns the place and what is wrong there, on one line.
func (e *FileError) Error() string {
	message := e.Err.Error()
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, message)
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// Parse reads a patch file, whose format the package's documentation describes. It has at
// most 64 MiB and 100,000 changes. The error is a [*FileError], or several that are
// joined in the order of the file, the first 20 of them.
func Parse(data []byte) (*Patch, error) {
	root, err := readYAML(data)
	if err != nil {
		return nil, err
	}
	f := file{}
	p := f.patch(root)
	if len(f.errs) == 0 {
		return p, nil
	}
	slices.SortStableFunc(f.errs, func(a, b *FileError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(f.errs) == 1 {
		return nil, f.errs[0]
	}
	var errs []error
	for _, e := range f.errs {
		errs = append(errs, e)
	}
	return nil, errors.Join(errs...)
}

// fileError is a FileError at a byte of the file.
func fileError(data []byte, at int, format string, args ...any) *FileError {
	line := bytes.LastIndexByte(data[:at], '\n') + 1
	return &FileError{bytes.Count(data[:at], []byte("\n")) + 1, utf8.RuneCount(data[line:at]) + 1, fmt.Errorf(format, args...)}
}

// checkSize refuses what would take more memory than a patch needs, before it does. It
// counts the characters without which no node begins, and a comma, which can begin a key
// and a value, twice.
func checkSize(data []byte) error {
	if len(data) > maxFileSize {
		return fileError(data, 0, "the file has more than %d bytes", maxFileSize)
	}
	nodes := 0
	for at, c := range data {
		if strings.IndexByte("\n[{,:-?", c) < 0 {
			continue
		}
		if nodes++; c == ',' {
			nodes++
		}
		if nodes > maxNodes {
			return fileError(data, at, "the file has more keys, values and lines than %d", maxNodes)
		}
	}
	return nil
}

// readYAML returns the only document of a file. Its errors are *FileErrors.
func readYAML(data []byte) (root *yaml.Node, err error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return nil, fileError(data, at, "the byte %#02x is not UTF-8", data[at])
		case r < ' ' && !strings.ContainsRune("\t\n\r", r):
			return nil, fileError(data, at, "the control character %U is not allowed in YAML; in double quotes it is written \\x%02x", r, r)
		}
		at += size
	}
	// The package is given whatever a file holds, and panics where it has a fault.
	defer func() {
		if fault := recover(); fault != nil {
			root, err = nil, fileError(data, 0, "the YAML can't be read: %v", fault)
		}
	}()
	limits := loaderlimits.New(loaderlimits.DepthFunc(func(depth int, _ *yaml.DepthContext) error {
		if depth > maxDepth {
			return fmt.Errorf("there are more than %d lists and mappings inside each other", maxDepth)
		}
		return nil
	}))
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits), yaml.WithPlugin(noAliases{}))
	if err != nil {
		return nil, fileError(data, 0, "%w", err)
	}
	var document, second yaml.Node
	if err := loader.Load(&document); err == io.EOF {
		return nil, fileError(data, 0, "the file is empty")
	} else if err != nil {
		return nil, syntaxError(data, err)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		return nil, &FileError{second.Line, second.Column, errors.New("another YAML document begins, and a patch file is one")}
	case err != io.EOF:
		return nil, syntaxError(data, err)
	}
	return document.Content[0], nil
}

// syntaxError is an error of package yaml with its place.
func syntaxError(data []byte, err error) *FileError {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return &FileError{1, 1, err}
	}
	message := e.Message
	if e.ContextMsg != "" {
		message = e.ContextMsg + ": " + message
	}
	f := &FileError{max(e.Mark.Line, 1), max(e.Mark.Column, 1), errors.New(message)}
	if e.Message == "found character that cannot start any token" {
		switch c := characterAt(data, f.Line, f.Column); c {
		case '\t':
			f.Err = errors.New("a tab stands where spaces should: YAML indents lines with spaces alone")
		case '@', '%', '`':
			f.Err = fmt.Errorf("a text that begins with %c needs quotes around it", c)
		}
	}
	return f
}

// characterAt returns the character of a line in a column, both from 1; 0 if there is none.
func characterAt(data []byte, line, column int) rune {
	n := 0
	for text := range bytes.Lines(data) {
		if n++; n < line {
			continue
		}
		if characters := []rune(string(text)); column <= len(characters) {
			return characters[column-1]
		}
		break
	}
	return 0
}

// noAliases refuses anchors and aliases: who reads a patch must see what it changes in
// the place where it says so, and a few lines of them are gigabytes.
type noAliases struct{}

func (noAliases) NewAliasDataContext(yaml.AliasDataServices) (yaml.AliasDataContext, error) {
	return noAliases{}, nil
}
func (noAliases) BeginDocument() error { return nil }
func (noAliases) EndDocument() error   { return nil }
func (noAliases) DefineAnchor(name string, _ *yaml.Node) error {
	return fmt.Errorf("&%s is an anchor, and a patch file has none; quote a text that begins with &", name)
}
func (noAliases) ResolveAlias(name string) (*yaml.Node, bool, error) {
	return nil, false, fmt.Errorf("*%s is an alias, and a patch file has none; quote a text that begins with *", name)
}

// file makes a Patch of the nodes of a file, and gathers what is wrong.
type file struct {
	errs []*FileError
}

func (f *file) fail(n *yaml.Node, format string, args ...any) {
	if !f.full() {
		f.errs = append(f.errs, &FileError{n.Line, n.Column, fmt.Errorf(format, args...)})
	}
}

// check is fail if there is an error.
func (f *file) check(n *yaml.Node, err error) {
	if err != nil {
		f.fail(n, "%w", err)
	}
}

// full reports whether no more errors are reported.
func (f *file) full() bool { return len(f.errs) == maxErrors }

func (f *file) patch(root *yaml.Node) *Patch {
	p := &Patch{}
	if n := lookup(root, "version"); n != nil && n.Value != strconv.Itoa(Version) {
		f.fail(n, "version %q of the format is not known; this program knows version %d", n.Value, Version)
		return nil // the keys of another version may well be others
	}
	f.checkTags(root)
	f.require(root, "version", "name", "changes")
	for key, n := range f.mapping(root, "a patch file", fileKeys) {
		switch key.Value {
		case "name":
			p.Name = f.text(n)
			f.check(n, checkName(p.Name))
		case "description":
			p.Description = f.text(n)
		case "executable":
			p.Executable = f.text(n)
			f.check(n, checkExecutable(p.Executable))
		case "modules":
			p.Modules = f.modules(n)
		case "changes":
			p.Changes = f.changes(n, lookup(root, "modules") != nil)
		}
	}
	return p
}

func (f *file) modules(n *yaml.Node) (modules []Module) {
	for key, n := range f.mapping(n, "modules", nil) {
		m := Module{Name: key.Value, Line: key.Line}
		before := len(f.errs)
		for key, n := range f.mapping(n, "a module", moduleKeys) {
			switch key.Value {
			case "build-id":
				m.BuildID = f.word(n)
			case "sha256":
				m.SHA256 = f.word(n)
			}
		}
		if len(f.errs) == before {
			f.check(key, m.check())
		}
		modules = append(modules, m)
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		f.fail(n, "modules has no module")
	}
	return modules
}

func (f *file) changes(n *yaml.Node, identity bool) (changes []Change) {
	if n.Kind != yaml.SequenceNode {
		f.fail(n, "changes is a list, and each change in it begins with a dash")
		return nil
	}
	f.check(n, checkCount(len(n.Content)))
	for _, n := range n.Content {
		if f.full() {
			break
		}
		changes = append(changes, f.change(n, identity))
	}
	return changes
}

func (f *file) change(n *yaml.Node, identity bool) Change {
	c := Change{Line: n.Line}
	before := len(f.errs)
	for key, n := range f.mapping(n, "a change", changeKeys) {
		switch key.Value {
		case "at":
			if text := f.word(n); text != "" {
				var err error
				c.At, err = address.Parse(text)
				f.check(n, err)
			}
		case "find":
			c.Find = f.find(n)
		case "old":
			c.Old, c.Mask = f.bytes(n, true)
		case "new":
			c.New, _ = f.bytes(n, false)
		case "unprotect":
			if c.Unprotect = n.Value == "true"; n.Tag != "!!bool" || !c.Unprotect && n.Value != "false" {
				f.fail(n, "unprotect is true or false")
			}
		case "comment":
			c.Comment = f.text(n)
		}
	}
	if len(f.errs) == before {
		f.check(n, c.check(identity))
	}
	return c
}

func (f *file) find(n *yaml.Node) *Find {
	result := &Find{}
	f.require(n, "pattern", "in")
	for key, n := range f.mapping(n, "find", findKeys) {
		var err error
		switch key.Value {
		case "pattern":
			if result.Text = f.word(n); result.Text != "" {
				result.Pattern, err = search.ParsePattern(result.Text)
			}
		case "in":
			if result.Module = f.text(n); result.Module != "" {
				_, err = moduleExpr(result.Module)
			}
		case "offset":
			if text := f.word(n); text != "" {
				if result.Offset, err = value.ParseSigned(text, 64); err != nil {
					err = fmt.Errorf("%q is not an offset of 64 bits, such as 3 or -0x10", text)
				}
			}
		}
		f.check(n, err)
	}
	return result
}

// bytes reads bytes in hex, or the mapping of a type to a value or to a list of values.
func (f *file) bytes(n *yaml.Node, wildcards bool) (data, mask []byte) {
	before := len(f.errs)
	e := value.Encoding{Type: "bytes", Order: value.NativeOrder()}
	values := []*yaml.Node{n}
	if lookup(n, "ptr") != nil {
		f.fail(n, "a file does not know the size of the process's pointers, so there is no ptr; use u32 or u64")
		return nil, nil
	}
	if n.Kind == yaml.MappingNode {
		for key, n := range f.mapping(n, "a value", valueKeys) {
			if e.Type, values = key.Value, []*yaml.Node{n}; n.Kind == yaml.SequenceNode {
				values = n.Content
			}
		}
		if len(n.Content) != 2 {
			f.fail(n, "a value has one type, as in {i32: 100}")
		}
		if len(f.errs) > before {
			return nil, nil
		}
	}
	var texts []string
	for _, n := range values {
		if e.IsText() {
			texts = append(texts, f.text(n))
		} else {
			texts = append(texts, f.word(n))
		}
	}
	if len(f.errs) > before {
		return nil, nil
	}
	var err error
	if e.Type == "bytes" && wildcards {
		data, mask, err = value.ParseMasked(texts...)
	} else {
		data, err = e.Encode(texts...)
	}
	if hex, ok := errors.AsType[*value.HexError](err); ok {
		switch {
		case strings.Contains(hex.Word, "?"):
			err = fmt.Errorf("%w; only old bytes may have wildcards, which stand for a digit or two", err)
		case n.Kind == yaml.ScalarNode:
			err = fmt.Errorf("%w; a number or a text has its type with it, as in {i32: 100}", err)
		}
	} else if err == nil && len(data) == 0 {
		err = errors.New("there are no bytes")
	}
	f.check(n, err)
	return data, mask
}

// mapping returns the keys and values of a mapping. All keys are texts, each is there
// once and, unless known is nil, is one of those.
func (f *file) mapping(n *yaml.Node, what string, known []string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode {
			f.fail(n, "%s is a mapping, of keys and their values", what)
			return
		}
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content) && !f.full(); i += 2 {
			key := n.Content[i]
			line, twice := lines[key.Value]
			switch {
			case key.Kind == yaml.ScalarNode && key.Tag == "!!merge":
				f.fail(key, "there is no merging of mappings by << in a patch file")
			case key.Kind != yaml.ScalarNode || key.Tag != "!!str":
				f.fail(key, "a key is a text; put other words in quotes")
			case known != nil && !slices.Contains(known, key.Value):
				f.fail(key, "%s has no key %q%s", what, key.Value, suggestion(key.Value, known))
			case twice:
				f.fail(key, "the key %q is in line %d already", key.Value, line)
			default:
				lines[key.Value] = key.Line
				if !yield(key, n.Content[i+1]) {
					return
				}
			}
		}
	}
}

func suggestion(word string, known []string) string {
	if near := spelling.Nearest(word, known); len(near) > 0 {
		return fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return "; it may have " + strings.Join(known, ", ")
}

// lookup returns the value of a key, or nil.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// require reports keys that a mapping does not have.
func (f *file) require(n *yaml.Node, keys ...string) {
	for _, key := range keys {
		if n.Kind == yaml.MappingNode && lookup(n, key) == nil {
			f.fail(n, "the key %s is missing", key)
		}
	}
}

// text returns what YAML reads as a text.
func (f *file) text(n *yaml.Node) string {
	if word := f.word(n); word != "" && n.Tag != "!!str" {
		f.fail(n, "%q is not a text to YAML; put it in quotes", word)
	}
	return n.Value
}

// word returns a scalar as it is written: 90 and 1e5 are bytes in hex, whatever number
// YAML takes them for.
func (f *file) word(n *yaml.Node) string {
	switch {
	case n.Kind != yaml.ScalarNode:
		f.fail(n, "a single value is wanted here, not a list or a mapping")
	case n.Tag == "!!null":
		f.fail(n, "a value is missing")
	}
	return n.Value
}

// checkTags refuses tags that give a value a type which a patch does not know.
func (f *file) checkTags(n *yaml.Node) {
	if n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" {
		allowed := "!!str !!int !!float !!bool !!null"
		switch n.Kind {
		case yaml.MappingNode:
			allowed = "!!map"
		case yaml.SequenceNode:
			allowed = "!!seq"
		}
		if !slices.Contains(strings.Fields(allowed), n.Tag) {
			f.fail(n, "the tag %s does not belong here", n.Tag)
		}
	}
	for _, child := range n.Content {
		f.checkTags(child)
	}
}
