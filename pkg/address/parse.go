// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The most that an expression may have. Nobody writes as much; whoever takes
// expressions from others needs a bound.
const (
	maxLength = 4096 // bytes, as it is written and as String writes it
	maxDepth  = 64   // brackets, parentheses and commas inside each other
)

// SyntaxError is every error of [Parse].
type SyntaxError struct {
	Text    string // the expression
	Column  int    // where in Text the fault is, in characters from 1
	Message string // what is wrong, and what may have been meant
}

// Error says where the fault is and what it is, on one line.
func (e *SyntaxError) Error() string {
	const short = 60
	if len(e.Text) > short {
		return fmt.Sprintf("column %d: %s", e.Column, e.Message)
	}
	return fmt.Sprintf("%q, column %d: %s", e.Text, e.Column, e.Message)
}

// Parse reads an expression. The package's documentation has the grammar. Every error is
// a [*SyntaxError]. An expression has at most 4096 bytes, and at most 64 brackets,
// parentheses and commas inside each other.
func Parse(text string) (*Expr, error) {
	p := parser{scanner: scanner{text: text}}
	if len(text) > maxLength {
		return nil, p.errorAt(0, "the expression is longer than %d bytes", maxLength)
	}
	for at, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[at:], string(utf8.RuneError)) {
			return nil, p.errorAt(at, `the byte is no UTF-8; quote the name and write the byte as "\x%x"`, text[at])
		}
	}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	e := newExpr(root)
	if len(e.text) > maxLength {
		return nil, p.errorAt(0, "the expression is longer than %d bytes when it is written out", maxLength)
	}
	return e, nil
}

// parser holds one token that is not used yet. The functions below read what is
// called so in the grammar. Their errors are *SyntaxErrors.
type parser struct {
	scanner
	token  token
	nested int // brackets and parentheses that are open
}

func (p *parser) advance() (err error) {
	p.token, err = p.next()
	return err
}

func (p *parser) whole() (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind == endToken {
		return nil, p.errorAt(p.token.at, "the expression is empty")
	}
	root, err := p.expr()
	if err != nil {
		return nil, err
	}
	switch p.token.kind {
	case endToken:
		return root, nil
	case ')', ']':
		return nil, p.errorAt(p.token.at, "%s closes nothing", p.token.shown())
	case '!':
		return nil, p.errorAt(p.token.at, "only a module has symbols")
	case nameToken:
		return nil, p.errorAt(p.token.at, "an operator is missing before %s; names with spaces are quoted", p.token.shown())
	}
	return nil, p.errorAt(p.token.at, "an operator is missing before %s", p.token.shown())
}

func (p *parser) expr() (*node, error) {
	left, err := p.sum(nil)
	for err == nil && (p.token.kind == ',' || p.token.kind == arrowToken) {
		comma := p.token
		if left, err = p.enclose(readNode, left, comma.at); err != nil {
			return nil, err
		}
		if err = p.advance(); err != nil {
			return nil, err
		}
		switch p.token.kind {
		case endToken, ',', arrowToken, ']', ')':
			return nil, p.errorAt(p.token.at, "an offset is missing behind %q; [ ] around an address reads its pointer alone", comma.source)
		}
		left, err = p.sum(left)
	}
	return left, err
}

// sum reads a sum, and adds it to left if there is one.
func (p *parser) sum(left *node) (*node, error) {
	sum := &node{kind: sumNode}
	if left != nil {
		sum.add(left, false)
	}
	minus := p.token.kind == '-'
	if minus {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	for {
		product, err := p.product()
		if err != nil {
			return nil, err
		}
		sum.add(product, minus)
		if p.token.kind != '+' && p.token.kind != '-' {
			return sum.simplified(), nil
		}
		minus = p.token.kind == '-'
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) product() (*node, error) {
	product := &node{kind: productNode}
	for {
		term, err := p.term()
		if err != nil {
			return nil, err
		}
		product.add(term, false)
		if p.token.kind != '*' {
			return product.simplified(), nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) term() (*node, error) {
	switch t := p.token; t.kind {
	case '[':
		return p.enclosed(readNode, ']')
	case '(':
		return p.enclosed(groupNode, ')')
	case numberToken:
		return &node{kind: numberNode, value: t.value}, p.advance()
	case nameToken, specialToken, '!':
		return p.place()
	case '+', '-', '*':
		return nil, p.errorAt(t.at, "a number or a place is missing before %q; names with + - or * are quoted", t.source)
	default:
		return nil, p.errorAt(t.at, "a number or a place is missing before %s", t.shown())
	}
}

// enclosed reads an expr up to the closing bracket.
func (p *parser) enclosed(kind nodeKind, closing tokenKind) (*node, error) {
	opening := p.token
	if p.nested++; p.nested > maxDepth {
		return nil, p.tooDeep(opening.at)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	inner, err := p.expr()
	if err != nil {
		return nil, err
	}
	if p.token.kind != closing {
		return nil, p.errorAt(p.token.at, `"%c" is missing before %s: the "%c" of column %d is open`,
			closing, p.token.shown(), opening.kind, p.column(opening.at))
	}
	p.nested--
	if inner, err = p.enclose(kind, inner, opening.at); err != nil {
		return nil, err
	}
	return inner, p.advance()
}

// enclose returns a node with nothing but inner in it.
func (p *parser) enclose(kind nodeKind, inner *node, at int) (*node, error) {
	n := &node{kind: kind}
	n.add(inner, false)
	if n.depth++; n.depth > maxDepth {
		return nil, p.tooDeep(at)
	}
	return n, nil
}

func (p *parser) tooDeep(at int) error {
	return p.errorAt(at, "more than %d brackets, parentheses and commas inside each other", maxDepth)
}

func (p *parser) place() (*node, error) {
	n := &node{kind: placeNode}
	switch t := p.token; t.kind {
	case nameToken:
		n.place.module = t.text
	case specialToken:
		n.place.special = specials[t.text]
		if n.place.special == 0 {
			return nil, p.errorAt(t.at, "no place is called %q; there are @exe, @heap, @stack and @vdso", t.text)
		}
	}
	if p.token.kind != '!' {
		if err := p.advance(); err != nil || p.token.kind != '!' {
			return n, err
		}
		if n.place.special == heap || n.place.special == stack {
			return nil, p.errorAt(p.token.at, "only a module has symbols")
		}
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.token.kind != nameToken {
		return nil, p.errorAt(p.token.at, "the name of a symbol is missing before %s", p.token.shown())
	}
	n.place.symbol = p.token.text
	return n, p.advance()
}
