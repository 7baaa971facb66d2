// SPDX-License-Identifier: Apache-2.0

package search

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/vmwrite/vmwrite/internal/value"
)

// Pattern is a run of bytes some bits of which are fixed, as the signature of code is.
// It is not changed once it is made.
type Pattern struct{ form *form }

func (p *Pattern) compiled() *form { return p.form }

// Size returns the bytes of a match.
func (p *Pattern) Size() int { return p.form.size() }

// place says which address a match gives.
type place struct {
	offset int  // from the start of the match
	follow bool // the rel32 at rel is added
	rel    int
}

// of returns the place of the match b at an address. Addresses wrap.
func (p place) of(address uint64, b []byte) uint64 {
	address += uint64(p.offset)
	if p.follow {
		address += uint64(int64(int32(binary.LittleEndian.Uint32(b[p.rel:]))))
	}
	return address
}

// PatternError says what is wrong with a pattern, and where.
type PatternError struct {
	Text    string
	Column  int // of the first character that is wrong, from 1 and in characters
	Message string
}

// Error returns the pattern, the column and what is wrong there.
func (e *PatternError) Error() string {
	return fmt.Sprintf("pattern %q, column %d: %s", e.Text, e.Column, e.Message)
}

// ParsePattern reads a pattern. It is made of hex digits, two for each byte, in any
// case, with or without blanks between the bytes:
//
//	48 8B ?? 05    ? and ?? stand for any byte
//	4? ?5          half of a byte is any
//	48 | 8B 05     the result is the address of what stands behind |, not of the start
//	E8 $           $ is a rel32 of x86 code, four bytes of any value: the result is its
//	               target, counted from its end
//	C7 05 $ 00 00 00 00 |
//	               counted from |, which is the end of the instruction
//
// It can also be what tools for C print, the bytes and a mask in which x is a byte that
// is fixed and ? one that is not; without a mask all are fixed:
//
//	\x48\x8b\x00\x05 xx?x
//
// One bit at least must be fixed, and a pattern has at most 1024 bytes. The error is a
// [*PatternError].
func ParsePattern(text string) (*Pattern, error) {
	p := patternParser{text: text, marked: -1, rel: -1}
	for p.at < len(text) {
		switch {
		case strings.IndexByte(" \t\r\n", text[p.at]) >= 0:
			p.at++
		case text[p.at] == '\\':
			p.parseEscape()
		case p.escaped:
			p.parseMask()
		default:
			p.parseWord()
		}
		if p.err == nil && len(p.value) > maxSize {
			p.fail(p.at, "a pattern has at most %d bytes", maxSize)
		}
		if p.err != nil {
			return nil, p.err
		}
	}
	return p.finish()
}

type patternParser struct {
	text        string
	at          int
	value, mask []byte
	marked      int // the place of |, -1 for none
	rel         int // that of $
	escaped     bool
	masked      bool
	err         *PatternError
}

func (p *patternParser) fail(at int, format string, args ...any) {
	p.err = &PatternError{Text: p.text, Column: utf8.RuneCountInString(p.text[:at]) + 1, Message: fmt.Sprintf(format, args...)}
}

func (p *patternParser) add(value, mask byte) {
	p.value, p.mask = append(p.value, value&mask), append(p.mask, mask)
}

// parseWord reads bytes, | and $ as far as the next blank.
func (p *patternParser) parseWord() {
	switch p.text[p.at] {
	case '|':
		if p.marked >= 0 {
			p.fail(p.at, "there is a | already")
		}
		p.marked = len(p.value)
		p.at++
		return
	case '$':
		if p.rel >= 0 {
			p.fail(p.at, "there is a $ already")
		} else if p.marked >= 0 {
			p.fail(p.at, "with a $, the | stands behind it, at the end of the instruction")
		}
		p.rel = len(p.value)
		for range 4 {
			p.add(0, 0)
		}
		p.at++
		return
	}
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n|$\\", p.text[p.at]) < 0 {
		if _, _, ok := value.Nibble(p.text[p.at]); !ok {
			p.fail(p.at, "%s is neither a hex digit nor one of ? | $", character(p.text[p.at:]))
			return
		}
		p.at++
	}
	word := p.text[start:p.at]
	if word == "?" {
		p.add(0, 0)
		return
	}
	if len(word)%2 != 0 {
		p.fail(p.at-1, "a byte has two digits, and %q has an odd number", short(word))
		return
	}
	for i := 0; i < len(word); i += 2 {
		high, highMask, _ := value.Nibble(word[i])
		low, lowMask, _ := value.Nibble(word[i+1])
		p.add(high<<4|low, highMask<<4|lowMask)
	}
}

// parseEscape reads one \x48.
func (p *patternParser) parseEscape() {
	if p.masked || (!p.escaped && len(p.value) > 0) || p.marked >= 0 {
		p.fail(p.at, `bytes as \x48 stand alone, with only a mask behind them`)
		return
	}
	rest := p.text[p.at:]
	digit := func(i int) (byte, bool) {
		if len(rest) <= i {
			return 0, false
		}
		value, mask, ok := value.Nibble(rest[i])
		return value, ok && mask != 0
	}
	high, ok1 := digit(2)
	low, ok2 := digit(3)
	if !ok1 || !ok2 || (rest[1] != 'x' && rest[1] != 'X') {
		p.fail(p.at, `a byte is written as \x48`)
		return
	}
	p.escaped = true
	p.add(high<<4|low, 0xff)
	p.at += len(`\x48`)
}

// parseMask reads the mask behind bytes.
func (p *patternParser) parseMask() {
	if p.masked {
		p.fail(p.at, "nothing stands behind the mask")
		return
	}
	p.masked = true
	start := p.at
	for ; p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) < 0; p.at++ {
		i := p.at - start
		if i == len(p.value) {
			p.fail(p.at, "the mask is longer than the %d bytes", len(p.value))
			return
		}
		switch p.text[p.at] {
		case 'x', 'X':
		case '?':
			p.value[i], p.mask[i] = 0, 0
		default:
			p.fail(p.at, "%s is neither x nor ?, of which a mask consists", character(p.text[p.at:]))
			return
		}
	}
	if n := p.at - start; n < len(p.value) {
		p.fail(p.at, "the mask has %d characters for %d bytes", n, len(p.value))
	}
}

func (p *patternParser) finish() (*Pattern, error) {
	fixed := byte(0)
	for _, m := range p.mask {
		fixed |= m
	}
	f := &form{value: p.value, mask: p.mask, align: 1, kind: Bytes}
	switch {
	case len(p.value) == 0:
		p.fail(len(p.text), "there is no byte")
	case fixed == 0:
		p.fail(0, "all bytes are wildcards, so it would match everywhere")
	case p.rel >= 0 && p.marked >= 0:
		f.place = place{offset: p.marked, follow: true, rel: p.rel}
	case p.rel >= 0:
		f.place = place{offset: p.rel + 4, follow: true, rel: p.rel}
	case p.marked >= 0:
		f.place = place{offset: p.marked}
	}
	if p.err != nil {
		return nil, p.err
	}
	return &Pattern{form: f}, nil
}

// character returns the first character of text as a message shows it.
func character(text string) string {
	r, _ := utf8.DecodeRuneInString(text)
	return fmt.Sprintf("%q", r)
}

// short returns text cut to what a message has room for.
func short(text string) string {
	if len(text) > 20 {
		return text[:20] + "..."
	}
	return text
}
