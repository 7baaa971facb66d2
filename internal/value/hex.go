// SPDX-License-Identifier: Apache-2.0

package value

import (
	"fmt"
	"strings"
)

// HexError is a word that is not bytes in hex.
type HexError struct {
	Word string
	Odd  bool // it is hex digits, but an odd number of them
}

// Error says what is wrong with the word, which it cuts if that is long.
func (e *HexError) Error() string {
	const enough = 40
	word := e.Word
	if len(word) > enough {
		word = word[:enough] + "..."
	}
	if e.Odd {
		return fmt.Sprintf("%q has an odd number of hex digits, and each byte needs two", word)
	}
	return fmt.Sprintf("%q is not bytes in hex, such as 90, 9090 or 0x90", word)
}

// ParseHex returns the bytes of words in hex: 90 90, 9090, 0x90 or "90 90". The error is
// a [*HexError].
func ParseHex(words ...string) ([]byte, error) {
	data, _, err := parseHex(words, false)
	return data, err
}

// ParseMasked is [ParseHex] of bytes some bits of which are not known: in them a ?
// stands for a digit, and a ? alone or ?? for a byte. The mask has the bits that are
// known, and is nil if all are; the others are 0 in data.
func ParseMasked(words ...string) (data, mask []byte, err error) {
	return parseHex(words, true)
}

func parseHex(words []string, wildcards bool) (data, mask []byte, err error) {
	known := true
	for _, several := range words {
		for word := range strings.FieldsSeq(several) {
			digits := strings.TrimPrefix(strings.TrimPrefix(word, "0x"), "0X")
			if word == "?" {
				digits = "??"
			}
			for i := range len(digits) {
				_, fixed, ok := Nibble(digits[i])
				if !ok || fixed == 0 && !wildcards {
					return nil, nil, &HexError{Word: word}
				}
			}
			if digits == "" || len(digits)%2 != 0 {
				return nil, nil, &HexError{Word: word, Odd: digits != ""}
			}
			for i := 0; i < len(digits); i += 2 {
				high, highMask, _ := Nibble(digits[i])
				low, lowMask, _ := Nibble(digits[i+1])
				fixed := highMask<<4 | lowMask
				known = known && fixed == 0xff
				data = append(data, high<<4|low)
				if wildcards {
					mask = append(mask, fixed)
				}
			}
		}
	}
	if known {
		mask = nil
	}
	return data, mask, nil
}

// Nibble returns the four bits of a hex digit, and which of them are known: none of a ?.
func Nibble(c byte) (value, mask byte, ok bool) {
	switch {
	case c == '?':
		return 0, 0, true
	case '0' <= c && c <= '9':
		return c - '0', 0xf, true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, 0xf, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, 0xf, true
	}
	return 0, 0, false
}

// FormatMasked returns data in the form that [ParseMasked] takes, with a blank between
// the bytes. A byte of which only some bits of a digit are known has no such form; ok is
// false then.
func FormatMasked(data, mask []byte) (text string, ok bool) {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 3*len(data))
	for i, c := range data {
		fixed := byte(0xff)
		if mask != nil {
			fixed = mask[i]
		}
		if i > 0 {
			b = append(b, ' ')
		}
		for _, shift := range []int{4, 0} {
			switch fixed >> shift & 0xf {
			case 0xf:
				b = append(b, digits[c>>shift&0xf])
			case 0:
				b = append(b, '?')
			default:
				return "", false
			}
		}
	}
	return string(b), true
}
