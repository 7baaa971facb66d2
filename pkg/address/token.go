// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is the character of a token that is always the same, or one of these.
type tokenKind rune

const (
	endToken     tokenKind = -iota - 1
	numberToken            // value
	nameToken              // text, without quotes
	specialToken           // text, as "@exe"
	arrowToken
)

type token struct {
	kind   tokenKind
	at     int // byte of the text in which it begins
	source string
	text   string
	value  uint64
}

// shown is the token as a message names it.
func (t token) shown() string {
	if t.kind == endToken {
		return "the end"
	}
	return strconv.Quote(t.source)
}

// scanner cuts a text into tokens.
type scanner struct {
	text string // valid UTF-8
	at   int    // the next byte
}

// errorAt is a SyntaxError at a byte of the text.
func (s *scanner) errorAt(at int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Text: s.text, Column: s.column(at), Message: fmt.Sprintf(format, args...)}
}

// column returns the column of a byte of the text, in characters from 1.
func (s *scanner) column(at int) int { return utf8.RuneCountInString(s.text[:at]) + 1 }

// next returns the next token, or an error that is a *SyntaxError.
func (s *scanner) next() (t token, err error) {
	rest := strings.TrimLeftFunc(s.text[s.at:], unicode.IsSpace)
	s.at = len(s.text) - len(rest)
	t.at = s.at
	r, size := utf8.DecodeRuneInString(rest)
	switch {
	case size == 0:
		t.kind = endToken
		return t, nil
	case strings.HasPrefix(rest, "->"):
		t.kind, size = arrowToken, len("->")
	case strings.ContainsRune("+-*,()[]!", r):
		t.kind = tokenKind(r)
	case r == '"':
		t.kind = nameToken
		t.text, size, err = s.quoted(rest)
	case r == '@':
		t.kind = specialToken
		size += wordLength(rest[size:])
		t.text = rest[:size]
	case isNameChar(r):
		size = wordLength(rest)
		t, err = s.word(rest[:size])
	default:
		err = s.errorAt(t.at, "unexpected %q; %s", string(r), whichAreQuoted)
	}
	if err != nil {
		return token{}, err
	}
	t.source = rest[:size]
	s.at += size
	return t, nil
}

// word returns the token of a number or of a name without quotes.
func (s *scanner) word(word string) (token, error) {
	t := token{kind: nameToken, at: s.at, text: word}
	value, isNumber, problem := number(word)
	if problem != "" {
		return t, s.errorAt(s.at, "%s", problem)
	}
	if isNumber {
		t.kind, t.value = numberToken, value
	}
	return t, nil
}

// quoted reads a quoted name at the front of text, which has size bytes.
func (s *scanner) quoted(text string) (name string, size int, err error) {
	var b []byte
	for rest := text[1:]; ; {
		at := len(text) - len(rest)
		switch {
		case rest == "":
			return "", 0, s.errorAt(s.at, "the quote is not closed")
		case rest[0] == '"' && len(b) == 0:
			return "", 0, s.errorAt(s.at, "the name is empty")
		case rest[0] == '"':
			return string(b), at + 1, nil
		}
		r, multibyte, tail, err := strconv.UnquoteChar(rest, '"')
		if err != nil {
			return "", 0, s.errorAt(s.at+at, `malformed escape; a backslash is written \\, a quote \"`)
		}
		if multibyte {
			b = utf8.AppendRune(b, r)
		} else {
			b = append(b, byte(r))
		}
		rest = tail
	}
}

// whichAreQuoted tells a person who wrote a name without its quotes.
const whichAreQuoted = "names with other characters than letters, digits and _ . / : $ ~ % are quoted"

// isNameChar reports whether a character may stand in a name without quotes.
func isNameChar(r rune) bool {
	if r < utf8.RuneSelf {
		return r == '_' || r == '.' || r == '/' || r == ':' || r == '$' || r == '~' || r == '%' ||
			'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || isDecimal(r)
	}
	return r != utf8.RuneError && unicode.In(r, unicode.L, unicode.M, unicode.N)
}

func isDecimal(r rune) bool { return '0' <= r && r <= '9' }

func isHex(r rune) bool { return isDecimal(r) || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F' }

// all reports whether every character of text is of a kind.
func all(text string, kind func(rune) bool) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !kind(r) }) < 0
}

// wordLength returns how many bytes at the front of text are characters of a name.
func wordLength(text string) int {
	if end := strings.IndexFunc(text, func(r rune) bool { return !isNameChar(r) }); end >= 0 {
		return end
	}
	return len(text)
}

// number reads a word that is a number, or says what is wrong with one that is
// neither a number nor a name.
func number(word string) (value uint64, isNumber bool, problem string) {
	if word == "" || !isDecimal(rune(word[0])) {
		return 0, false, ""
	}
	base, digits := 10, word
	switch {
	case strings.HasPrefix(word, "0x"), strings.HasPrefix(word, "0X"):
		base, digits = 16, word[2:]
	case strings.HasPrefix(word, "0d"):
		digits = word[2:]
	case len(word) == 1:
	case all(word, isDecimal):
		return 0, false, fmt.Sprintf("%q is ambiguous: did you mean 0x%s or 0d%s?", word, word, word)
	case all(word, isHex):
		return 0, false, fmt.Sprintf("%q has no base: did you mean 0x%s?", word, word)
	default:
		return 0, false, ""
	}
	value, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err == nil:
		return value, true, ""
	case digits == "":
		return 0, false, fmt.Sprintf("digits are missing behind %q", word)
	case base == 10 && all(digits, isDecimal), base == 16 && all(digits, isHex):
		return 0, false, fmt.Sprintf("%q is more than 64 bits", word)
	case base == 10 && all(digits, isHex):
		return 0, false, fmt.Sprintf("%q is not decimal: did you mean 0x%s?", word, word)
	}
	return 0, false, fmt.Sprintf("%q is not a number; quote it if it is a name", word)
}

// Quote returns the name of a module or a symbol as an expression has it: in quotes if it
// needs them.
func Quote(name string) string {
	_, isNumber, problem := number(name)
	if name != "" && all(name, isNameChar) && !isNumber && problem == "" {
		return name
	}
	return strconv.Quote(name)
}
