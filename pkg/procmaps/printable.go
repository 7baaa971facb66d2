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
	for i, r := range text {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			quoted := strconv.Quote(text[i : i+runeLength(text[i:])])
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func runeLength(text string) int {
	_, size := utf8.DecodeRuneInString(text)
	return size
}
