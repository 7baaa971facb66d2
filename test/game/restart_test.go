// SPDX-License-Identifier: Apache-2.0

package game

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/address"
	"github.com/vmwrite/vmwrite/pkg/hold"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
	"github.com/vmwrite/vmwrite/pkg/search"
)

// What is found in one run of a game is found in all others, and is held there without a
// change of any other byte.
func TestRestarts(t *testing.T) {
	for _, language := range titles {
		t.Run(language.language, func(t *testing.T) {
			title := language.build(t)
			var numbers []string // expressions without symbols, which the first run finds
			bases := map[uint64]bool{}
			for run := range testtarget.Rounds(testtarget.Sized(10, 30)) {
				t.Run(strconv.Itoa(run), func(t *testing.T) {
					game := title.start(t)
					resolver := address.NewResolver(game.task)
					symbols := append([]string{"game!" + title.root, "!" + title.root}, title.others...)
					if run == 0 {
						for _, symbol := range symbols {
							numbers = append(numbers, number(t, resolver, symbol))
						}
					}
					base := resolve(t, resolver, "game")
					bases[base] = true

					game.Do("still")
					truth := game.truth(t)
					roots := append(symbols, numbers...)
					for _, pattern := range title.patterns {
						roots = append(roots, pattern.find(t, game, resolver))
					}
					for _, root := range roots {
						text := fmt.Sprintf("%s%s,%#x", root, chain, healthAt)
						if got := resolve(t, resolver, text); got != truth {
							t.Errorf("%s is %#x; the game says %#x", text, got, truth)
						}
					}
					game.Do("on")
					holdAll(t, game, resolver, numbers[run%len(numbers)])
				})
			}
			t.Run("addresses differ", func(t *testing.T) {
				testtarget.Need(t, "ASLR")
				if len(bases) < 2 {
					t.Errorf("the game was at the same address in every run: %v", bases)
				}
			})
		})
	}
}

// number returns a symbol's place by its module and its offset from there.
func number(t *testing.T, resolver *address.Resolver, symbol string) string {
	t.Helper()
	m, offset, ok := resolver.Locate(resolve(t, resolver, symbol))
	if !ok {
		t.Fatalf("%s lies in no module", symbol)
	}
	return fmt.Sprintf("%s+%#x", m.Name, offset)
}

// A pattern is of bytes of the program by which its root is found, in memory with these
// permissions: the page of the file where two segments meet is mapped with each of them.
// The match is the root, or a pointer to it.
type pattern struct {
	text    string
	perms   procmaps.Perms
	pointer bool
}

// find returns the root as an expression.
func (p pattern) find(t *testing.T, game game, resolver *address.Resolver) string {
	t.Helper()
	what, err := search.ParsePattern(p.text)
	if err != nil {
		t.Fatal(err)
	}
	m, _, ok := resolver.Locate(resolve(t, resolver, "game"))
	if !ok {
		t.Fatal("the game lies in no module")
	}
	var found []string
	within := []search.Range{{Start: m.Base, End: m.Base + m.Size}}
	for match, err := range search.First(t.Context(), game.task, what, search.Options{Within: within, Want: p.perms}).All() {
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%#x", match.Address)
		if p.pointer {
			text = "[" + text + "]"
		}
		found = append(found, text)
	}
	if len(found) != 1 {
		t.Fatalf("%q is at %v; want one place", p.text, found)
	}
	return found[0]
}

func resolve(t *testing.T, resolver *address.Resolver, text string) uint64 {
	t.Helper()
	resolution, err := resolver.Resolve(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return resolution.Address
}

func parse(t *testing.T, text string) *address.Expr {
	t.Helper()
	expr, err := address.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return expr
}

// holdAll holds three values of the game, found from a root, until it has seen all of
// them for some ticks and every link has moved.
func holdAll(t *testing.T, game game, resolver *address.Resolver, root string) {
	t.Helper()
	const health, lives, x = 1000, 3, 2.5
	stats := func(offset int) hold.Place {
		return hold.At(resolver, parse(t, fmt.Sprintf("%s%s,%#x", root, chain, offset)))
	}
	// At each tick the game takes from health and adds to the others.
	holder, err := hold.New(game.task, []hold.Entry{
		{Name: "health", Place: stats(healthAt), Type: hold.Int32, Mode: hold.Minimum, Value: binary.NativeEndian.AppendUint32(nil, health)},
		{Name: "lives", Place: stats(livesAt), Type: hold.Uint8, Mode: hold.Maximum, Value: []byte{lives}},
		{Name: "x", Place: stats(xAt), Type: hold.Float32, Mode: hold.Constant, Value: binary.NativeEndian.AppendUint32(nil, math.Float32bits(x))},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var summary hold.Summary
	ended := make(chan error)
	go func() {
		var err error
		summary, err = holder.Run(ctx, 500)
		ended <- err
	}()
	ticks, moves := testtarget.Sized(4, 20), game.count(t, "moves")
	testtarget.WaitFor(t, "the game to see the values, and its links to move", func() bool {
		return game.count(t, statsValues, health, lives, x) >= ticks && game.count(t, "moves") >= moves+ticks
	})
	stop()
	if err := <-ended; err != nil {
		t.Errorf("holding: %v", err)
	}
	if summary.Writes < 3 || summary.Moved == 0 {
		t.Errorf("%+v; want writes and moves", summary)
	}
	game.Do("check") // fails the test if a byte is wrong
	testtarget.WantFree(t, game.PID)
	if _, err := machcompat.ReadValue[int32](game.task, game.truth(t)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
