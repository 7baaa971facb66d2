// SPDX-License-Identifier: Apache-2.0

package game

import (
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
)

// What the other tests ask the games must have an answer that can be bad.
func TestGamesKnowTheirBytes(t *testing.T) {
	for _, language := range titles {
		t.Run(language.language, func(t *testing.T) {
			title := language.build(t)
			for _, c := range []struct {
				name   string
				offset int // from the health
				size   int
				wrong  bool
			}{
				{"the byte before health", -1, 1, true},
				{"health", 0, 4, false},
				{"the byte behind health", 4, 1, true},
				{"lives", livesAt - healthAt, 1, false},
				{"health to lives", 0, livesAt - healthAt + 1, true},
				{"x", xAt - healthAt, 4, false},
				{"the byte behind x", xAt - healthAt + 4, 1, true},
			} {
				t.Run(c.name, func(t *testing.T) {
					game := title.start(t)
					game.Do("still")
					game.Do("check")
					if err := game.task.Write(game.truth(t)+uint64(c.offset), make([]byte, c.size)); err != nil {
						t.Fatal(err)
					}
					if answer := game.Try("check"); strings.HasPrefix(answer, "error ") != c.wrong {
						t.Errorf("the game says %q; want an error: %v", answer, c.wrong)
					}
				})
			}
			t.Run("values that come and go", func(t *testing.T) {
				game := title.start(t)
				game.Do("still")
				if n := game.count(t, statsValues, 1000, 3, 2.5); n != 0 {
					t.Errorf("seen %d times at once; want 0", n)
				}
				address := game.truth(t)
				testtarget.WaitFor(t, "a tick with values that were written between two", func() bool {
					for _, err := range []error{
						machcompat.WriteValue(game.task, address, int32(1000)),
						machcompat.WriteValue(game.task, address+livesAt-healthAt, uint8(3)),
						machcompat.WriteValue(game.task, address+xAt-healthAt, float32(2.5)),
					} {
						if err != nil {
							t.Fatal(err)
						}
					}
					return game.count(t, statsValues, 1000, 3, 2.5) > 0
				})
				if n := game.count(t, statsValues, 1000, 3, 2.75); n != 0 {
					t.Errorf("other values were seen %d times; want 0", n)
				}
				game.Do("check")
			})
			t.Run("links move only when they may", func(t *testing.T) {
				game := title.start(t)
				testtarget.WaitFor(t, "every link to move", func() bool { return game.count(t, "moves") >= 4 })
				game.Do("still")
				address, moves := game.truth(t), game.count(t, "moves")
				health := func() int32 {
					health, err := machcompat.ReadValue[int32](game.task, address)
					if err != nil {
						t.Fatal(err)
					}
					return health
				}
				before := health()
				testtarget.WaitFor(t, "some ticks", func() bool { return health() < before-5 })
				if got := game.truth(t); got != address || game.count(t, "moves") != moves {
					t.Errorf("the health moved from %#x to %#x though the game is still", address, got)
				}
			})
		})
	}
}
