// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strings"
)

// Expr is an expression that names an address. It never changes, and may be used by
// any number of goroutines.
type Expr struct {
	root *node
	text string // the canonical form
}

// String returns the canonical form of the expression: with brackets for commas, with
// hexadecimal numbers and without spaces. [Parse] gives the same expression for it.
func (e *Expr) String() string { return e.text }

// Constant returns the value of an expression that names no place and reads no
// pointer, and whether it is one: the same in each process.
func (e *Expr) Constant() (value uint64, ok bool) {
	if !e.root.constant() {
		return 0, false
	}
	v, _ := (&evaluation{expr: e}).value(e.root) // which has nothing to look up that could fail
	return v.bits, true
}

// InModule returns the module and the offset of an expression that is a module plus a
// number, and whether it is one. The module is as [Quote] has a name, or @exe or @vdso.
func (e *Expr) InModule() (module string, offset uint64, ok bool) {
	parts := []part{{node: e.root}}
	if e.root.kind == sumNode {
		parts = e.root.parts
	}
	for _, p := range parts {
		switch {
		case p.constant():
			v, _ := (&evaluation{expr: e}).value(p.node)
			if p.minus {
				v.bits = -v.bits
			}
			offset += v.bits
		case p.kind == placeNode && !p.minus && module == "" && p.place.symbol == "" && p.place.special != heap && p.place.special != stack:
			module = p.place.String()
		default:
			return "", 0, false
		}
	}
	return module, offset, module != ""
}

type nodeKind uint8

const (
	numberNode  nodeKind = iota
	placeNode            // a module, a symbol or a special place
	readNode             // the pointer at its only part
	groupNode            // its only part, in parentheses
	sumNode              // of its parts
	productNode          // of its parts
)

// node is a part of an expression. After Parse it never changes.
type node struct {
	kind  nodeKind
	value uint64 // of a number
	place place
	parts []part
	depth int // of the brackets, parentheses and commas inside each other

	start, end int // where the canonical form of the whole has this part
}

type part struct {
	*node
	minus bool // subtracted from the sum
}

// place is what an expression says of a place. It is comparable.
type place struct {
	special special // in the stead of a module's name
	module  string  // "" for a symbol of any module
	symbol  string  // "" for the module itself
}

// special is a place with a name that is no module's.
type special uint8

const (
	exe special = iota + 1
	heap
	stack
	vdso
)

var specials = map[string]special{"@exe": exe, "@heap": heap, "@stack": stack, "@vdso": vdso}

func (s special) String() string { return [...]string{"", "@exe", "@heap", "@stack", "@vdso"}[s] }

// String returns the place as an expression has it.
func (p place) String() string {
	text := p.special.String()
	if p.module != "" {
		text = Quote(p.module)
	}
	if p.symbol != "" {
		text += "!" + Quote(p.symbol)
	}
	return text
}

func (n *node) add(child *node, minus bool) {
	n.parts = append(n.parts, part{child, minus})
	n.depth = max(n.depth, child.depth)
}

// simplified returns n, or its only part if that is the same.
func (n *node) simplified() *node {
	if len(n.parts) == 1 && !n.parts[0].minus {
		return n.parts[0].node
	}
	return n
}

func (n *node) constant() bool {
	if n.kind == placeNode || n.kind == readNode {
		return false
	}
	for _, part := range n.parts {
		if !part.constant() {
			return false
		}
	}
	return true
}

// newExpr returns the expression of a tree that nobody else has yet.
func newExpr(root *node) *Expr {
	var b strings.Builder
	root.write(&b)
	return &Expr{root: root, text: b.String()}
}

// write writes the canonical form of n, and notes where in the whole it is.
func (n *node) write(b *strings.Builder) {
	n.start = b.Len()
	switch n.kind {
	case numberNode:
		fmt.Fprintf(b, "%#x", n.value)
	case placeNode:
		b.WriteString(n.place.String())
	case readNode:
		b.WriteByte('[')
		n.parts[0].write(b)
		b.WriteByte(']')
	case groupNode:
		b.WriteByte('(')
		n.parts[0].write(b)
		b.WriteByte(')')
	case sumNode, productNode:
		for i, part := range n.parts {
			switch {
			case part.minus:
				b.WriteByte('-')
			case i > 0 && n.kind == sumNode:
				b.WriteByte('+')
			case i > 0:
				b.WriteByte('*')
			}
			part.write(b)
		}
	}
	n.end = b.Len()
}

// textOf returns the canonical form of a part of the expression.
func (e *Expr) textOf(n *node) string { return e.text[n.start:n.end] }
