// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/vmwrite/vmwrite/internal/spelling"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// didYouMean is the end of a message about a word that does not exist: the words
// nearest to it behind a prefix such as "--", or nothing.
func didYouMean(word string, all []string, prefix string) string {
	near := spelling.Nearest(word, all)
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
