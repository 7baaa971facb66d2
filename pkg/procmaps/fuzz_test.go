// SPDX-License-Identifier: Apache-2.0

package procmaps_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

// FuzzParse checks of any text that what parses makes sense, and that it is
// parsed in full: its own line parses back to the same mapping.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for line := range strings.Lines(string(text)) {
		f.Add(line)
	}
	f.Add("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n")
	f.Add("00400000-00401000 r--s 8000000000000000 ffffffff:ffffffff 18446744073709551615 /a\\012b (deleted)")
	f.Add("00400000-00401000 rw-p 00000000 00:00 0\n00400000-00401000 rw-p 00000000 00:00 0 /" + strings.Repeat("d", 5000) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := collect(procmaps.Parse(strings.NewReader(text)))
		lines := slices.Collect(strings.Lines(text))
		for i, mapping := range parsed {
			if mapping.Start >= mapping.End {
				t.Errorf("%q: %#x is not below %#x", lines[i], mapping.Start, mapping.End)
			}
			again, err := collect(procmaps.Parse(strings.NewReader(mapping.String())))
			if err != nil || !slices.Equal(again, parsed[i:i+1]) {
				t.Errorf("%q parses as %v, its line as %v, %v", lines[i], mapping, again, err)
			}
		}
		if err == nil && len(parsed) != len(lines) {
			t.Errorf("%d mappings of %d lines, and no error", len(parsed), len(lines))
		}
	})
}
