// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"testing"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestPrintableLeavesNothingThatActsOnATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"/usr/bin/a b (deleted)": "/usr/bin/a b (deleted)",
		"/größe/日本":              "/größe/日本",
		"\x1b[2J":                `\x1b[2J`,
		"a\nb\tc\r":              `a\nb\tc\r`,
		"\xff\xfe":               `\xff\xfe`,
		"\u202eabc":              `\u202eabc`,
		"\u0085\u009b":           `\u0085\u009b`,
		"\ufffd":                 "\ufffd",
		`\012"'`:                 `\012"'`,
	} {
		if got := procmaps.Printable(text); got != want {
			t.Errorf("Printable(%q) = %s; want %s", text, got, want)
		}
	}
}
