// SPDX-License-Identifier: Apache-2.0

package procmaps

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable returns text with every character that could act on a terminal, and
// every byte that is no text, written as an escape of Go: the name of a file or
// of a process is whatever its owner chose.
func Printable(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		shown := text[:size]
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			quoted := strconv.Quote(shown)
			shown = quoted[1 : len(quoted)-1]
		}
		b.WriteString(shown)
		text = text[size:]
	}
	return b.String()
}
