// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/vmwrite/vmwrite/internal/value"
)

// Marshal returns the patch as a file, always the same for the same patch. [Parse] makes
// the same of it but for lines, and for bits of Old that do not count. The error says why
// no file can say so: a place is missing or a condition, a text is not UTF-8, Mask has a
// part of a hex digit, or the patch is too large.
func (p *Patch) Marshal() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var w writer
	root := mapping("version", number(Version), "name", w.text(p.Name))
	if p.Description != "" {
		add(root, "description", w.text(p.Description))
	}
	if p.Executable != "" {
		add(root, "executable", w.text(p.Executable))
	}
	if len(p.Modules) > 0 {
		modules := mapping()
		for _, m := range p.Modules {
			module := mapping()
			module.Style = yaml.FlowStyle
			if m.BuildID != "" {
				add(module, "build-id", w.text(m.BuildID))
			}
			if m.SHA256 != "" {
				add(module, "sha256", w.text(m.SHA256))
			}
			modules.Content = append(modules.Content, w.text(m.Name), module)
		}
		add(root, "modules", modules)
	}
	changes := &yaml.Node{Kind: yaml.SequenceNode}
	for i, c := range p.Changes {
		n, err := w.change(c)
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i+1, err)
		}
		changes.Content = append(changes.Content, n)
	}
	add(root, "changes", changes)
	if w.err != nil {
		return nil, w.err
	}
	data, err := yaml.Dump(root, yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, err
	}
	return data, checkSize(data)
}

// writer makes nodes, and keeps the first error.
type writer struct{ err error }

func (w *writer) change(c Change) (*yaml.Node, error) {
	n := mapping()
	if c.Comment != "" {
		add(n, "comment", w.text(c.Comment))
	}
	if c.Find != nil {
		find := mapping("pattern", w.text(c.Find.Text), "in", w.text(c.Find.Module))
		find.Style = yaml.FlowStyle
		if c.Find.Offset != 0 {
			add(find, "offset", number(c.Find.Offset))
		}
		add(n, "find", find)
	} else {
		at := w.text(c.At.String())
		if _, ok := c.At.Constant(); ok {
			at.Tag = "" // a number needs no quotes
		}
		add(n, "at", at)
	}
	if len(c.Old) > 0 {
		text, ok := value.FormatMasked(c.Old, c.Mask)
		if !ok {
			return nil, fmt.Errorf("the mask % x has a part of a hex digit", c.Mask)
		}
		add(n, "old", w.text(text))
	}
	text, _ := value.FormatMasked(c.New, nil)
	add(n, "new", w.text(text))
	if c.Unprotect {
		add(n, "unprotect", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	return n, nil
}

// text is a text, in quotes where YAML would read it as something else.
func (w *writer) text(text string) *yaml.Node {
	if !utf8.ValidString(text) && w.err == nil {
		w.err = fmt.Errorf("%q is not UTF-8", text)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if strings.Contains(text, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

func number(n int64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(n, 10)}
}

// mapping is one of keys, which are strings, and their values, which are nodes.
func mapping(content ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(content); i += 2 {
		add(n, content[i].(string), content[i+1].(*yaml.Node))
	}
	return n
}

func add(mapping *yaml.Node, key string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}
