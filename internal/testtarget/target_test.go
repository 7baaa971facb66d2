// SPDX-License-Identifier: Apache-2.0

package testtarget

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// The Go runtime may have its heap where the target's first mapping should go.
func TestTargetMapsWhereThereIsRoom(t *testing.T) {
	path := Build(t, "")
	first := StartBystander(t, path).Address("layout rw-:1")
	for _, command := range []string{"layout r--:1,gap:1,rw-:2", "map rw- 1"} {
		target := StartBystander(t, path)
		target.Do("mapat %#x rw- 1", first)
		if at := target.Address("%s", command); at <= first {
			t.Errorf("%s is at %#x; want it above %#x, where something is", command, at, first)
		}
	}
}
