// SPDX-License-Identifier: Apache-2.0

package address_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/pkg/address"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a hexadecimal number", "0xDeadBeef", "0xdeadbeef"},
		{"a large X", "0X1f", "0x1f"},
		{"a decimal number", "0d374", "0x176"},
		{"a single digit", "8", "0x8"},
		{"zero", "0", "0x0"},
		{"leading zeros", "0x0000000000000000000000008", "0x8"},
		{"the highest number", "0xffffffffffffffff", "0xffffffffffffffff"},

		{"a module", "game", "game"},
		{"a module and an offset", "game+0x4068", "game+0x4068"},
		{"a negative offset", "game-0x10", "game-0x10"},
		{"spaces", "  game +\t0x10 ", "game+0x10"},
		{"a module whose name is hexadecimal digits", "ADD+0x1", "ADD+0x1"},
		{"a module whose name looks like a number of another tool", "deadbeef", "deadbeef"},
		{"a module whose name begins with a digit", "7zip.so+1", "7zip.so+0x1"},
		{"a module that is named by its path", "/usr/lib/libc.so.6", "/usr/lib/libc.so.6"},
		{"every other character of a name without quotes", "_.:$~%", "_.:$~%"},
		{"letters outside ASCII", "игра.exe+ü\u0308é٣", "игра.exe+ü\u0308é٣"},
		{"a name with a minus", `"libc-2.31.so"+0x10`, `"libc-2.31.so"+0x10`},
		{"a name with spaces", `"my game.exe"`, `"my game.exe"`},
		{"a name that is digits", `"374"`, `"374"`},
		{"a name that looks like a number", `"0x10"`, `"0x10"`},
		{"quotes that are not needed", `"game"!"player"`, "game!player"},
		{"escapes", `"a\"b\\c\n\x41\u00e9"`, `"a\"b\\c\nAé"`},
		{"bytes that are no text", `"\xff\x80"`, `"\xff\x80"`},
		{"a name like that of a place", `"@exe"`, `"@exe"`},

		{"a symbol of a module", "game!player", "game!player"},
		{"a symbol of any module", "!player+4", "!player+0x4"},
		{"a symbol of C++", `game!"Player::hit(int)"`, `game!"Player::hit(int)"`},
		{"a symbol of C++ without parameters", "game!Player::hit", "game!Player::hit"},
		{"spaces around the mark of a symbol", "game ! player", "game!player"},
		{"the program", "@exe+0x10", "@exe+0x10"},
		{"a symbol of the program", "@exe!main", "@exe!main"},
		{"a symbol of the vdso", "@vdso!time", "@vdso!time"},
		{"the other places", "@heap+@stack+@vdso", "@heap+@stack+@vdso"},

		{"a pointer", "[game]", "[game]"},
		{"a chain", "game+0x4068,0x8,0x16", "[[game+0x4068]+0x8]+0x16"},
		{"a chain of arrows", "game+0x4068->0x8 -> 0x16", "[[game+0x4068]+0x8]+0x16"},
		{"a chain with a negative offset", "game,-0x8", "[game]-0x8"},
		{"an arrow and a minus", "game->-8-8", "[game]-0x8-0x8"},
		{"a minus and no arrow", "game-0x8", "game-0x8"},
		{"a comma binds weaker than plus and times", "game+1*2,3+4*5", "[game+0x1*0x2]+0x3+0x4*0x5"},
		{"a chain in brackets", "[game,8]+4", "[[game]+0x8]+0x4"},
		{"a chain in parentheses", "(game,8)*2", "([game]+0x8)*0x2"},
		{"brackets on the right of a comma", "game,[@heap]*8+4", "[game]+[@heap]*0x8+0x4"},

		{"a minus in front", "-0x8*2+game", "-0x8*0x2+game"},
		{"parentheses", "game-(8-4)*(2)", "game-(0x8-0x4)*(0x2)"},
		{"a minus in parentheses", "game*(-1)", "game*(-0x1)"},
		{"the deepest brackets", strings.Repeat("[", 64) + "game" + strings.Repeat("]", 64), strings.Repeat("[", 64) + "game" + strings.Repeat("]", 64)},
		{"the longest chain", "game" + strings.Repeat(",1", 64), strings.Repeat("[", 64) + "game" + strings.Repeat("]+0x1", 64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, text := range []string{c.text, c.want} {
				if e, err := address.Parse(text); err != nil || e.String() != c.want {
					t.Errorf("Parse(%q) = %v, %v; want %s", text, e, err, c.want)
				}
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	const quoted = "names with other characters than letters, digits and _ . / : $ ~ % are quoted"
	for _, c := range []struct {
		name, text string
		column     int
		message    string
	}{
		{"nothing", "", 1, "the expression is empty"},
		{"spaces alone", "  ", 3, "the expression is empty"},

		{"a number without its base", "game+374", 6, `"374" is ambiguous: did you mean 0x374 or 0d374?`},
		{"a number with leading zeros", "010", 1, `"010" is ambiguous: did you mean 0x010 or 0d010?`},
		{"hexadecimal digits without their base", "game+10F4F4", 6, `"10F4F4" has no base: did you mean 0x10F4F4?`},
		{"a large D", "0D12", 1, `"0D12" has no base: did you mean 0x0D12?`},
		{"hexadecimal digits behind 0d", "0d12ab", 1, `"0d12ab" is not decimal: did you mean 0x0d12ab?`},
		{"0x alone", "game+0x", 6, `digits are missing behind "0x"`},
		{"0d alone", "0d", 1, `digits are missing behind "0d"`},
		{"a number of 65 bits", "0x10000000000000000", 1, `"0x10000000000000000" is more than 64 bits`},
		{"a decimal number of 65 bits", "0d18446744073709551616", 1, `"0d18446744073709551616" is more than 64 bits`},
		{"a word that begins like a number", "0xyz.so", 1, `"0xyz.so" is not a number; quote it if it is a name`},
		{"a word that begins like a decimal number", "0day", 1, `"0day" is not a number; quote it if it is a name`},
		{"an underscore in a number", "0x1_0", 1, `"0x1_0" is not a number; quote it if it is a name`},

		{"a comma at the end", "game+0x8,", 10, `an offset is missing behind ","; [ ] around an address reads its pointer alone`},
		{"an arrow at the end", "game->", 7, `an offset is missing behind "->"; [ ] around an address reads its pointer alone`},
		{"two commas", "game,,8", 6, `an offset is missing behind ","; [ ] around an address reads its pointer alone`},
		{"a comma before a bracket", "[game,]", 7, `an offset is missing behind ","; [ ] around an address reads its pointer alone`},
		{"a comma at the beginning", ",8", 1, `a number or a place is missing before ","`},
		{"a plus at the end", "game+", 6, "a number or a place is missing before the end"},
		{"a plus at the beginning", "+8", 1, `a number or a place is missing before "+"; names with + - or * are quoted`},
		{"a name with a plus", "libstdc++.so", 9, `a number or a place is missing before "+"; names with + - or * are quoted`},
		{"two minuses", "game--8", 6, `a number or a place is missing before "-"; names with + - or * are quoted`},
		{"a minus behind times", "game*-8", 6, `a number or a place is missing before "-"; names with + - or * are quoted`},
		{"two names", "my game", 4, `an operator is missing before "game"; names with spaces are quoted`},
		{"two numbers", "8 0x8", 3, `an operator is missing before "0x8"`},
		{"a bracket behind a name", "game[8]", 5, `an operator is missing before "["`},

		{"a bracket that is not closed", "8+[game+8", 10, `"]" is missing before the end: the "[" of column 3 is open`},
		{"a parenthesis that is not closed", "(game]", 6, `")" is missing before "]": the "(" of column 1 is open`},
		{"a bracket that closes nothing", "game]", 5, `"]" closes nothing`},
		{"a parenthesis that closes nothing", "8)+8", 2, `")" closes nothing`},
		{"nothing in brackets", "[]", 2, `a number or a place is missing before "]"`},

		{"no symbol", "game!", 6, "the name of a symbol is missing before the end"},
		{"a number for a symbol", "game!0x8", 6, `the name of a symbol is missing before "0x8"`},
		{"a symbol of a symbol", "game!a!b", 7, "only a module has symbols"},
		{"a symbol of a number", "8!a", 2, "only a module has symbols"},
		{"a symbol of the heap", "@heap!a", 6, "only a module has symbols"},
		{"a place that is not there", "@main", 1, `no place is called "@main"; there are @exe, @heap, @stack and @vdso`},
		{"a place without a name", "8+@", 3, `no place is called "@"; there are @exe, @heap, @stack and @vdso`},

		{"a quote that is not closed", `8+"game`, 3, "the quote is not closed"},
		{"an empty name", `8+""`, 3, "the name is empty"},
		{"an escape that is none", `"ga\me"`, 4, `malformed escape; a backslash is written \\, a quote \"`},
		{"a backslash at the end", `"game\`, 6, `malformed escape; a backslash is written \\, a quote \"`},
		{"another character", "game#8", 5, `unexpected "#"; ` + quoted},
		{"a character that acts on a terminal", "game\x1b[2J", 5, `unexpected "\x1b"; ` + quoted},
		{"behind a name", "game #", 6, `unexpected "#"; ` + quoted},
		{"behind a number", "8#", 2, `unexpected "#"; ` + quoted},
		{"behind a plus", "8+#", 3, `unexpected "#"; ` + quoted},
		{"behind a minus in front", "-#", 2, `unexpected "#"; ` + quoted},
		{"behind times", "8*#", 3, `unexpected "#"; ` + quoted},
		{"behind a comma", "8,#", 3, `unexpected "#"; ` + quoted},
		{"behind a bracket", "[#", 2, `unexpected "#"; ` + quoted},
		{"behind what brackets close", "[8]#", 4, `unexpected "#"; ` + quoted},
		{"behind the mark of a symbol", "game!#", 6, `unexpected "#"; ` + quoted},
		{"behind a symbol", "game!a#", 7, `unexpected "#"; ` + quoted},
		{"columns are characters", "игра+374", 6, `"374" is ambiguous: did you mean 0x374 or 0d374?`},
		{"a sign outside ASCII", "игра−8", 5, `unexpected "−"; ` + quoted},
		{"the character for what is no character", "\ufffd", 1, `unexpected "` + "\ufffd" + `"; ` + quoted},
		{"a byte that is no text", "é+\"\ufffd\xff\"", 5, `the byte is no UTF-8; quote the name and write the byte as "\xff"`},

		{"brackets that are too deep", strings.Repeat("[", 65) + "8" + strings.Repeat("]", 65), 65, "more than 64 brackets, parentheses and commas inside each other"},
		{"parentheses that are too deep", strings.Repeat("(", 4000), 65, "more than 64 brackets, parentheses and commas inside each other"},
		{"a chain that is too long", "8" + strings.Repeat(",8", 65), 130, "more than 64 brackets, parentheses and commas inside each other"},
		{"a text that is too long", strings.Repeat("8", 4097), 1, "the expression is longer than 4096 bytes"},
		{"a canonical form that is too long", "8" + strings.Repeat("+8", 2000), 1, "the expression is longer than 4096 bytes when it is written out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := address.Parse(c.text)
			wrong, ok := errors.AsType[*address.SyntaxError](err)
			if !ok || e != nil {
				t.Fatalf("Parse(%q) = %v, %v; want a SyntaxError", c.text, e, err)
			}
			if wrong.Text != c.text || wrong.Column != c.column || wrong.Message != c.message {
				t.Errorf("Parse(%q):\n column %d: %s; want\n column %d: %s", c.text, wrong.Column, wrong.Message, c.column, c.message)
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("%q acts on a terminal", err)
			}
		})
	}
}

func TestSyntaxErrorShowsShortExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"game+374":                       `"game+374", column 6: "374" is ambiguous: did you mean 0x374 or 0d374?`,
		strings.Repeat("g", 60) + "+374": `column 62: "374" is ambiguous: did you mean 0x374 or 0d374?`,
	} {
		if _, err := address.Parse(text); err == nil || err.Error() != want {
			t.Errorf("Parse(%q) = %v; want %s", text, err, want)
		}
	}
}

