// SPDX-License-Identifier: Apache-2.0

package spelling_test

import (
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/spelling"
)

func TestNearest(t *testing.T) {
	commands := "write read copy maps suspend protect page-size"
	for _, c := range []struct{ name, word, all, want string }{
		{"letters exchanged", "wirte", commands, "write"},
		{"a letter too few", "wrte", commands, "write"},
		{"letters of another case", "MAPS", commands, "maps"},
		{"a beginning", "sus", commands, "suspend"},
		{"a beginning is nearer than a letter of difference", "gam", "gum game", "game"},
		{"several, by the alphabet", "p", commands, "page-size, protect"},
		{"three at most", "a", "a4 a3 a2 a1", "a1, a2, a3"},
		{"each once", "gam", "game game", "game"},
		{"nothing that is near", "xyzzy", commands, ""},
		{"a short word is not near another", "ls", "sh ps ab", "ps"},
		{"nothing that has four letters more", "abcdefghijklmnop", "ABCDwwabcdefghijklmnop wwwwabcdefghijklmnop", ""},
		{"nothing for nothing", "", commands, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(spelling.Nearest(c.word, strings.Fields(c.all)), ", "); got != c.want {
				t.Errorf("nearest to %q: %s; want %s", c.word, got, c.want)
			}
		})
	}
}
