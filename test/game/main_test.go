// SPDX-License-Identifier: Apache-2.0

// Package game holds the tests of all packages together on what they are for: games that
// are started again and again, at other addresses each time, and whose values are found
// and held.
package game

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vmwrite/vmwrite/internal/testtarget"
	"github.com/vmwrite/vmwrite/pkg/machcompat"
	"github.com/vmwrite/vmwrite/pkg/procmaps"
)

func TestMain(m *testing.M) { os.Exit(testtarget.Main(m)) }

// The games have the same world: the chain leads from its root to a structure with the
// values, and statsValues asks how many ticks have seen them.
const (
	chain       = ",0x18,0x28,0x40"
	healthAt    = 0x10
	livesAt     = 0x17
	xAt         = 0x1c
	statsValues = "seen %d %d %g"
)

// A title is a game that can be started again and again.
type title struct {
	program  string
	root     string   // the symbol of the pointer to its world
	others   []string // the symbols of more such pointers, as places
	patterns []pattern
}

// What the games have for patterns to find.
var (
	signpost   = pattern{"9e 31 c4 5b 07 e8 72 ad 16 f3 4c 88 da 25 b1 60 |", procmaps.Write, true}
	loadsWorld = pattern{"3d e5 91 3c 7a 48 8b 05 $", procmaps.Execute, false}
)

// titles builds the games. Each is called game, in a directory of its own.
var titles = []struct {
	language string
	build    func(t *testing.T) title
}{
	{"C", buildC},
	{"Go", buildGo},
}

func buildC(t *testing.T) title {
	testtarget.Need(t, "64-bit tests")
	directory := t.TempDir()
	install(t, directory+"/libgame.so", testtarget.BuildC(t, "testdata/libgame.c", "-fPIC", "-shared"))
	install(t, directory+"/game", testtarget.BuildC(t, "testdata/game.c", "-fPIE", "-pie", "-ldl"))
	patterns := []pattern{signpost}
	if runtime.GOARCH == "amd64" {
		patterns = append(patterns, loadsWorld)
	}
	return title{directory + "/game", "world", []string{"libgame.so!game_world", "libgame.so!local_world"}, patterns}
}

func buildGo(t *testing.T) title {
	testtarget.Need(t, "64-bit tests")
	built, err := testtarget.BuildGo("test/game/gogame", runtime.GOARCH, "-buildmode=pie")
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	install(t, directory+"/game", built)
	return title{directory + "/game", "main.world", nil, []pattern{signpost}}
}

// install copies a program or a library under the name that it is to have in maps.
func install(t *testing.T, as, built string) {
	t.Helper()
	data, err := os.ReadFile(built)
	if err == nil {
		err = os.WriteFile(as, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A game is a title that runs, with a task of it.
type game struct {
	*testtarget.Target
	task *machcompat.Task
}

func (title title) start(t *testing.T) game {
	t.Helper()
	target := testtarget.StartBinary(t, title.program)
	task, err := machcompat.TaskForPID(target.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { task.Close() })
	return game{target, task}
}

// truth returns where the game itself says that its health is. That moves, unless the
// game has been told to be still.
func (g game) truth(t *testing.T) uint64 {
	t.Helper()
	health, err := strconv.ParseUint(strings.Fields(g.Do("where"))[0], 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return health
}

// count is Do for a command that answers with a number.
func (g game) count(t *testing.T, format string, args ...any) int {
	t.Helper()
	n, err := strconv.Atoi(g.Do(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
