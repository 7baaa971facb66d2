// SPDX-License-Identifier: Apache-2.0

// Package spelling finds the words that a person may have meant by one that does not
// exist. How a message offers them is not its concern.
package spelling

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// Nearest returns up to three words that a person may have meant: those that begin
// with what was typed, or else those that differ from it the least, by a letter of
// three or so. It takes words of any length and with any bytes.
func Nearest(word string, all []string) []string {
	const most, farthest = 3, 3 // words, and letters of difference
	typed := strings.ToLower(word)
	if typed == "" {
		return nil
	}
	distance := map[string]int{}
	letters := utf8.RuneCountInString(typed)
	for _, other := range all {
		lower := strings.ToLower(other)
		if strings.HasPrefix(lower, typed) {
			distance[other] = 0
			continue
		}
		// Long words of another length, which are at least so far away, would take long.
		if d := utf8.RuneCountInString(lower) - letters; d < -farthest || d > farthest {
			continue
		}
		if d := levenshtein.Distance(typed, lower, nil); d < len(typed) && d <= min(1+len(typed)/4, farthest) {
			distance[other] = d
		}
	}
	var near []string
	for other := range distance {
		near = append(near, other)
	}
	slices.SortFunc(near, func(a, b string) int {
		if d := distance[a] - distance[b]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, other := range near {
		if i == most || distance[other] > distance[near[0]] {
			return near[:i]
		}
	}
	return near
}
