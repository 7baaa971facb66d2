// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// didYouMean is the end of a message about a word that does not exist: the words
// nearest to it behind a prefix such as "--", or nothing.
func didYouMean(word string, all []string, prefix string) string {
	near := nearest(word, all)
	if len(near) == 0 {
		return ""
	}
	for i, n := range near {
		near[i] = prefix + procmaps.Printable(n)
	}
	last := len(near) - 1
	text := near[last]
	if last > 0 {
		text = strings.Join(near[:last], ", ") + " or " + text
	}
	return "; did you mean " + text + "?"
}

// nearest returns up to three words that a person may have meant: those that begin
// with what was typed, or else those that differ from it the least, by a letter of
// three or so.
func nearest(word string, all []string) []string {
	const most = 3
	typed := strings.ToLower(word)
	if typed == "" {
		return nil
	}
	distance := map[string]int{}
	for _, other := range all {
		lower := strings.ToLower(other)
		if strings.HasPrefix(lower, typed) {
			distance[other] = 0
		} else if d := levenshtein.Distance(typed, lower, nil); d < len(typed) && d <= min(1+len(typed)/4, 3) {
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