func TestConstant(t *testing.T) {
	for _, c := range []struct {
		text  string
		value uint64
		ok    bool
	}{
		{"0x10", 0x10, true},
		{"0d10+2*3", 16, true},
		{"(1+2)*(3-5)", 1<<64 - 6, true},
		{"-8", 1<<64 - 8, true},
		{"0xffffffffffffffff+2", 1, true},
		{"2-3-4", 1<<64 - 5, true},
		{"2-(3-4)", 3, true},
		{"2*3*4", 24, true},
		{"[8]", 0, false},
		{"8,8", 0, false},
		{"game", 0, false},
		{"8+!player", 0, false},
		{"1+2*(3-@heap)", 0, false},
	} {
		e, err := address.Parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if value, ok := e.Constant(); value != c.value || ok != c.ok {
			t.Errorf("Constant of %s = %#x, %v; want %#x, %v", c.text, value, ok, c.value, c.ok)
		}
	}
}

// FuzzParse checks of any text that it is refused at a column of it, or that its canonical
// form stands for the same, and fits the bounds.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"game+0x4068,0x8,0x16", "[[game+0x4068]+0x8]+0x16", "game!player->-0d16", `"a-b"!"C::d(int)"*8+(-@heap)`,
		"!\"\\xff\\u2028\"+@exe!main-@stack,[@vdso],1", "game+374", "10F4F4", "[(8", "é\"\xff\"", "@exe!a!b", "0xg", "0d-", "a,,b",
		strings.Repeat("[(", 33), "a" + strings.Repeat(",1", 70),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := address.Parse(text)
		if err != nil {
			wrong, ok := errors.AsType[*address.SyntaxError](err)
			if !ok || wrong.Text != text || wrong.Column < 1 || wrong.Column > len([]rune(text))+1 {
				t.Errorf("Parse(%q) = %v", text, err)
			}
			if strings.ContainsAny(err.Error(), "\x00\x1b\r\n") {
				t.Errorf("%q acts on a terminal", err)
			}
			return
		}
		again, err := address.Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q is %s, which is %v, %v", text, e, again, err)
		}
		value, ok := e.Constant()
		if v, isConstant := again.Constant(); v != value || isConstant != ok {
			t.Errorf("%q is %#x, %v, but %s is %#x, %v", text, value, ok, e, v, isConstant)
		}
	})
}
